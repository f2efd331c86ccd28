"""Fits the means and directions of a head of canonical projections to the features of the training table."""

from __future__ import annotations

from itertools import combinations_with_replacement

import torch
from torch import Tensor

from equipoise.heads.cca import CorrelatedHead
from equipoise.methods import canonical
from equipoise.methods.feature_table import FeatureTable


@torch.no_grad()
def fit_projections(head: CorrelatedHead, table: FeatureTable, ridge: float) -> Tensor:
    """Fit means and directions of a head to the training features, or scales where it has no directions.

    Args:
        head: whose buffers are filled.
        table: the training features.
        ridge: r.

    Returns:
        The correlations, decreasing along each row; (0,) if the head has no directions to fit.
    """
    names = sorted(head.modalities)
    values = {m: head.represent(m, table.features[m]) for m in names}
    means, whole = canonical.covariances(values, table.present)
    for m in names:
        head.branch(m).mean.copy_(means[m])
    if head.multi == "none":
        deviations = torch.split((whole.diagonal() + ridge).sqrt(), [len(means[m]) for m in names])
        for m, deviation in zip(names, deviations, strict=True):
            head.branch(m).basis.copy_(deviation.reciprocal().diag())
        return whole.new_zeros(0)
    places = dict(zip(names, torch.split(torch.arange(len(whole)), [len(means[m]) for m in names]), strict=True))
    whole = whole + ridge * torch.eye(len(whole), dtype=whole.dtype, device=whole.device)
    blocks = {
        (i, j): whole[places[i]][:, places[j]] for i, j in combinations_with_replacement(names, 2)
    }  # off the diagonal the ridge adds nothing
    kind = canonical.pairwise if head.multi == "pairwise" else canonical.mcca
    directions, correlations = kind(blocks, head.components)
    for m in names:
        head.branch(m).basis.copy_(directions[m])
    return correlations
