"""CRA: a cascade of residual autoencoders, each of which restores what the ones before left
missing.

Tran, Liu, Zhou, Jin. Missing Modalities Imputation via Cascaded Residual Autoencoder. CVPR 2017.
Code: github.com/tranluan/CRA; on features, as here: github.com/zeroQiaoba/GCNet

x_0 is the joint vector, the concatenated features with zeros where a modality is absent; block k
predicts what is lacking, x_{k+1} = x_k + g_k(x_k), and x̂ = x_K is classified:

    L = CE(f(x̂), y) + w Σ_n Σ_m c_nm ‖x̂_nm − x_nm‖² / d_m

c_nm = 1 for every cell whose content is known (`entries: known`, the paper), or for the hidden ones
only (`entries: hidden`, GCNet). Which content is hidden is as for AE: what the simulated regime
hides, and otherwise a further modality at random. x are the encoder's features, which the second
term does not train as a target.

The paper's imputer has no classifier, and trains greedily: block 1, then block 2 with the first
frozen, and so on, then all together. `training: greedy` does so with one phase per block; a block
starts as the identity (its last layer is zero) and moves in its own phase and in the last one only.
GCNet trains all at once, which is the default, and closes the cascade with two more layers (head
option `transition`). The paper's loss weight is not known; w is GCNet's. GCNet trains with Adam at
a rate of 1e-3, which moves the long cascade much faster than SGD, as for AE. Any number of
modalities. Cost: as for AE, with an autoencoder per block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from equipoise.batch import Batch
from equipoise.checks import choice, require
from equipoise.errors import ConfigError
from equipoise.heads.cra import CRA as Head
from equipoise.heads.parts.cascade import Autoencoder
from equipoise.methods.missing.ae import Imputation
from equipoise.training.context import Context
from equipoise.training.phase import Phase

ENTRIES = ("known", "hidden")
TRAINING = ("joint", "greedy")


class CRA(Imputation[Head]):
    """The cascaded residual autoencoder.

    Args:
        weight: w of the reconstruction; GCNet's sweep has 0.01, 0.02 and 0.03, its example 0.8.
        entries: "known" (paper) or "hidden" (GCNet), the cells whose reconstruction counts.
        training: "joint" (GCNet), or "greedy" (paper) with a phase for each block and one for all.
    """

    name = "cra"
    kind = Head

    def __init__(
        self,
        weight: float = 0.02,
        reduction: str = "sum",
        hide: float = 0.5,
        clip: float = 5.0,
        entries: str = "known",
        training: str = "joint",
    ) -> None:
        super().__init__(weight, reduction, hide, clip)
        require("CRA", choice("entries", entries, ENTRIES), choice("training", training, TRAINING))
        self.entries = entries
        self.greedy = training == "greedy"
        self.blocks = 0

    def setup(self, ctx: Context) -> None:
        """Count the blocks; under greedy training each starts as the identity.

        Raises:
            ConfigError: another head, or fewer epochs than phases.
        """
        super().setup(ctx)
        blocks = self.autoencoders(ctx)
        self.blocks = len(blocks)
        if not self.greedy:
            return
        if ctx.epochs <= self.blocks:
            raise ConfigError(
                f"CRA: greedy training of {self.blocks} blocks takes at least {self.blocks + 1} epochs, "
                f"found {ctx.epochs}; raise 'epochs' or lower 'head.blocks'"
            )
        for block in blocks:
            nn.init.zeros_(block.last.weight)
            nn.init.zeros_(block.last.bias)

    def phases(self, epochs: int) -> Iterator[Phase]:
        count = self.blocks + 1 if self.greedy else 1
        bounds = [epochs * k // count for k in range(count + 1)]
        for start, end in pairwise(bounds):
            yield Phase(end - start)

    def cells(self, batch: Batch, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(batch.existing) if self.entries == "known" else super().cells(batch, kept)

    def after_backward(self, ctx: Context) -> None:
        """Under greedy training, leave every block but the phase's own as it is."""
        number = ctx.position.phase
        if not self.greedy or number >= self.blocks:
            return
        for k, block in enumerate(self.autoencoders(ctx)):
            if k != number:
                for parameter in block.parameters():
                    parameter.grad = None

    def autoencoders(self, ctx: Context) -> list[Autoencoder]:
        """The blocks of the cascade, first to last."""
        return [cast(Autoencoder, block) for block in self.head(ctx.model).cascade.blocks]
