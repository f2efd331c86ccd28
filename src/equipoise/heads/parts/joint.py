"""Base of the heads that read all modalities together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor

from equipoise.heads.base import Head
from equipoise.heads.parts.presence import only


class JointHead(Head):
    """Base of heads that treat one modality alone as a sample whose other modalities are absent."""

    @abstractmethod
    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, C) of the present modalities.

        Args:
            features: {modality: (B, d_m)} of the modalities with at least one present row.
            present: {modality: bool (B,)} of every modality of the head.
        """

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        return self.read({modality: features}, only(modality, self.modalities, features))

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, None]:
        return self.read(features, present), None
