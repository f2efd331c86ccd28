r"""CCA's head, and the base of its kin: a linear classifier on canonical projections.

Hotelling. Relations Between Two Sets of Variates. Biometrika 1936.

$$p_m = (g_m(z_m) - \mu_m) B_m \qquad f = \sum_m p_m W_m^\top + b$$

CCA has $g_m(z) = z$. An absent modality stands at its mean $\mu_m$, so that its projection is zero.
The method fits $\mu_m$ and $B_m$, which are buffers; until then $B_m$ picks the first coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.checks import choice, integer, require
from equipoise.errors import ConfigError
from equipoise.heads.base import Head
from equipoise.heads.linear import Sum

AUTO_COMPONENTS = 10


class Branch(nn.Module):
    """The part of the head that serves one modality: representation, projection and classifier.

    Args:
        represent: g_m, maps features (B, d_m) to a representation (B, width).
        width: of the representation.
        columns: number of columns of the projection.
        classes: number of classes C.
        bound: of the uniform initialisation of the classifier.

    Attributes:
        mean: (width,), μ_m.
        basis: (width, columns), B_m.
    """

    mean: Tensor
    basis: Tensor

    def __init__(
        self, represent: nn.Module, width: int, columns: int, classes: int, bound: float
    ) -> None:
        super().__init__()
        self.represent = represent
        self.register_buffer("mean", torch.zeros(width))
        repeated = torch.eye(width).repeat(1, -(-columns // width))
        self.register_buffer("basis", repeated[:, :columns].clone())
        self.weight = nn.Parameter(torch.empty(classes, columns).uniform_(-bound, bound))

    def project(self, features: Tensor) -> Tensor:
        """Project features (B, d_m) on the fitted directions, (B, columns)."""
        # Whitening would magnify the rounding errors of half precision.
        with torch.autocast(features.device.type, enabled=False):
            projected: Tensor = (self.represent(features) - self.mean) @ self.basis
        return projected


class CorrelatedHead(Head):
    """Base of heads with a linear classifier on projections of representations.

    Args:
        widths: {modality: feature width d_m}.
        classes: number of classes C.
        represent: {modality: g_m}.
        sizes: {modality: width of the output of g_m}.
        components: number of canonical directions per pair, or of all modalities together.
        multi: "pairwise", "mcca", or "none" for a diagonal B_m that scales to unit variance.

    Attributes:
        pretraining: a linear classifier per modality, with which the encoders are trained.

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
        """The part of the head that serves this modality."""
        found = self.blocks[modality]
        assert isinstance(found, Branch)
        return found

    def represent(self, modality: str, features: Tensor) -> Tensor:
        """Representation g_m(z) (B, width) of features (B, d_m)."""
        found: Tensor = self.branch(modality).represent(features)
        return found

    def classify(self, projected: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, C) of projections {modality: (B, columns)}.

        Args:
            projected: of the modalities with at least one present row.
            present: {modality: bool (B,)} of every modality; absent rows count as zero.
        """
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
        projected = {m: self.branch(m).project(z) for m, z in features.items()}
        return self.classify(projected, present), None


class CCA(CorrelatedHead):
    """Canonical projections of the features themselves.

    Args:
        components: number k of canonical directions of each pair of modalities, or of all together,
            at most the width of the narrowest features; GCNet tries 2 to 20. "auto" for 10, or for
            the width of the narrowest features where that is less.
        multi: how more than two modalities are correlated: "pairwise" (each pair by itself,
            M(M−1)k columns in all) or "mcca" (all modalities at once, Mk columns).

    Raises:
        ConfigError: an option out of its range, or a single modality.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        classes: int,
        components: int | Literal["auto"] = "auto",
        multi: str = "pairwise",
    ) -> None:
        narrowest = min(widths.values())
        k = min(AUTO_COMPONENTS, narrowest) if components == "auto" else components
        widest = f"at most {narrowest}, as the narrowest features are wide"
        require("CCA", integer("components", k, 1), choice("multi", multi, ("pairwise", "mcca")))
        require("CCA", ("components", k <= narrowest, widest, k))
        plain = {m: nn.Identity() for m in widths}
        super().__init__(widths, classes, plain, widths, k, multi)
