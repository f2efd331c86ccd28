r"""Sustained: several classifiers for each modality, added one by one, the head of AUG.

Jiang, Huang, Yang. Rethinking Multimodal Learning from the Perspective of Mitigating Classification
Ability Disproportion. NeurIPS 2025.

$$v_m = \sum_{t \le n_m} G(\mathrm{ReLU}(F_{mt}(z_m)))$$

with a layer $F_{mt}$ of its own for each classifier, and one output layer $G$ that all share. Every
modality starts with one classifier, $n_m = 1$, and `add` switches the next one on. The paper's
prediction weighs the modalities (0.4 and 0.6 for CREMA-D): `fusion: fixed` with `fusion_weights`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.checks import integer, require
from equipoise.heads.base import SeparateHead


class Sustained(SeparateHead):
    """A growing number of two-layer classifiers per modality, with one output layer for all.

    Args:
        hidden: width of the hidden layer; 256 in the paper.
        most: largest number of classifiers of a modality.
        fusion: how the logits of the modalities are fused: "mean" or "sum" (of the logits),
            "probability" (mean of the softmax outputs), "entropy" (mean of the logits, the surer
            modality counts more), "entropy-batch" or "fixed".
        fusion_weights: {modality: weight} for "fixed"; null for every other rule.

    Attributes:
        counts: int64 (M,), the number of classifiers that are on, in the alphabetical order of the
            modalities; saved with the weights.
    """

    counts: Tensor

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        hidden: int = 256,
        most: int = 11,
        fusion: str = "mean",
        fusion_weights: dict[str, float] | None = None,
    ) -> None:
        super().__init__(widths, classes, fusion, fusion_weights)
        require("Sustained", integer("hidden", hidden, 1), integer("most", most, 1))
        self.most = most
        # All classifiers exist from the start, so that their parameters have an optimiser and a
        # place in every checkpoint. One that is off is not in the graph.
        for modality, width in widths.items():
            self.blocks[modality] = nn.ModuleList(_layer(width, hidden) for _ in range(most))
        self.output = nn.Linear(hidden, classes)
        self.register_buffer("counts", torch.ones(len(widths), dtype=torch.int64))
        # A copy of `counts` on the host: reading the buffer would make every step wait for the GPU.
        self._active = dict.fromkeys(widths, 1)
        self.register_load_state_dict_post_hook(_read_counts)  # type: ignore[no-untyped-call]

    def parts(self, modality: str, features: Tensor) -> Iterator[Tensor]:
        """Logits (B, C) of each classifier that is on, in the order in which they were added."""
        layers: Any = self.blocks[modality]
        for layer in layers[: self._active[modality]]:
            yield self.output(torch.relu(layer(features)))

    def reading_layer(self, modality: str) -> nn.Linear | None:
        """The hidden layer of the first classifier, as long as no other classifier is on."""
        first: nn.Linear = self.blocks[modality][0]  # type: ignore[index]
        return first if self._active[modality] == 1 else None

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        return torch.stack(list(self.parts(modality, features))).sum(0)

    def add(self, modality: str) -> bool:
        """Switch the modality's next classifier on.

        Returns:
            False if all were on before.
        """
        if self._active[modality] == self.most:
            return False
        self._active[modality] += 1
        self.counts[sorted(self.modalities).index(modality)] += 1
        return True


def _layer(width: int, hidden: int) -> nn.Linear:
    layer = nn.Linear(width, hidden)
    nn.init.xavier_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _read_counts(head: nn.Module, _: Any) -> None:
    assert isinstance(head, Sustained)
    head._active = dict(zip(sorted(head.modalities), head.counts.tolist(), strict=True))
