"""Heads that classify canonical projections: features → representation → projection → linear classifier."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.checks import choice, require, whole
from equipoise.errors import ConfigError
from equipoise.heads.base import Head
from equipoise.heads.linear import Sum

DIRECTIONS = 10


class Branch(nn.Module):
    """One modality's way through the head.

    Args:
        represent: maps features (B, d_m) to what is correlated, (B, width).
        width: of the representation.
        columns: of the projection.
        classes: number of classes.
        bound: of the classifier's uniform initialisation.
    """

    mean: Tensor
    basis: Tensor

    def __init__(
        self, represent: nn.Module, width: int, columns: int, classes: int, bound: float
    ) -> None:
        super().__init__()
        self.represent = represent
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer(
            "basis", torch.eye(width).repeat(1, -(-columns // width))[:, :columns].clone()
        )
        self.weight = nn.Parameter(torch.empty(classes, columns).uniform_(-bound, bound))

    def project(self, features: Tensor) -> Tensor:
        """(B, columns): the centred representation in the fitted directions."""
        with torch.autocast(
            features.device.type, enabled=False
        ):  # whitening magnifies what half precision rounds
            projected: Tensor = (self.represent(features) - self.mean) @ self.basis
        return projected


class CorrelatedHead(Head):
    """fused = Σ_m p_m W_mᵀ + b with projections p_m = (g_m(z_m) − μ_m) B_m.

    An absent modality stands at its mean, so that its projection is zero. μ_m and B_m are buffers
    that the method fits; until then B_m picks the first coordinates. `pretraining` holds a linear
    classifier per modality, by which the encoders are trained.

    Args:
        widths: {modality: feature width d_m}.
        classes: number of classes C.
        represent: {modality: g_m}.
        sizes: {modality: width of g_m's output}.
        components: number of canonical directions per pair, or of all modalities together.
        multi: "pairwise", "mcca", or "none" for a diagonal B_m that scales to unit variance.

    Raises:
        ConfigError: there is a single modality.
    """

    decomposable = True

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        represent: Mapping[str, nn.Module],
        sizes: Mapping[str, int],
        components: int,
        multi: str,
    ) -> None:
        super().__init__(widths, classes)
        if len(widths) < 2:
            owner = type(self).__name__
            only = next(iter(widths))
            raise ConfigError(
                f"{owner} correlates modalities with each other, and there is only {only!r}"
            )
        self.components = components
        self.multi = multi
        columns = {
            "pairwise": dict.fromkeys(widths, (len(widths) - 1) * components),
            "mcca": dict.fromkeys(widths, components),
            "none": dict(sizes),
        }[multi]
        bound = 1 / math.sqrt(sum(columns.values()))
        for m in widths:
            self.blocks[m] = Branch(represent[m], sizes[m], columns[m], classes, bound)
        self.bias = nn.Parameter(torch.empty(classes).uniform_(-bound, bound))
        self.pretraining = Sum(widths, classes)

    def branch(self, modality: str) -> Branch:
        found = self.blocks[modality]
        assert isinstance(found, Branch)
        return found

    def represent(self, modality: str, features: Tensor) -> Tensor:
        """What is correlated (B, width), of features (B, d_m)."""
        found: Tensor = self.branch(modality).represent(features)
        return found

    def classify(self, projected: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, C) of projections {modality: (B, columns)}."""
        fused = self.bias.expand(len(next(iter(present.values()))), -1)
        for m, p in projected.items():
            shown = torch.where(present[m].unsqueeze(1), p, 0.0)
            fused = fused + F.linear(shown, self.branch(m).weight)
        return fused

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        branch = self.branch(modality)
        return F.linear(branch.project(features), branch.weight, self.bias / len(self.widths))

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, None]:
        return self.classify(
            {m: self.branch(m).project(z) for m, z in features.items()}, present
        ), None


class CCA(CorrelatedHead):
    """Canonical projections of the features themselves.

    Args:
        components: canonical directions k of each pair of modalities, or of all together, GCNet
            tries 2 to 20; no more than the narrowest features are wide. None for 10, or for their
            width where it is less.
        multi: "pairwise" (each pair for itself, M(M−1)k columns in all) or "mcca" (all modalities
            at once, Mk).

    Raises:
        ConfigError: an option out of its range, or a single modality.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        components: int | None = None,
        multi: str = "pairwise",
    ) -> None:
        narrowest = min(widths.values())
        components = min(DIRECTIONS, narrowest) if components is None else components
        widest = f"at most {narrowest}, as the narrowest features are wide"
        require(
            "CCA", whole("components", components, 1), choice("multi", multi, ("pairwise", "mcca"))
        )
        require("CCA", ("components", components <= narrowest, widest, components))
        plain = {m: nn.Identity() for m in widths}
        super().__init__(widths, classes, plain, widths, components, multi)
