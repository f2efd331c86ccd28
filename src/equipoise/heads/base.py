"""What a head is: features of each modality in, `Output` out. It owns the fusion used at prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from equipoise.batch import Output
from equipoise.heads.parts import fusion
from equipoise.heads.parts.presence import stacked


class Head(nn.Module, ABC):
    """Base of all heads.

    Args:
        widths: {modality: feature width d_m}, in the order of declaration.
        classes: number of classes C.

    Attributes:
        decomposable: Σ_m logits_m equals the fused logits when every modality is present.
        own_classifiers: logits_m come from a classifier that serves this modality only.
        fused_only: in words, what the fused logits depend on and no logits_m do, so that unimodal
            losses leave it as it was initialised; "" for nothing.
        blocks: {modality: module}, the part of the head that serves one modality only; whatever
            else the head holds is shared.
    """

    decomposable = False
    own_classifiers = False
    fused_only = ""

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        super().__init__()
        self.widths = dict(widths)
        self.classes = classes
        self.blocks = nn.ModuleDict()

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.widths)

    @abstractmethod
    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        """Logits (B, C) that this modality alone predicts from its features (B, d_m)."""

    def reading_layer(self, modality: str) -> nn.Linear | None:
        """The one linear layer by which this modality's features reach the fused prediction, or
        None.

        What the head makes of features z of this modality alone does not change when the layer's
        weight moves orthogonally to z. A head has None where several layers read the features, or
        none reads them as they are.
        """
        block = self.blocks[modality] if modality in self.blocks else None  # noqa: SIM401 (ModuleDict has no get)
        return block if isinstance(block, nn.Linear) else None

    def own_only(self, modality: str) -> nn.Module | None:
        """What logits_m depend on and the fused ones do not, so that the fused loss leaves it as it
        was initialised.

        Also what the fused logits of only some samples depend on. None for nothing.
        """
        return None

    @abstractmethod
    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor | None]:
        """Fused logits (B, C) and fusion weights (B, M) or None. `logits` has every modality of the head."""

    def forward(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Output:
        """Read each modality out and fuse.

        Args:
            features: {modality: (B, d_m)} of the modalities with at least one present row; another
                modality's block stays out of the graph, so that its parameters get no gradient at
                all.
            present: {modality: bool (B,)} of every modality of the head.
        """
        read = {m: self.unimodal(m, z) for m, z in features.items()}
        like = next(iter(read.values()), None)
        logits = {
            m: read[m] if m in read else self._filler(len(present[m]), like)
            for m in self.modalities
        }
        fused, weights = self.fuse(features, logits, present)
        return Output(features, logits, fused, weights)

    def _filler(self, rows: int, like: Tensor | None) -> Tensor:
        """Zero logits; looking for a parameter to copy the type from takes longer than a small layer."""
        reference = next(self.parameters()) if like is None else like
        return reference.new_zeros(rows, self.classes)


class SeparateHead(Head):
    """A classifier per modality (or one for all) whose logits meet in a fusion rule.

    Args:
        fusion_rule: one of `fusion.RULES`.
        fusion_weights: {modality: weight} for the rule "fixed".

    Attributes:
        active: bool (M,), the modalities that take part in the fusion; saved with the weights.
    """

    own_classifiers = True
    active: Tensor

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        fusion_rule: str,
        fusion_weights: dict[str, float] | None = None,
    ) -> None:
        super().__init__(widths, classes)
        self.fusion = fusion_rule
        self.decomposable = fusion_rule == "sum"
        self.register_buffer("active", torch.ones(len(widths), dtype=torch.bool))
        self._rule = fusion.rule(type(self).__name__, fusion_rule, self.modalities, fusion_weights)

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        logits: Tensor = self.blocks[modality](features)
        return logits

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor | None]:
        there = (
            present[m] & active for m, active in zip(self.modalities, self.active, strict=True)
        )
        return self._rule(*stacked((logits[m] for m in self.modalities), there))

    def fuse_only(self, modalities: Collection[str]) -> None:
        """Leave the other modalities out of every fused prediction from now on."""
        self.active.copy_(torch.tensor([m in modalities for m in self.modalities]))
