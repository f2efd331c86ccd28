r"""QMF: quality-aware multimodal fusion.

Zhang, Wu, Zhang, Hu, Fu, Zhou, Peng. Provable Dynamic Fusion for Low-Quality Multimodal Data. ICML
2023.
Code: github.com/QingyangZhang/QMF

Idea:
    The logits of each modality are weighed by an energy-based confidence, and the confidences are
    drawn towards the order in which samples have been easy over the training: the history of a
    sample is the sum of its losses so far.

    Whether the loss of $f$ trains the confidences is the head's option `detach_confidence`. In the
    published code it does for colour and depth images, where $\lambda$ is 0.1, and does not for
    images and texts, where $\lambda$ is 1. The defaults, 0.1 and no detaching, are those with which
    the MLA paper's code runs QMF on convolutional networks.

    Confidences may be negative. Where their sum over the modalities is not positive, which would
    turn the prediction upside down, the head predicts by the plain mean of the logits, in
    evaluation only (ours). Nor are they bounded, and the gradient of the fused loss grows with
    them: at a large learning rate the logits run away, where `optimiser.clip` helps. The authors
    train by Adam.

    Any number of modalities. The memory is one number per modality and training sample, filled and
    compared over all ranks. Absent modalities have neither confidence, loss, history nor pairs. The
    cost is that of late fusion.

Equations:
    The fusion of the head, with confidences $c_m$:

    $$c_m = \log \sum_k \exp(v_{mk}) \,/\, 10 \qquad f = \sum_m c_m v_m$$

    The history of sample $i$, at every visit, before the loss is taken; and normalised over all
    training samples (0 while all are equal):

    $$\kappa_m[i] \leftarrow \kappa_m[i] + \mathrm{CE}(v_{m,i}, y_i) \qquad
    \bar\kappa_m = \frac{\kappa_m - \min \kappa_m}{\max \kappa_m - \min \kappa_m}$$

    The ranking, a mean over pairs $(i, j)$ with $s = \mathrm{sign}(\bar\kappa_i - \bar\kappa_j)$
    and $\mu = | \bar\kappa_i - \bar\kappa_j |$:

    $$R_m = \mathrm{mean} \, \max(0, \, s (c_i - c_j) - \mu)$$

    $$L = \mathrm{CE}(f, y) + \sum_m \mathrm{CE}(v_m, y) + \lambda \sum_m R_m$$

    A pair is a sample and the next one of the minibatch that has the modality, the last with the
    first. The confidences are not detached in $R$.

    The array that the published code calls correctness accumulates the loss, so the sign of the
    ranking is flipped against the loss it adapts
    (github.com/daintlab/confidence-aware-learning). The $\mu$ that was a required margin there
    thereby became a tolerance, which is the default here as well.

Where published code departs:
    μ is a tolerance, as here by default, and not the
    required margin of the loss it adapts                    `rank_margin: margin` or `none`
    one script ranks before the history's first entry and
    gets NaN; here the history is 0 then, and so is R        not offered
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
"""The factor of μ in the ranking."""


def normalised(history: Tensor) -> Tensor:
    """κ̄ (M, N) in [0, 1] for each modality; 0 where all of its entries are equal."""
    low = history.amin(1, keepdim=True)
    high = history.amax(1, keepdim=True)
    return (history - low) / torch.where(high > low, high - low, 1.0)


def rank_loss(
    confidence: Tensor, difficulty: Tensor, present: Tensor, margin: str = "published"
) -> Tensor:
    """R, a scalar: the mean of max(0, s (c_i − c_j) ∓ μ) over pairs of consecutive samples.

    Only samples that have the modality form pairs, in a ring: the last with the first.

    Args:
        confidence: c (B,).
        difficulty: κ̄ (B,) of the same samples.
        present: bool (B,), which samples have the modality.
        margin: one of `MARGINS`.
    """
    # The samples that count, in their order, then the others.
    order = torch.argsort((~present).long(), stable=True)
    count = present.sum().clamp_min(1)
    position = torch.arange(len(order), device=order.device)
    partner = order[(position + 1) % count]
    gap = difficulty[order] - difficulty[partner]
    surer = confidence[order] - confidence[partner]
    terms = F.relu(gap.sign() * surer + MARGINS[margin] * gap.abs())
    return torch.where(present[order], terms, 0.0).sum() / count


def _cross_entropies(logits: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy (M, B) of logits (M, B, C)."""
    return F.cross_entropy(logits.movedim(-1, 1), label.expand(len(logits), -1), reduction="none")


class QMF(OwnHead[qmf.QMF]):
    """Losses of the fused and of each modality's prediction, and the ranking of the confidences.

    Args:
        rank_weight: λ, the weight of the ranking of the confidences.
        rank_margin: use of the difference in difficulty μ in the ranking: "published" (a
            tolerance), "margin" (a required margin) or "none".
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
            ConfigError: the head is another one.
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
        self.remember(
            ctx.gather(_cross_entropies(logits.detach(), batch.label).T).T, index, present
        )
        difficulty = normalised(self.history)[:, index]
        terms = [
            rank_loss(*row, self.rank_margin)
            for row in zip(confidence, difficulty, present, strict=True)
        ]
        return torch.stack(terms).sum()

    def remember(self, losses: Tensor, index: Tensor, present: Tensor) -> None:
        """κ_m[i] += loss (M, B) of the samples `index` (B,) that have the modality, bool (M, B)."""
        self.history.index_add_(1, index, torch.where(present, losses, 0.0).to(self.history.dtype))
