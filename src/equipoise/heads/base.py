"""What a head is: features of each modality in, `Output` out. It owns the fusion used at prediction."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.batch import Output
from equipoise.heads import fusion


class Head(nn.Module):
    """Base of all heads.

    Args:
        widths: {modality: feature width d_m}, in the order of declaration.
        classes: number of classes C.

    Attributes:
        decomposable: Σ_m logits_m equals the fused logits when every modality is present.
        blocks: {modality: module}, the part of the head that serves one modality only; whatever else the head
            holds is shared.
    """

    decomposable = False

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        super().__init__()
        self.widths = dict(widths)
        self.classes = classes
        self.blocks = nn.ModuleDict()

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.widths)

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        """Logits (B, C) that this modality alone predicts from its features (B, d_m)."""
        raise NotImplementedError

    def fuse(
        self, features: Mapping[str, Tensor], logits: Mapping[str, Tensor], present: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Fused logits (B, C) and fusion weights (B, M) or None. `logits` has every modality of the head."""
        raise NotImplementedError

    def forward(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Output:
        """Read each modality out and fuse.

        Args:
            features: {modality: (B, d_m)} of the modalities with at least one present row; another modality's
                block stays out of the graph, so that its parameters get no gradient at all.
            present: {modality: bool (B,)} of every modality of the head.
        """
        logits = {
            m: self.unimodal(m, features[m]) if m in features else self._filler(m, present) for m in self.modalities
        }
        fused, weights = self.fuse(features, logits, present)
        return Output(features, logits, fused, weights)

    def _filler(self, modality: str, present: Mapping[str, Tensor]) -> Tensor:
        reference = next(self.parameters())
        return reference.new_zeros(len(present[modality]), self.classes)


class SeparateHead(Head):
    """A classifier per modality (or one for all) whose logits meet in a fusion rule.

    Args:
        fusion_rule: one of `fusion.RULES`.
        fusion_weights: {modality: weight} for the rule "fixed".
    """

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
        self._rule = fusion.rule(type(self).__name__, fusion_rule, self.modalities, fusion_weights)

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        logits: Tensor = self.blocks[modality](features)
        return logits

    def fuse(
        self, features: Mapping[str, Tensor], logits: Mapping[str, Tensor], present: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        order = self.modalities
        shown = torch.stack([present[m] for m in order])
        shown = shown | ~shown.any(0)  # a row with every modality deactivated: finite, and nobody reads it
        return self._rule(torch.stack([logits[m] for m in order]), shown)
