"""How much a modality counts in a sample: a score for each hidden feature, softmax over the present
modalities.

Yang, Wang, Zhan, Xiong, Jiang. Comprehensive Semi-Supervised Multi-Modal Learning (CMML). IJCAI
2019.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

HIDDEN = 128  # width of the features it reads


class Scorer(nn.Sequential):
    """One scorer for all modalities: 128 – 64 – 32 – 1 with ReLU between (CMML's code); (B, 128) → (B,)."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(HIDDEN, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        score: Tensor = super().forward(hidden)  # type: ignore[no-untyped-call]
        return score.squeeze(-1)


def log_weights(scores: Tensor, shown: Tensor) -> Tensor:
    """log w with w = softmax over the shown modalities of the scores (M, B); −∞, hence w = 0, for the others."""
    return F.log_softmax(scores.masked_fill(~shown, -float("inf")), dim=0)
