"""CPM-Net: cross partial multi-view networks.

Zhang, Han, Cui, Fu, Zhou, Hu. CPM-Nets: Cross Partial Multi-View Networks. NeurIPS 2019; Deep
Partial Multi-View Learning. IEEE TPAMI 2022. Code: github.com/hanmenghan/CPM_Nets

Every training sample has a latent vector h_n of its own, which must decode into the modalities that
the sample has and lie near its class; nothing is imputed. With s_nm = 1 where modality m is present
and f_m its decoder,

    min over h, f of  mean_n [Σ_m s_nm ‖f_m(h_n) − z_nm‖² + λ ℓ_c(n)]
    ℓ_c(n) = max_y max(0, [y ≠ y_n] + g_y(h_n) − g_{y_n}(h_n)),   g_y(h) = h · (mean of the latents of class y)

the sample itself left out of its class's mean. Each step moves the decoders once with the latents
held (through the run's optimiser, on the first term), then the batch's latents with the decoders
and the class means held (by Adam, on both terms, several times). A sample is predicted by argmax_y
g_y(h), where h is fitted to the first term alone.

The latents are free, and so the encoders cannot learn from them: they would do best to make all
features alike. They are trained first, with a linear classifier of the features, and are then
frozen; encoders without parameters to train leave that stage out. Validation looks at latents that
have learned nothing until then: give `patience` more epochs. With few epochs in all it trails joint
training, whose encoders learn in every one of them.

Where it departs from the paper: it trains on minibatches, not on the whole table at once; what a
latent does to its class's mean is felt at the next step, not differentiated; test latents are not
searched by gradient descent but solved for with a small ridge, which linear decoders (those of the
published code) allow, and the decoders are not trained again for them. The published code adds 1 to
the loss of wrongly predicted samples only, so that no margin is
kept: `margin: code`. Any number of modalities. Cost: one forward pass, a backward pass in the share
    `pretrain`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.batch import Batch
from equipoise.checks import choice, not_negative, positive, require, whole
from equipoise.heads.cpm_net import CPMNet as Head
from equipoise.methods.parts.frozen_encoders import FrozenEncoders
from equipoise.methods.parts.reconstruction import classification
from equipoise.training.context import Context

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Latents(nn.Module):
    """Latents h (N, K) and the state of their Adam, keyed by the row of the training table, alike
    on every rank.

    Args:
        labels: int64 (N,), the class of each row.
        classes: number of classes C.
        like: a tensor of the dtype and on the device to use.
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
        """Start anew, Xavier-uniform."""
        bound = math.sqrt(6 / sum(self.latent.shape))
        drawn = torch.rand(self.latent.shape, generator=generator, dtype=torch.float64)
        self.latent.copy_((2 * drawn - 1) * bound)
        for buffer in (self.first, self.second, self.moves):
            buffer.zero_()

    def sums(self) -> tuple[Tensor, Tensor]:
        """Sum (C, K) of the latents of each class, and how many it has (C,)."""
        total = self.latent.new_zeros(self.classes, self.latent.shape[1]).index_add(
            0, self.label, self.latent
        )
        return total, torch.bincount(self.label, minlength=self.classes).to(total.dtype)

    def move(self, rows: Tensor, gradient: Tensor, rate: float, ctx: Context) -> None:
        """One step of Adam for these rows (B,) along gradients (B, K); every rank learns of all of them."""
        whole = ctx.gather(rows)
        slope = ctx.gather(gradient)
        moves = self.moves[whole] + 1
        first = BETAS[0] * self.first[whole] + (1 - BETAS[0]) * slope
        second = BETAS[1] * self.second[whole] + (1 - BETAS[1]) * slope.square()
        step = (
            first / (1 - BETAS[0] ** moves) / ((second / (1 - BETAS[1] ** moves)).sqrt() + EPSILON)
        )
        changed = (self.latent[whole] - rate * step, first, second, moves)
        for buffer, values in zip(
            (self.latent, self.first, self.second, self.moves), changed, strict=True
        ):
            buffer.index_copy_(0, whole, values)


MARGINS = ("paper", "code")


def class_scores(
    latent: Tensor, held: Tensor, label: Tensor, sums: Tensor, counts: Tensor
) -> Tensor:
    """g (B, C): products of latents (B, K) with the class means, each sample left out of its own
    class's.

    Args:
        latent: the latents that are scored.
        held: those that `sums` contains, before any change.
        label: int64 (B,).
        sums: (C, K), of the latents of each class.
        counts: (C,), their numbers; the only sample of a class scores 0 for it.
    """
    others = (sums[label] - held) / (counts[label] - 1).clamp_min(1).unsqueeze(1)
    own = torch.where(counts[label] > 1, (latent * others).sum(1), 0.0)
    return (latent @ (sums / counts.clamp_min(1).unsqueeze(1)).T).scatter(
        1, label.unsqueeze(1), own.unsqueeze(1)
    )


def clustering_loss(scores: Tensor, label: Tensor, margin: str = "paper") -> Tensor:
    """ℓ_c (B,) of class scores (B, C): the margin violated most, or as the published code has it."""
    own = scores.gather(1, label.unsqueeze(1))
    wrong = 1 - F.one_hot(label, scores.shape[1]).to(scores.dtype)
    if margin == "code":
        best, predicted = scores.max(1)
        return best - own.squeeze(1) + (predicted != label)
    return (wrong + scores - own).amax(1)


class CPMNet(FrozenEncoders[Head]):
    """Cross partial multi-view network.

    Args:
        weight: λ of the clustering; the paper tries 0.1, 1 and 10.
        latent_lr: learning rate of the latents' Adam.
        latent_steps: steps of a batch's latents after each step of the decoders.
        margin: "paper", or "code" for no margin where the prediction is right.
        pretrain: share of the epochs that train the encoders, before the latents.
    """

    name = "cpm-net"
    kind = Head
    memory: Latents

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
            whole("latent_steps", latent_steps, 1),
            choice("margin", margin, MARGINS),
        )
        self.weight = weight
        self.latent_lr = latent_lr
        self.latent_steps = latent_steps
        self.margin = margin

    def setup(self, ctx: Context) -> None:
        """Room for the latents; raises ConfigError for another head."""
        super().setup(ctx)
        head = self.head(ctx.model)
        labels = torch.as_tensor(ctx.train.table.label)
        self.memory = Latents(labels, head.classes, head.prototypes, head.latent)

    def on_phase_start(self, ctx: Context) -> None:
        if ctx.position.phase == 1:
            self.memory.draw(ctx.rng)

    def encoder_loss(self, features: Mapping[str, Tensor], batch: Batch, ctx: Context) -> Tensor:
        logits, _ = self.head(ctx.model).pretraining.fuse(features, {}, batch.present)
        return classification(logits, batch, ctx)

    def fit(self, features: Mapping[str, Tensor], batch: Batch, ctx: Context) -> None:
        head = self.head(ctx.model)
        ctx.backward(
            ctx.sample_mean(decoding_loss(head, self.memory.latent[batch.index], features, batch))
        )
        ctx.update()
        for _ in range(self.latent_steps):
            self.memory.move(batch.index, self.slope(head, features, batch), self.latent_lr, ctx)
        sums, counts = self.memory.sums()
        head.prototypes.copy_(sums / counts.clamp_min(1).unsqueeze(1))

    def slope(self, head: Head, features: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The gradient (B, K) of both terms in the latents of the batch."""
        held = self.memory.latent[batch.index]
        latent = held.clone().requires_grad_()
        scores = class_scores(latent, held, batch.label, *self.memory.sums())
        clustering = clustering_loss(scores, batch.label, self.margin)
        loss = decoding_loss(head, latent, features, batch) + self.weight * clustering
        (slope,) = torch.autograd.grad(loss.sum(), latent)
        return slope


def decoding_loss(
    head: Head, latent: Tensor, features: Mapping[str, Tensor], batch: Batch
) -> Tensor:
    """Σ_m s_m ‖f_m(h) − z_m‖² (B,) over the present modalities."""
    loss = latent.new_zeros(len(latent))
    for modality, target in features.items():
        error = (head.decode(modality, latent) - target).square().sum(1)
        loss = loss + torch.where(batch.present[modality], error, 0.0)
    return loss
