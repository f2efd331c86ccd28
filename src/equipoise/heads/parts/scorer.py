"""Weights of the modalities in a sample: scores of the hidden features, and their softmax.

Yang, Wang, Zhan, Xiong, Jiang. Comprehensive Semi-Supervised Multi-Modal Learning (CMML). IJCAI
2019.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

HIDDEN = 128  # width of the features that are scored


class Scorer(nn.Sequential):
    """One scorer for all modalities: 128 – 64 – 32 – 1 with ReLU between (CMML's code)."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(HIDDEN, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Scores (…,) of hidden features (…, 128)."""
        score: Tensor = super().forward(hidden)  # type: ignore[no-untyped-call]
        return score.squeeze(-1)


def log_weights(scores: Tensor, shown: Tensor) -> Tensor:
    """log w (M, B), where w is the softmax of the scores (M, B) over the shown modalities.

    A modality that is not shown, by `shown` bool (M, B), has log w = −∞, hence w = 0.
    """
    return F.log_softmax(scores.masked_fill(~shown, -float("inf")), dim=0)
