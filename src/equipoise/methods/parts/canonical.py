"""Canonical correlation analysis in closed form, of covariances; all of it in float64.

Hotelling. Relations between two sets of variates. Biometrika 1936.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, combinations_with_replacement

import torch
from torch import Tensor

from equipoise.heads.cca import CorrelatedHead
from equipoise.methods.parts.table_values import FeatureTable

FLOOR = 1e-9
"""Eigenvalues of a covariance below this are dropped."""

CHUNK = 8192
"""Rows that are converted to float64 at a time."""


def covariances(
    values: Mapping[str, Tensor], present: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], Tensor]:
    """Means of the present rows, and the covariance after imputing these means.

    A row that lacks one of two modalities adds nothing to their common block.

    Args:
        values: {modality: (N, d_m)}.
        present: {modality: bool (N,)}.

    Returns:
        {modality: (d_m,)}, and the covariance (D, D) of all modalities side by side, its sums
        divided by N − 1.
    """
    rows = len(next(iter(values.values())))
    sums = {m: (x * present[m].unsqueeze(1)).sum(0, dtype=torch.float64) for m, x in values.items()}
    means = {m: total / present[m].sum().clamp_min(1) for m, total in sums.items()}
    width = sum(len(mean) for mean in means.values())
    device = next(iter(values.values())).device
    found = torch.zeros(width, width, dtype=torch.float64, device=device)
    for start in range(0, rows, CHUNK):
        part = slice(start, start + CHUNK)
        centred = torch.cat(
            [(x[part] - means[m]) * present[m][part].unsqueeze(1) for m, x in values.items()], 1
        )
        found += centred.T @ centred
    return means, found / max(rows - 1, 1)


def inverse_root(matrix: Tensor) -> Tensor:
    """The symmetric inverse square root of a covariance."""
    values, vectors = torch.linalg.eigh(matrix)
    roots = torch.where(values > FLOOR, values.clamp_min(FLOOR).rsqrt(), 0.0)
    root: Tensor = (vectors * roots) @ vectors.T
    return root


def _signs(columns: Tensor) -> Tensor:
    """(k,) ±1 that make the largest entry of each column positive.

    A decomposition leaves the signs open, and they may differ between machines.
    """
    largest = columns.gather(0, columns.abs().argmax(0, keepdim=True)).squeeze(0)
    return torch.where(largest < 0, -1.0, 1.0).to(columns.dtype)


def pair(
    first: Tensor, cross: Tensor, second: Tensor, components: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The directions in which two modalities correlate most.

    T = Σ_ii^−½ Σ_ij Σ_jj^−½ = U S Vᵀ, W_i = Σ_ii^−½ U, W_j = Σ_jj^−½ V.

    Args:
        first: Σ_ii (d_i, d_i) with its ridge.
        cross: Σ_ij (d_i, d_j).
        second: Σ_jj (d_j, d_j) with its ridge.
        components: k, at most both widths.

    Returns:
        W_i (d_i, k), W_j (d_j, k) and the correlations (k,), decreasing.
    """
    left = inverse_root(first)
    right = inverse_root(second)
    u, s, vh = torch.linalg.svd(left @ cross @ right, full_matrices=False)
    sign = _signs(u)
    return left @ (u * sign)[:, :components], right @ (vh.T * sign)[:, :components], s[:components]


def pairwise(
    blocks: Mapping[tuple[str, str], Tensor], components: int
) -> tuple[dict[str, Tensor], Tensor]:
    """The directions of every pair by itself.

    Args:
        blocks: {(i, j): Σ_ij} for i ≤ j, the diagonal ones with their ridge.
        components: k.

    Returns:
        {modality: (d_m, (M − 1)k)}, a modality's partners in the order of the blocks; correlations
        (M(M − 1)/2, k).
    """
    names = [i for i, j in blocks if i == j]
    found: dict[str, list[Tensor]] = {m: [] for m in names}
    correlations = []
    for i, j in combinations(names, 2):
        first, second, correlation = pair(blocks[i, i], blocks[i, j], blocks[j, j], components)
        found[i].append(first)
        found[j].append(second)
        correlations.append(correlation)
    return {m: torch.cat(parts, 1) for m, parts in found.items()}, torch.stack(correlations)


def mcca(
    blocks: Mapping[tuple[str, str], Tensor], components: int
) -> tuple[dict[str, Tensor], Tensor]:
    """The directions of all modalities at once.

    They belong to the largest eigenvalues λ of Σ w = λ D w, with D the diagonal blocks of Σ. Except
    for the lengths of the columns they are those of generalised CCA too, which looks for the G with
    the least Σ_m ‖G − X_m W_m‖². Two modalities get the directions of their pair.

    Args:
        blocks: {(i, j): Σ_ij} for i ≤ j, the diagonal ones with their ridge.
        components: k.

    Returns:
        {modality: (d_m, k)}, scaled to unit variance in the mean over the modalities; correlations
        (1, k), the mean over the pairs (λ − 1)/(M − 1).
    """
    names = [i for i, j in blocks if i == j]
    roots = {m: inverse_root(blocks[m, m]) for m in names}
    whitened = {(i, j): roots[i] @ block @ roots[j] for (i, j), block in blocks.items()}
    rows = [
        torch.cat([whitened[i, j] if (i, j) in whitened else whitened[j, i].T for j in names], 1)
        for i in names
    ]
    values, vectors = torch.linalg.eigh(torch.cat(rows))
    vectors = vectors.flip(1)[:, :components]
    vectors = vectors * _signs(vectors) * len(names) ** 0.5
    parts = vectors.split([len(roots[m]) for m in names])
    correlations = (values.flip(0)[:components] - 1) / (len(names) - 1)
    return {
        m: roots[m] @ part for m, part in zip(names, parts, strict=True)
    }, correlations.unsqueeze(0)


@torch.no_grad()
def fit_projections(head: CorrelatedHead, table: FeatureTable, ridge: float) -> Tensor:
    """Fit means and directions of a head to the training features.

    A head without directions gets scales instead.

    Args:
        head: gets the results into its buffers.
        table: the training features.
        ridge: r.

    Returns:
        The correlations, decreasing along each row; (0,) if the head has no directions to fit.
    """
    names = sorted(head.modalities)
    values = {m: head.represent(m, table.features[m]) for m in names}
    means, whole = covariances(values, table.present)
    for m in names:
        head.branch(m).mean.copy_(means[m])
    sizes = [len(means[m]) for m in names]
    if head.multi == "none":
        deviations = torch.split((whole.diagonal() + ridge).sqrt(), sizes)
        for m, deviation in zip(names, deviations, strict=True):
            head.branch(m).basis.copy_(deviation.reciprocal().diag())
        return whole.new_zeros(0)
    places = dict(zip(names, torch.split(torch.arange(len(whole)), sizes), strict=True))
    whole = whole + ridge * torch.eye(len(whole), dtype=whole.dtype, device=whole.device)
    # Off the diagonal the ridge adds nothing.
    blocks = {
        (i, j): whole[places[i]][:, places[j]] for i, j in combinations_with_replacement(names, 2)
    }
    solve = pairwise if head.multi == "pairwise" else mcca
    directions, correlations = solve(blocks, head.components)
    for m in names:
        head.branch(m).basis.copy_(directions[m])
    return correlations
