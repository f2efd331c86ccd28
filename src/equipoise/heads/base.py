"""Base classes of the heads.

A head turns the features of each modality into an `Output` and owns the fusion used at prediction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from equipoise.batch import Output, WhenRead
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
        fused_only: the name of the part, for messages, on which the fused logits depend and no
            logits_m do. Unimodal losses leave that part as it was initialised. "" for no such part.
        blocks: {modality: module}, the part of the head that serves one modality only; all other
            parameters of the head are shared.
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
        """The single linear layer that reads this modality's features.

        All that the head computes from features z of this modality alone then stays the same when
        the weight of the layer moves orthogonally to z.

        Returns:
            The layer, or None where several layers read the features, or where no linear layer
            reads them unchanged.
        """
        block = self.blocks[modality] if modality in self.blocks else None  # noqa: SIM401 (ModuleDict has no get)
        return block if isinstance(block, nn.Linear) else None

    def own_only(self, modality: str) -> nn.Module | None:
        """The part that logits_m depend on and the fused logits do not.

        The fused loss leaves that part as it was initialised. A part that the fused logits of only
        some samples depend on counts too.

        Returns:
            The part, or None if there is none.
        """
        return None

    @abstractmethod
    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor | None]:
        """Fuse the modalities, sample by sample.

        Args:
            features: {modality: (B, d_m)} of the modalities with at least one present row.
            logits: {modality: (B, C)} of every modality of the head; zeros where no row has it.
            present: {modality: bool (B,)} of every modality of the head. An absent modality must
                have no influence on its row.

        Returns:
            Fused logits (B, C), and fusion weights (B, M) or None.
        """

    def forward(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Output:
        """Compute the logits of each modality and fuse them, each when it is first read.

        Args:
            features: {modality: (B, d_m)} of the modalities with at least one present row.
            present: {modality: bool (B,)} of every modality of the head.

        Returns:
            The `Output`, with logits of every modality of the head.
        """
        # The block of a modality without features stays out of the graph, so that its parameters
        # get no gradient at all: a gradient of zero would still let momentum and decay move them.
        read = WhenRead(features, lambda m: self.unimodal(m, features[m]))

        def compute(modality: str) -> Tensor:
            if modality in read:
                return read[modality]
            return self._filler(len(present[modality]), next(iter(read.values()), None))

        logits = WhenRead(self.modalities, compute)
        return Output(features, logits, lambda: self.fuse(features, logits, present))

    def _filler(self, rows: int, like: Tensor | None) -> Tensor:
        """Zero logits (rows, C), of the type and on the device of `like`."""
        # A search through the parameters takes longer than a small layer, so it comes last.
        reference = next(self.parameters()) if like is None else like
        return reference.new_zeros(rows, self.classes)


class SeparateHead(Head):
    """Base of heads with a classifier per modality, or one for all, and a fusion rule.

    Args:
        fusion_rule: one of `fusion.FUSION_RULES`.
        fusion_weights: {modality: weight} for the rule "fixed".

    Attributes:
        active: bool (M,), True for the modalities that take part in the fusion; saved with the
            weights.
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
        self._rule = fusion.fusion_rule(
            type(self).__name__, fusion_rule, self.modalities, fusion_weights
        )

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
