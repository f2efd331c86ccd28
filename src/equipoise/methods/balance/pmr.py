r"""PMR: prototypical modal rebalance.

Fan, Xu, Wang, Wang, Guo. PMR: Prototypical Modal Rebalance for Multimodal Learning. CVPR 2023.
Code: github.com/fanyunfeng-bit/Modal-Imbalance-PMR

Idea:
    The prototypes of a modality, its mean features per class, classify it without the head, and so
    without the other modalities. They tell which modality lags behind, and a cross-entropy over
    them (PCE) pushes its features towards their prototypes. In the first epochs an entropy (PER)
    keeps the distribution over prototypes of the leading modality flat.

    Before every epoch the prototypes are taken anew, in evaluation mode, from the first tenth of
    the epoch's batches. A class that has not been seen yet has no prototype: it takes part in no
    softmax, and its samples do not count.

    PMR works with any head, and costs a tenth of a pass over the training table per epoch. The
    paper says neither $\epsilon$ nor how many epochs are the first. $\epsilon$ is the code's, the
    number of epochs is ours.

Equations:
    With prototypes $c_k$ of modality $m$, and means over the samples that have $m$,

    $$q_m[k] = \mathrm{softmax}_k ( -\lVert z_m - c_k \rVert_2 ) \qquad
    s_m = \mathrm{mean} \, q_m[y]$$

    The lag of a modality behind the best, and its lead over the worst (Eq. 11):

    $$\beta_m = \mathrm{clip}(\max_j s_j / s_m - 1, \, 0, \, 1) \qquad
    \gamma_m = \mathrm{clip}(s_m / \min_j s_j - 1, \, 0, \, 1)$$

    $$L = \mathrm{CE}(f, y) + \alpha \sum_m \beta_m (-\log q_m[y]) - \mu \sum_m \gamma_m H(q_m)$$

    The last term is there in the first epochs only. $\beta$, $\gamma$ and the prototypes are
    constants to the gradient. For two modalities this is the paper's ($\beta = 1/\rho - 1$ and
    $\gamma = \rho - 1$ with $\rho = s_0 / s_1$); with more, a modality in between has both terms.
    The prototypes move by

    $$c \leftarrow \epsilon \, c_{old} + (1 - \epsilon) \, c_{new}$$

Where published code departs:
    β is 0 or 1                                                       `clipped: false`
    PER is absent                                                     `mu: 0`
    PCE ends after epoch 70 or 100                                    not offered
    prototypes of AVE come from the validation split, those of
    CG-MNIST from the test split                                      not offered
    a class that is absent from the subset makes its prototype NaN    not offered
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import torch
from torch import Tensor, nn

from equipoise.batch import Batch, Output
from equipoise.checks import flag, inside, integer, not_negative, require
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.parts.idle import warn_of_frozen_encoders, warn_of_one_modality
from equipoise.training.context import Context


def log_distribution(features: Tensor, prototypes: Tensor, known: Tensor) -> Tensor:
    """log q (B, C) from features (B, d), prototypes (C, d) and which of them are known (C,)."""
    # Not by the expansion of the square, which loses the digits of small distances. At distance 0
    # the gradient of `cdist` is 0.
    distance = torch.cdist(features, prototypes, compute_mode="donot_use_mm_for_euclid_dist")
    return (-distance).masked_fill(~known, torch.finfo(distance.dtype).min).log_softmax(1)


class Prototypes(nn.Module):
    """The prototypes of all modalities; part of a method's memory.

    Args:
        widths: {modality: d_m}.
        classes: C.
        dtype: of the features.

    Attributes:
        means: (C, Σ d_m), the modalities side by side; 0 for a class without a prototype.
        known: bool (M, C), which classes have a prototype.
    """

    means: Tensor
    known: Tensor

    def __init__(self, widths: Mapping[str, int], classes: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.modalities = list(widths)
        self.widths = list(widths.values())
        self.register_buffer("means", torch.zeros(classes, sum(self.widths), dtype=dtype))
        self.register_buffer("known", torch.zeros(len(widths), classes, dtype=torch.bool))

    @torch.no_grad()
    def take(self, ctx: Context, fraction: float, momentum: float) -> None:
        """Take them anew, in evaluation mode: c ← ε c_old + (1 − ε) c_new.

        Args:
            ctx: holds the model and the training table.
            fraction: of the epoch's batches that are read, from the first on.
            momentum: 1 − ε, the weight of c_new, where there is a c_old.
        """
        sums = torch.zeros_like(self.means)
        counts = torch.zeros(self.known.shape, dtype=sums.dtype, device=sums.device)

        def add(batch: Batch) -> None:
            features = torch.cat(list(ctx.model(batch).features.values()), dim=1)
            sums.index_add_(0, batch.label, features)  # zeros where absent
            for number, modality in enumerate(self.modalities):
                counts[number].index_add_(0, batch.label, batch.present[modality].to(sums.dtype))

        ctx.over(ctx.train, add, epoch=ctx.epoch, limit=ceil(fraction * len(ctx.train)))
        sums = ctx.sum(sums)
        counts = ctx.sum(counts)
        spread = self._spread(counts)
        new = sums / spread.clamp_min(1)
        moved = (1 - momentum) * self.means + momentum * new
        kept = torch.where(self._spread(self.known), moved, new)
        self.means.copy_(torch.where(spread > 0, kept, self.means))
        self.known |= counts > 0

    def log_distribution(self, modality: str, features: Tensor) -> Tensor:
        """log q_m (B, C) of features (B, d_m)."""
        number = self.modalities.index(modality)
        prototypes = torch.split(self.means, self.widths, dim=1)[number]
        return log_distribution(features, prototypes, self.known[number])

    def knows(self, modality: str, label: Tensor) -> Tensor:
        """bool (B,), which samples have a prototype of their class, from labels (B,)."""
        return self.known[self.modalities.index(modality)][label]

    def _spread(self, values: Tensor) -> Tensor:
        """Repeat a value per modality and class for every entry of its prototype.

        Args:
            values: (M, C).

        Returns:
            (C, Σ d_m).
        """
        return torch.cat(
            [v.unsqueeze(1).expand(-1, w) for v, w in zip(values, self.widths, strict=True)], dim=1
        )


def lag(scores: Tensor, seen: Tensor) -> Tensor:
    """β (M,), over the modalities that were seen (M,)."""
    best = scores.masked_fill(~seen, 0).max()
    return (best / scores.clamp_min(torch.finfo(scores.dtype).tiny) - 1).clamp(0, 1) * seen


def lead(scores: Tensor, seen: Tensor) -> Tensor:
    """γ (M,), over the modalities that were seen (M,)."""
    worst = scores.masked_fill(~seen, torch.inf).min()
    return (scores / worst.clamp_min(torch.finfo(scores.dtype).tiny) - 1).clamp(0, 1) * seen


class PMR(Joint):
    """Prototypical modal rebalance.

    Args:
        alpha: α, the weight of PCE; the authors take 1 or 2.
        mu: μ, the weight of PER; the authors take 0.01 or 0.001.
        entropy_epochs: number of epochs, from the first on, in which PER acts.
        momentum: 1 − ε, the weight of the newest epoch in the prototypes; 1 forgets the earlier
            ones.
        share: fraction of the epoch's batches from which the prototypes are taken.
        clipped: take β and γ as clipped ratios; false makes every positive one 1.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        mu: float = 0.01,
        entropy_epochs: int = 5,
        momentum: float = 0.8,
        share: float = 0.1,
        clipped: bool = True,
    ) -> None:
        super().__init__()
        require(
            "PMR",
            not_negative("alpha", alpha),
            not_negative("mu", mu),
            integer("entropy_epochs", entropy_epochs, 0),
            inside("momentum", momentum, "(0, 1]"),
            inside("share", share, "(0, 1]"),
            flag("clipped", clipped),
        )
        self.alpha = alpha
        self.mu = mu
        self.entropy_epochs = entropy_epochs
        self.momentum = momentum
        self.share = share
        self.clipped = clipped

    def setup(self, ctx: Context) -> None:
        """Allocate the prototypes; warn if no encoder trains, or there is a single modality."""
        if (self.alpha or self.mu) and not warn_of_frozen_encoders("method 'pmr'", ctx):
            warn_of_one_modality("method 'pmr'", ctx)
        head = ctx.model.head
        like = next(ctx.model.parameters())
        self.prototypes = Prototypes(head.widths, head.classes, like.dtype)

    def on_epoch_start(self, ctx: Context) -> None:
        if self.alpha or self.mu:
            self.prototypes.take(ctx, self.share, self.momentum)

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        """CE + α Σ β PCE − μ Σ γ H; with α = μ = 0 it is joint training."""
        loss = super().loss(output, batch, ctx)
        shown = ctx.present_in(batch)
        entropy = self.mu if ctx.epoch < self.entropy_epochs else 0.0
        if len(shown) < 2 or not (self.alpha or entropy):
            return loss
        log_q = [self.prototypes.log_distribution(m, output.features[m]) for m in shown]
        counted = [batch.present[m] & self.prototypes.knows(m, batch.label) for m in shown]
        true = [q.gather(1, batch.label.unsqueeze(1)).squeeze(1) for q in log_q]
        pairs = zip(true, counted, strict=True)
        scores = [ctx.sample_mean(t.detach().exp(), where) for t, where in pairs]
        seen = ctx.sum(torch.stack([where.sum() for where in counted])) > 0
        beta, gamma = self.coefficients(ctx.mean(torch.stack(scores)), seen)
        for q, t, where, b, g in zip(log_q, true, counted, beta, gamma, strict=True):
            loss = loss - self.alpha * b * ctx.sample_mean(t, where)
            if entropy:
                loss = loss + entropy * g * ctx.sample_mean((q.exp() * q).sum(1), where)
        ctx.log(**{f"beta/{m}": b for m, b in zip(shown, beta, strict=True)})
        return loss

    def coefficients(self, scores: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """β and γ (M,) from the scores (M,) of the modalities; 0 for one that was not seen."""
        beta = lag(scores, seen)
        gamma = lead(scores, seen)
        if self.clipped:
            return beta, gamma
        return beta.sign(), gamma.sign()
