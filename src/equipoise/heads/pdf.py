r"""PDF: logits of each modality, weighed by predicted confidences that account for each other.

Cao, Xia, Ding, Zhang, Hu. Predictive Dynamic Fusion. ICML 2024.

With a small network $A_m$ on the features $z_m$, and $u_m$ the spread of a prediction:

$$t_m = \sigma(A_m z_m) \qquad o_m = 1 - \log t_m \,/\, \sum_j \log t_j \qquad
u_m = \mathrm{mean}_c \, | p_m(c) - 1/C |$$

$$w = \mathrm{softmax}_m (t_m + o_m) \ \text{in training}, \qquad
w = \mathrm{softmax}_m \left( (t_m + o_m) \, \frac{u_m}{\max_j u_j} \right) \ \text{in prediction}$$

$$f = \sum_m w_m v_m \qquad v_m = z_m W_m^\top + b_m$$

Sums and maxima are over the modalities that a sample has. No gradient passes through $w$. For two
modalities $o_m$ is the published $\log t_j / (\log t_m + \log t_j)$.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.heads.base import Head
from equipoise.heads.parts.fusion import weigh
from equipoise.heads.parts.presence import stacked

NEAREST = 1e-6
"""Distance that a confidence keeps from 0 and 1, whose logarithms would be infinite or 0 / 0."""


def beliefs(confidence: Tensor, present: Tensor) -> Tensor:
    """t_m + o_m (M, B) of confidences t (M, B), over the present modalities, bool (M, B)."""
    log_t = torch.where(present, confidence.log(), 0.0)
    return confidence + 1 - log_t / log_t.sum(0)


def spreads(logits: Tensor, present: Tensor) -> Tensor:
    """u_m / max_j u_j (M, B) of logits (M, B, C), over the present modalities, bool (M, B)."""
    spread = (logits.softmax(-1) - 1 / logits.shape[-1]).abs().mean(-1)
    largest = torch.where(present, spread, 0.0).amax(0)
    return spread / largest.clamp_min(torch.finfo(spread.dtype).tiny)


class PDF(Head):
    """A linear classifier and a confidence for each modality."""

    own_classifiers = True
    fused_only = "confidences"

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        super().__init__(widths, classes)
        for modality, width in widths.items():
            self.blocks[modality] = nn.ModuleDict(
                {
                    "classifier": nn.Linear(width, classes),
                    # No activations between, as published.
                    "confidence": nn.Sequential(
                        nn.Linear(width, 2 * width),
                        nn.Linear(2 * width, width),
                        nn.Linear(width, 1),
                    ),
                }
            )

    def unimodal(self, modality: str, features: Tensor) -> Tensor:
        logits: Tensor = self.blocks[modality]["classifier"](features)  # type: ignore[index]
        return logits

    def confidence(self, modality: str, features: Tensor) -> Tensor:
        """t_m (B,) of features (B, d_m), to which no gradient passes."""
        score: Tensor = self.blocks[modality]["confidence"](features.detach())  # type: ignore[index]
        full = score.to(torch.promote_types(score.dtype, torch.float32))
        return full.squeeze(1).sigmoid().clamp(NEAREST, 1 - NEAREST)

    def fuse(
        self,
        features: Mapping[str, Tensor],
        logits: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        there = [present[m] for m in self.modalities]
        values, shown = stacked((logits[m] for m in self.modalities), there)
        with torch.no_grad():
            confidence = torch.stack([self._known(m, features, values) for m in self.modalities])
            belief = beliefs(confidence, shown)
            if not self.training:
                belief = belief * spreads(values, shown)
            weights = torch.where(shown, belief, -torch.inf).softmax(0)
        return weigh(values, weights)

    def _known(self, modality: str, features: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """t_m (B,); one half for a modality that the batch lacks, which has no weight anyway."""
        if modality not in features:
            return like.new_full((like.shape[1],), 0.5)
        return self.confidence(modality, features[modality])
