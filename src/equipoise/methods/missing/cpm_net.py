r"""CPM-Net: cross partial multi-view networks.

Zhang, Han, Cui, Fu, Zhou, Hu. CPM-Nets: Cross Partial Multi-View Networks. NeurIPS 2019; Deep
Partial Multi-View Learning. IEEE TPAMI 2022.
Code: github.com/hanmenghan/CPM_Nets

Idea:
    Every training sample has a latent vector of its own. It must decode into the modalities that
    the sample has and lie near its class; nothing is imputed. Each step moves the decoders once
    while the latents are held, by the run's optimiser on the first term. It then moves the latents
    of the batch several times while the decoders and the class means are held, by Adam on both
    terms. The prediction for a sample is the class with the largest score of a latent that is
    fitted to the first term alone.

    The latents are free, so the encoders cannot learn from them: they would do best to make all
    features alike. The encoders are trained first, with a linear classifier of the features, and
    are then frozen. Encoders without parameters to train skip that stage. Validation sees latents
    that have learned nothing until then, so no epoch of that stage is chosen, and `patience` counts
    none. With few epochs in all the method trails joint training, whose encoders learn in every one
    of them.

    Any number of modalities. Cost: one forward pass, and a backward pass in the fraction `pretrain`
    of the epochs.

Equations:
    With latents $h_n$, decoders $f_m$, and $s_{nm} = 1$ where modality $m$ is present:

    $$\min_{h, f} \; \mathrm{mean}_n \left[ \sum_m s_{nm} \lVert f_m(h_n) - z_{nm} \rVert^2
        + \lambda \, \ell_c(n) \right]$$

    $$\ell_c(n) = \max_y \max\left(0, \, [y \ne y_n] + g_y(h_n) - g_{y_n}(h_n)\right)$$

    where $g_y(h) = h \cdot \bar h_y$ and $\bar h_y$ is the mean of the latents of class $y$, the
    sample itself left out of the mean of its own class. A sample is predicted as
    $\arg\max_y g_y(h)$.

Where published code departs:
    the whole table is one batch; here training uses
    minibatches                                          not offered
    the change that a latent makes to the mean of its
    class is differentiated (paper); here it is felt at
    the next step                                        not offered
    test latents are found by gradient descent, and the
    decoders are trained again for them; here latents
    are solved for with a small ridge, which the linear
    decoders of the published code allow                 head option `ridge`
    1 is added to the loss of wrong predictions only,
    so that no margin is kept                            `margin: code`
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.batch import Batch
from equipoise.checks import choice, integer, not_negative, positive, require
from equipoise.heads.cpm_net import CPMNet as Head
from equipoise.methods.parts.frozen_encoders import FrozenEncoders
from equipoise.methods.parts.losses import mean_loss
from equipoise.training.context import Context

BETAS = (0.9, 0.999)  # of the latents' Adam
EPSILON = 1e-8
CLUSTERING_MARGINS = ("paper", "code")


def decoding_loss(
    head: Head, latent: Tensor, features: Mapping[str, Tensor], batch: Batch
) -> Tensor:
    """Σ_m s_m ‖f_m(h) − z_m‖² (B,), the first term of the objective.

    Args:
        head: decodes.
        latent: h (B, K).
        features: z, {modality: (B, d_m)}.
        batch: the samples; absent modalities do not count.
    """
    loss = latent.new_zeros(len(latent))
    for modality, target in features.items():
        error = (head.decode(modality, latent) - target).square().sum(1)
        loss = loss + torch.where(batch.present[modality], error, 0.0)
    return loss


def class_scores(
    latent: Tensor, held: Tensor, label: Tensor, sums: Tensor, counts: Tensor
) -> Tensor:
    """g (B, C): products of latents with the class means.

    Each sample is left out of the mean of its own class.

    Args:
        latent: (B, K), the latents that are scored.
        held: (B, K), the same latents as `sums` contains them, before any change.
        label: int64 (B,).
        sums: (C, K), the sum of the latents of each class.
        counts: (C,), the number of rows of each class; the only row of a class scores 0 for it.
    """
    others = (sums[label] - held) / (counts[label] - 1).clamp_min(1).unsqueeze(1)
    own = torch.where(counts[label] > 1, (latent * others).sum(1), 0.0)
    means = sums / counts.clamp_min(1).unsqueeze(1)
    return (latent @ means.T).scatter(1, label.unsqueeze(1), own.unsqueeze(1))


def clustering_loss(scores: Tensor, label: Tensor, margin: str = "paper") -> Tensor:
    """ℓ_c (B,) of class scores (B, C): the largest violation of a margin.

    `margin` "code" is the published code, which adds 1 to the loss of wrong predictions only.
    """
    own = scores.gather(1, label.unsqueeze(1))
    wrong = 1 - F.one_hot(label, scores.shape[1]).to(scores.dtype)
    if margin == "code":
        best, predicted = scores.max(1)
        return best - own.squeeze(1) + (predicted != label)
    return (wrong + scores - own).amax(1)


class Latents(nn.Module):
    """Latents h (N, K) and the state of their Adam, by row of the training table.

    They are the same on every rank.

    Args:
        labels: int64 (N,), the class of each row.
        classes: number of classes C.
        like: tensor whose dtype and device are used.
        width: K.
    """

    latent: Tensor
    first: Tensor
    second: Tensor
    moves: Tensor
    label: Tensor

    def __init__(self, labels: Tensor, classes: int, like: Tensor, width: int) -> None:
        super().__init__()
        for name in ("latent", "first", "second"):
            self.register_buffer(name, like.new_zeros(len(labels), width))
        self.register_buffer("moves", like.new_zeros(len(labels), 1))
        self.register_buffer("label", labels.to(like.device))
        self.classes = classes

    def draw(self, generator: torch.Generator) -> None:
        """Draw all latents by Xavier's uniform rule, and forget the state of Adam."""
        bound = math.sqrt(6 / sum(self.latent.shape))
        drawn = torch.rand(self.latent.shape, generator=generator, dtype=torch.float64)
        self.latent.copy_((2 * drawn - 1) * bound)
        for buffer in (self.first, self.second, self.moves):
            buffer.zero_()

    def sums(self) -> tuple[Tensor, Tensor]:
        """Sum (C, K) of the latents of each class, and number (C,) of its rows."""
        total = self.latent.new_zeros(self.classes, self.latent.shape[1]).index_add(
            0, self.label, self.latent
        )
        return total, torch.bincount(self.label, minlength=self.classes).to(total.dtype)

    def move(self, rows: Tensor, gradient: Tensor, rate: float, ctx: Context) -> None:
        """Move latents by one step of Adam.

        Args:
            rows: int64 (B,), rows of the training table.
            gradient: (B, K).
            rate: learning rate.
            ctx: gathers rows and gradients of all ranks, so that the latents stay the same on each.
        """
        gathered = ctx.gather(rows)
        slope = ctx.gather(gradient)
        moves = self.moves[gathered] + 1
        first = BETAS[0] * self.first[gathered] + (1 - BETAS[0]) * slope
        second = BETAS[1] * self.second[gathered] + (1 - BETAS[1]) * slope.square()
        root = (second / (1 - BETAS[1] ** moves)).sqrt()
        step = first / (1 - BETAS[0] ** moves) / (root + EPSILON)
        self.latent.index_copy_(0, gathered, self.latent[gathered] - rate * step)
        self.first.index_copy_(0, gathered, first)
        self.second.index_copy_(0, gathered, second)
        self.moves.index_copy_(0, gathered, moves)


class CPMNet(FrozenEncoders[Head]):
    """Cross partial multi-view network.

    Args:
        weight: λ, the weight of the clustering; the paper tries 0.1, 1 and 10.
        latent_lr: learning rate of the latents' Adam.
        latent_steps: steps of the latents of a batch after each step of the decoders.
        margin: of the clustering, "paper", or "code" for no margin where the prediction is right.
        pretrain: fraction of the epochs that train the encoders, before the latents.
    """

    name = "cpm-net"
    kind = Head
    memory: Latents
    # Class means, which the second stage trains by, know no weights.
    takes_loss = False
    takes_weight = False

    def __init__(
        self,
        weight: float = 1.0,
        latent_lr: float = 0.01,
        latent_steps: int = 5,
        margin: str = "paper",
        pretrain: float = 0.5,
    ) -> None:
        super().__init__(pretrain)
        require(
            "CPMNet",
            not_negative("weight", weight),
            positive("latent_lr", latent_lr),
            integer("latent_steps", latent_steps, 1),
            choice("margin", margin, CLUSTERING_MARGINS),
        )
        self.weight = weight
        self.latent_lr = latent_lr
        self.latent_steps = latent_steps
        self.margin = margin

    def setup(self, ctx: Context) -> None:
        """Allocate the latents.

        Raises:
            ConfigError: the head is another one.
        """
        super().setup(ctx)
        head = self.head(ctx.model)
        labels = torch.as_tensor(ctx.train.table.label)
        self.memory = Latents(labels, head.classes, head.prototypes, head.latent)

    def on_phase_start(self, ctx: Context) -> None:
        if ctx.position.phase == 1:
            self.memory.draw(ctx.rng)

    def encoder_loss(self, features: Mapping[str, Tensor], batch: Batch, ctx: Context) -> Tensor:
        logits, _ = self.head(ctx.model).pretraining.fuse(features, {}, batch.present)
        return mean_loss(logits, batch, ctx)

    def fit(self, features: Mapping[str, Tensor], batch: Batch, ctx: Context) -> None:
        head = self.head(ctx.model)
        latent = self.memory.latent[batch.index]
        ctx.backward(ctx.sample_mean(decoding_loss(head, latent, features, batch)))
        ctx.update()
        for _ in range(self.latent_steps):
            self.memory.move(batch.index, self.slope(head, features, batch), self.latent_lr, ctx)
        sums, counts = self.memory.sums()
        head.prototypes.copy_(sums / counts.clamp_min(1).unsqueeze(1))

    def slope(self, head: Head, features: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Gradient (B, K) of both terms by the latents of the batch."""
        held = self.memory.latent[batch.index]
        latent = held.clone().requires_grad_()
        scores = class_scores(latent, held, batch.label, *self.memory.sums())
        clustering = clustering_loss(scores, batch.label, self.margin)
        loss = decoding_loss(head, latent, features, batch) + self.weight * clustering
        (slope,) = torch.autograd.grad(loss.sum(), latent)
        return slope
