"""Heads that restore the features of absent modalities from those of the others, and classify what they restored."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from equipoise.heads.parts.joint import JointHead


class Restoration(NamedTuple):
    """What a head makes of an incomplete joint vector; D is the sum of the feature widths."""

    code: Tensor  # (B, K), what the classifier reads
    joint: Tensor  # (B, D), the joint vector with the absent parts filled in


def shown(features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The features (B, d_m) with zeros where their modality is absent."""
    return {m: z * present[m].unsqueeze(1) for m, z in features.items()}


class ImputingHead(JointHead):
    """Base of heads on the joint vector, the concatenated features with zeros for absent
    modalities.

    The features are concatenated in alphabetical order of the modalities, so that the order of
    declaration does not matter. What restores a modality serves the others, in whose rows it acts,
    and is shared.

    Attributes:
        classifier: reads the code.
    """

    classifier: nn.Module

    def joint(self, features: Mapping[str, Tensor], rows: int) -> Tensor:
        """The joint vector (rows, D) of zero-filled features {modality: (rows, d_m)}, zeros for those left out."""
        like = next(iter(features.values()), None)
        like = next(self.parameters()) if like is None else like
        parts = [features.get(m, like.new_zeros(rows, self.widths[m])) for m in sorted(self.widths)]
        return torch.cat(parts, 1)

    def split(self, joint: Tensor) -> dict[str, Tensor]:
        """{modality: (B, d_m)}, the parts of a joint vector."""
        names = sorted(self.widths)
        return dict(zip(names, torch.split(joint, [self.widths[m] for m in names], 1), strict=True))

    @abstractmethod
    def restore(self, joint: Tensor) -> Restoration:
        """Fill in the absent parts of a joint vector (B, D)."""

    def classify(self, code: Tensor) -> Tensor:
        """Logits (B, C) of a restored vector's code."""
        logits: Tensor = self.classifier(code)
        return logits

    def estimates(self, joint: Tensor) -> dict[str, Tensor]:
        """{modality: (B, d_m)}, the features that a restored joint vector stands for."""
        return self.split(joint)

    def read(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        rows = len(next(iter(present.values())))
        return self.classify(self.restore(self.joint(shown(features, present), rows)).code)
