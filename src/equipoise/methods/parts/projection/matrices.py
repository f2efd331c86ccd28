"""Matrices that project a linear layer's gradient: MLA's and MIE's.

MLA's is orthogonal to the inputs seen so far, MIE's keeps to the directions that the inputs hardly
use. A projection acts on the input side of the weight (C, d), so it multiplies the gradient from
the right by a symmetric matrix (d, d). Both are kept in at least float32, whatever the precision of
the features.

    orthogonal  P ← P − q rᵀP,  q = P r / (α + rᵀP r)               MLA, Eq. 4-5 (recursive least
                                                                    squares)
    flat        Ȳ = Σ z̄ z̄ᵀ = V Λ Vᵀ,                               MIE, Eq. 5 and 7
                T = V exp(−τ (Λ − λmin) / (λmax − λmin)) Vᵀ
"""

from __future__ import annotations

import torch
from torch import Tensor


def project(gradient: Tensor, projection: Tensor) -> Tensor:
    """∇W P (C, d) of a gradient (C, d) and a symmetric matrix (d, d)."""
    return (gradient.to(projection.dtype) @ projection).to(gradient.dtype)


def orthogonal_update_(projection: Tensor, mean_feature: Tensor, alpha: float) -> Tensor:
    """MLA Eq. 5: turn P (d, d) in place into the next one, by the mean feature r (d,).

    It is computed as P − u uᵀ with u = P r / √(α + rᵀP r), which is exactly symmetric and takes one
    vector product and one pass over P.
    """
    image = projection @ mean_feature
    scaled = image / (alpha + mean_feature @ image).sqrt()
    return projection.addcmul_(scaled.unsqueeze(1), scaled, value=-1)


def plug_in_update(projection: Tensor, mean_feature: Tensor, alpha: float) -> Tensor:
    """The next P (d, d) as MLA's published plug-in computes it, from P (d, d) and r (d,).

    It divides every entry of P r rᵀ Pᵀ by that of the matrix α + P r rᵀ, where Eq. 5 divides by the
    number α + rᵀ P r. The result is neither symmetric nor a projection.
    """
    image = projection @ mean_feature
    return projection - torch.outer(image, image) / (alpha + torch.outer(image, mean_feature))


def flat_projection(second_moment: Tensor, tau: float) -> Tensor:
    """MIE Eq. 7: T (d, d) from Ȳ (d, d). It does not depend on the scale of Ȳ.

    It is the identity for τ = 0, and for a spectrum without spread: nothing was seen, or every
    direction is used equally.
    """
    identity = torch.eye(len(second_moment), dtype=second_moment.dtype, device=second_moment.device)
    if tau == 0:
        return identity
    values, vectors = torch.linalg.eigh(second_moment.double())
    spread = values[-1] - values[0]
    weights = torch.exp(-tau * (values - values[0]) / spread)
    flat = ((vectors * weights) @ vectors.T).to(second_moment.dtype)
    resolution = len(values) * torch.finfo(second_moment.dtype).eps * values.abs().amax()
    return torch.where(spread > resolution, flat, identity)


def quantiles(values: Tensor, points: int) -> list[float]:
    """Evenly spaced quantiles of a spectrum (d,), few enough to log."""
    steps = torch.linspace(0, 1, points, dtype=values.dtype, device=values.device)
    found: list[float] = torch.quantile(values, steps).tolist()
    return found
