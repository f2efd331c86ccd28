"""Several classifiers per modality whose logits add up, through an output layer that all of them share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.checks import require, whole
from equipoise.heads.base import SeparateHead


class Sustained(SeparateHead):
    """v_m = Σ_{t ≤ n_m} G(relu(F_mt(z_m))), F_mt: d_m → hidden of its own, G: hidden → C shared by
    all.

    Every modality starts with one classifier, n_m = 1; `add` switches the next one on. All are made
    at the start, so that their parameters have an optimiser and a place in every checkpoint; one
    that is off is not in the graph.

    Jiang, Huang, Yang. Rethinking Multimodal Learning from the Perspective of Mitigating
    Classification Ability Disproportion. NeurIPS 2025 (AUG); hidden 256. Its prediction weighs the
    modalities (0.4 and 0.6 for CREMA-D): `fusion: fixed` with `fusion_weights`.

    Args:
        hidden: width of the hidden layer.
        most: classifiers a modality can have.
        fusion: how the modalities' logits meet, one of `fusion.RULES`.
        fusion_weights: {modality: weight} for the rule "fixed".
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
        require("Sustained", whole("hidden", hidden, 1), whole("most", most, 1))
        self.most = most
        for modality, width in widths.items():
            self.blocks[modality] = nn.ModuleList(_layer(width, hidden) for _ in range(most))
        self.output = nn.Linear(hidden, classes)
        self.register_buffer("counts", torch.ones(len(widths), dtype=torch.int64))
        self._active = dict.fromkeys(
            widths, 1
        )  # what `counts` says, where asking it waits for no device
        self.register_load_state_dict_post_hook(_read_counts)  # type: ignore[no-untyped-call]

    def parts(self, modality: str, features: Tensor) -> Iterator[Tensor]:
        """Logits (B, C) of each classifier that is on, in the order they were added."""
        layers: Any = self.blocks[modality]
        for layer in layers[: self._active[modality]]:
            yield self.output(torch.relu(layer(features)))

    def reading_layer(self, modality: str) -> nn.Linear | None:
        """The first classifier's hidden layer, as long as no other is on."""
        first: nn.Linear = self.blocks[modality][0]  # type: ignore[index]
        return first if self._active[modality] == 1 else None

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        return torch.stack(list(self.parts(modality, features))).sum(0)

    def add(self, modality: str) -> bool:
        """Switch the modality's next classifier on; False if all are."""
        if self._active[modality] == self.most:
            return False
        self._active[modality] += 1
        self.counts[self.modalities.index(modality)] += 1
        return True


def _layer(width: int, hidden: int) -> nn.Linear:
    layer = nn.Linear(width, hidden)
    nn.init.xavier_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _read_counts(head: nn.Module, _: Any) -> None:
    assert isinstance(head, Sustained)
    head._active = dict(zip(head.modalities, head.counts.tolist(), strict=True))
