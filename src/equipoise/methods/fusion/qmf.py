"""QMF: quality-aware multimodal fusion.

Zhang, Wu, Zhang, Hu, Fu, Zhou, Peng. Provable Dynamic Fusion for Low-Quality Multimodal Data. ICML
2023.
Code: github.com/QingyangZhang/QMF

The logits v_m of each modality are weighed by an energy-based confidence, and the confidences are
drawn towards the order in which samples have been easy over the training:

    c_m = log Σ_k exp(v_mk) / 10,  f = Σ_m c_m v_m                 the head's fusion
    κ_m[i] ← κ_m[i] + CE(v_m,i, y_i)                              at every visit of sample i, before the loss
    κ̄_m = (κ_m − min κ_m) / (max κ_m − min κ_m)                   over all training samples; 0 while all are equal
    R_m = mean over pairs (i, j) of max(0, s (c_i − c_j) − μ)     s = sign(κ̄_i − κ̄_j), μ = |κ̄_i − κ̄_j|
    L = CE(f, y) + Σ_m CE(v_m, y) + λ Σ_m R_m

A pair is a sample and the next one of the minibatch that has the modality, the last with the first.
The confidences are not detached in R. Any number of modalities; the memory κ is one number per
modality and training sample, filled and compared over all ranks. Absent modalities have neither
confidence, loss, history nor pairs.

Where the published code departs:
  its array called correctness accumulates the loss, so the sign of the ranking is flipped; the μ
  that was a required margin in the loss it adapts (github.com/daintlab/confidence-aware-learning)
  thereby became a tolerance, which is
  the default here                                                `rank_margin: margin` or `none` for the others
  one script ranks before the history's first entry and gets NaN  not offered: κ̄ is 0 then, and so
  is R
λ is 0.1 for colour and depth images, 1 for images and texts. Whether the loss of f trains the
confidences is the head's option `detach_confidence`; it does for colour and depth, and does not for
images and texts. The defaults, 0.1 and no, are those with which the MLA paper's code runs QMF on
convolutional networks.

Confidences may be negative. Where their sum over the modalities is not positive, which would turn
the prediction upside down, the head predicts by the plain mean of the logits, in evaluation only
(ours). Nor are they bounded, and the gradient of the fused loss grows with them: at a large
learning rate the logits run away, where `optimiser.clip` helps. The authors train by Adam.

Cost: that of late fusion.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.checks import choice, not_negative, require
from equipoise.heads import qmf
from equipoise.methods.parts.auxiliary import auxiliary_loss
from equipoise.methods.parts.own_head import OwnHead
from equipoise.training.context import Context

MARGINS = {"published": -1.0, "margin": 1.0, "none": 0.0}
"""What μ is multiplied by."""


def normalised(history: Tensor) -> Tensor:
    """κ̄ (M, N) in [0, 1] for each modality; 0 where all of its entries are equal."""
    low = history.amin(1, keepdim=True)
    high = history.amax(1, keepdim=True)
    return (history - low) / torch.where(high > low, high - low, 1.0)


def rank_loss(
    confidence: Tensor, difficulty: Tensor, present: Tensor, margin: str = "published"
) -> Tensor:
    """R, a scalar: mean of max(0, s (c_i − c_j) ∓ μ) over the pairs of consecutive present samples,
    in a ring.

    Args:
        confidence: c (B,).
        difficulty: κ̄ (B,) of the same samples.
        present: bool (B,).
        margin: one of `MARGINS`.
    """
    order = torch.argsort(
        (~present).long(), stable=True
    )  # the samples that count, in their order, then the others
    count = present.sum().clamp_min(1)
    position = torch.arange(len(order), device=order.device)
    partner = order[(position + 1) % count]
    gap = difficulty[order] - difficulty[partner]
    terms = F.relu(
        gap.sign() * (confidence[order] - confidence[partner]) + MARGINS[margin] * gap.abs()
    )
    return torch.where(present[order], terms, 0.0).sum() / count


class QMF(OwnHead[qmf.QMF]):
    """Losses of the fused and of each modality's prediction, and the ranking of the confidences.

    Args:
        rank_weight: λ.
        rank_margin: what the difference in difficulty is in the ranking: "published" (a tolerance),
            "margin" (a required margin) or "none".
    """

    name = "qmf"
    kind = qmf.QMF
    history: Tensor

    def __init__(self, rank_weight: float = 0.1, rank_margin: str = "published") -> None:
        super().__init__()
        require(
            "QMF",
            not_negative("rank_weight", rank_weight),
            choice("rank_margin", rank_margin, MARGINS),
        )
        self.rank_weight = rank_weight
        self.rank_margin = rank_margin

    def setup(self, ctx: Context) -> None:
        """Start with an empty history of every training sample.

        Raises:
            ConfigError: another head.
        """
        head = self.head(ctx.model)
        self.scale = head.confidence_scale
        zeros = next(head.parameters()).new_zeros(len(ctx.model.modalities), len(ctx.train.table))
        self.register_buffer("history", zeros.detach())

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        classification = auxiliary_loss(dict.fromkeys(ctx.training, 1.0), output, batch, ctx)
        return classification + self.rank_weight * self.ranking(output, batch, ctx)

    def ranking(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        """Enter the losses in the history, then Σ_m R_m over the samples of all ranks."""
        logits = torch.stack([output.logits[m] for m in ctx.model.modalities])  # (M, B, C)
        confidence = qmf.energy_confidence(logits, self.scale).T
        # A rank without any sample takes part in the exchange of the backward pass as well.
        confidence = ctx.gather(confidence.requires_grad_()).T
        rows = [batch.index, *(batch.present[m].long() for m in ctx.model.modalities)]
        index, *shown = ctx.gather(torch.stack(rows, 1)).T
        present = torch.stack(shown).bool()
        self.remember(ctx.gather(_losses(logits.detach(), batch.label).T).T, index, present)
        difficulty = normalised(self.history)[:, index]
        terms = [
            rank_loss(*row, self.rank_margin)
            for row in zip(confidence, difficulty, present, strict=True)
        ]
        return torch.stack(terms).sum()

    def remember(self, losses: Tensor, index: Tensor, present: Tensor) -> None:
        """κ_m[i] += loss (M, B) of the samples `index` (B,) that have the modality, bool (M, B)."""
        self.history.index_add_(1, index, torch.where(present, losses, 0.0).to(self.history.dtype))


def _losses(logits: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy (M, B) of logits (M, B, C)."""
    return F.cross_entropy(logits.movedim(-1, 1), label.expand(len(logits), -1), reduction="none")
