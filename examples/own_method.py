"""A method of your own in one class, compared with joint training.

Its loss is L = CE(fused, y) + w · Σ_m CE(f_m, y). The page docs/adding-a-method.md shows how to
check a method with the conformance suite.
"""

from __future__ import annotations

from torch import Tensor

import equipoise
from equipoise.batch import Batch, Output
from equipoise.checks import not_negative, require
from equipoise.methods import METHODS
from equipoise.methods.parts.losses import fused_loss, unimodal_loss
from equipoise.registry import MethodEntry
from equipoise.training.context import Context
from equipoise.training.method import Method


class Auxiliary(Method):
    """Joint training with an auxiliary loss on the prediction f_m of every modality.

    Args:
        weight: weight w of the auxiliary losses.
    """

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        require("Auxiliary", not_negative("weight", weight))
        self.weight = weight

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        total = fused_loss(output, batch, ctx)
        for modality in ctx.model.modalities:
            total = total + self.weight * unimodal_loss(modality, output, batch, ctx)
        return total


METHODS.add(
    MethodEntry(
        "auxiliary", f"{__name__}:Auxiliary", "joint training with a loss per modality", head="sum"
    )
)


def main() -> None:
    table = equipoise.compare("digits", methods=["joint", "auxiliary"], seeds=[0], epochs=5)
    print(table)


if __name__ == "__main__":
    main()
