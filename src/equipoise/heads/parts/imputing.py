"""Base of the heads that restore the features of absent modalities and classify the result."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from equipoise.heads.parts.joint import JointHead


class Restoration(NamedTuple):
    """A restored joint vector; D is the sum of the feature widths."""

    code: Tensor  # (B, K), the input of the classifier
    joint: Tensor  # (B, D), the joint vector with the absent parts filled in


def shown(features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Features {modality: (B, d_m)} with zeros in the rows where the modality is absent."""
    return {m: z * present[m].unsqueeze(1) for m, z in features.items()}


class ImputingHead(JointHead):
    """Base of heads on the joint vector: the concatenated features, zeros for absent modalities.

    The features are concatenated in alphabetical order of the modalities, so that the order of
    declaration does not matter. A decoder of one modality is not part of the block of that
    modality: it acts in rows that lack the modality, so it serves the others and is shared.

    Attributes:
        classifier: reads the code.
    """

    classifier: nn.Module

    def joint(self, features: Mapping[str, Tensor], rows: int) -> Tensor:
        """The joint vector (rows, D).

        Args:
            features: {modality: (rows, d_m)}, with zeros where absent; a modality that is left out
                is zeros.
            rows: number of rows.
        """
        first = next(iter(features.values()), None)
        like = next(self.parameters()) if first is None else first
        parts = [features.get(m, like.new_zeros(rows, self.widths[m])) for m in sorted(self.widths)]
        return torch.cat(parts, 1)

    def split(self, joint: Tensor) -> dict[str, Tensor]:
        """Split a joint vector (B, D) into {modality: (B, d_m)}."""
        names = sorted(self.widths)
        return dict(zip(names, torch.split(joint, [self.widths[m] for m in names], 1), strict=True))

    @abstractmethod
    def restore(self, joint: Tensor) -> Restoration:
        """Fill in the absent parts of a joint vector (B, D)."""

    def classify(self, code: Tensor) -> Tensor:
        """Logits (B, C) of the code (B, K) of a restored vector."""
        logits: Tensor = self.classifier(code)
        return logits

    def estimates(self, joint: Tensor) -> dict[str, Tensor]:
        """Features {modality: (B, d_m)} that a restored joint vector (B, D) stands for."""
        return self.split(joint)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        rows = len(next(iter(present.values())))
        return self.classify(self.restore(self.joint(shown(features, present), rows)).code)
