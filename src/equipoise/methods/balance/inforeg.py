"""InfoReg: the modality that is ahead is held back while its encoder takes in information fastest.

Huang, Wei, Yang, Hu. Adaptive Unimodal Regulation for Balanced Multimodal Information Acquisition.
CVPR 2025.
Code: github.com/GeWu-Lab/InfoReg_CVPR2025

Joint training, L = CE(f, y) + a Σ_m CE(u_m, y), with a proximal term on the encoders that are
ahead:

    s_m    = mean over the samples of softmax(u_m)[y]         how well it does alone
    Δ_m    = s_m − mean of the others' s
    T_m(e) = mean over the steps of epoch e of ‖∇_θm L‖²      trace of the encoder's Fisher information
    G_m    = (T̄_m(e−1) − T̄_m(e−2)) / T̄_m(e−1)                its relative growth, T̄ a mean over the last epochs
    g_m   ← g_m + α_m (θ_m − θ_m^start),  α_m = c exp(β tanh Δ_m),     if Δ_m > 0 and G_m > K

that is, the gradient of (α_m / 2) ‖θ_m − θ_m^start‖², with θ_m^start the encoder at the start of
the epoch. The epochs with G_m > K are the "prime learning window"; the first two, which have no
growth to look at, are in it.

Why it is among the newer methods here: its equations were read in the paper as well as in the code.
Where the code
departs: the growth is that of the audio encoder for both (here each its own), over a sum of
    per-layer mean squares;
Δ comes from sums over the batch, so that tanh is ±1 (here means, as Δ is to measure); c is 0.95 for
audio and 0.1 for video, and one branch can never be taken, so that only audio is ever held back;
the unimodal losses are always on (`unimodal_weight: 1`; the paper has results with and without).
The paper has c = 1. Unverified: its β, K and how it smooths T. Defaults are the code's: c = 0.95, β
= 1, K = 0.05, a mean over the last ten epochs. In the code those before the first count as zeros,
so that for ten epochs any trace grows; here the mean is over the epochs there are.

More than two modalities: Δ to the mean of the others, as for two. Cost: as joint training, and a
copy of the encoders.
"""

from __future__ import annotations

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import not_negative, require, whole
from equipoise.methods.parts.auxiliary import auxiliary_loss, require_trained_classifiers
from equipoise.methods.parts.idle import warn_of_frozen_encoders, warn_of_one_modality
from equipoise.methods.parts.scores import true_class_scores
from equipoise.methods.parts.snapshot import EncoderCopy
from equipoise.training.context import Context
from equipoise.training.method import Method


def growth(history: Tensor, epochs: int) -> Tensor:
    """G (M,), the relative growth of the mean trace from one epoch to the next; 1 until there are
    two.

    Args:
        history: traces (M, w + 1) of the last epochs, oldest first; a mean is over w of them, or
            those there are.
        epochs: how many have been filled in, from the right.
    """
    if epochs < 2:
        return torch.ones_like(history[:, 0])
    seen = history[:, -epochs:]
    now = seen[:, 1 - history.shape[1] :].mean(1)
    before = seen[:, :-1].mean(1)
    return (now - before) / now.clamp_min(torch.finfo(now.dtype).tiny)


def pull(lead: Tensor, growing: Tensor, beta: float, strength: float, threshold: float) -> Tensor:
    """α (M,) from Δ (M,) and G (M,); 0 where a modality is not ahead or its window is over."""
    held = (lead > 0) & (growing > threshold)
    return torch.where(held, strength * torch.exp(beta * torch.tanh(lead)), 0.0)


def leads(scores: Tensor) -> Tensor:
    """Δ (M,): each score minus the mean of the others', M ≥ 2."""
    count = len(scores)
    return (scores - scores.mean()) * count / (count - 1)


class InfoReg(Method):
    """Regulation of information acquisition.

    Args:
        strength: c, at least 0; 0 regulates nothing.
        beta: β, at least 0.
        threshold: K, at least 0.
        smoothing: epochs in the mean T̄, at least 1; fewer while there are fewer.
        unimodal_weight: a, at least 0.
    """

    history: Tensor
    trace: Tensor
    steps: Tensor
    growing: Tensor

    def __init__(
        self,
        strength: float = 0.95,
        beta: float = 1.0,
        threshold: float = 0.05,
        smoothing: int = 10,
        unimodal_weight: float = 0.0,
    ) -> None:
        super().__init__()
        given = {
            "strength": strength,
            "beta": beta,
            "threshold": threshold,
            "unimodal_weight": unimodal_weight,
        }
        require(
            "InfoReg",
            *[not_negative(name, value) for name, value in given.items()],
            whole("smoothing", smoothing, 1),
        )
        self.strength = strength
        self.beta = beta
        self.threshold = threshold
        self.smoothing = smoothing
        self.unimodal_weight = unimodal_weight

    def setup(self, ctx: Context) -> None:
        """Allocate the traces and the copy of the encoders; warns where there is nothing to
        regulate.

        Raises:
            ConfigError: only unimodal losses, of which there are none, would train the classifiers
                that are compared.
        """
        if self.unimodal_weight == 0:
            remedy = "set 'unimodal_weight' above 0, or use head 'concat'"
            require_trained_classifiers("method 'inforeg'", ctx.model.head, remedy)
        reference = next(ctx.model.parameters())
        count = len(ctx.model.modalities)
        self.register_buffer("history", reference.new_zeros(count, self.smoothing + 1))
        self.register_buffer(
            "trace", reference.new_zeros(count)
        )  # summed over the steps of the current epoch
        self.register_buffer("steps", reference.new_zeros(()))
        self.register_buffer("growing", reference.new_ones(count))
        self.start = EncoderCopy(ctx.model)
        if self.strength and not warn_of_frozen_encoders("regulation", ctx):
            warn_of_one_modality("regulation", ctx)

    @torch.no_grad()
    def on_epoch_start(self, ctx: Context) -> None:
        if ctx.epoch:
            latest = self.trace / self.steps.clamp_min(1)
            self.history.copy_(torch.cat([self.history[:, 1:], latest.unsqueeze(1)], 1))
            self.growing.copy_(growth(self.history, ctx.epoch))
        self.trace.zero_()
        self.steps.zero_()
        self.start.take()

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        return auxiliary_loss(dict.fromkeys(ctx.training, self.unimodal_weight), output, batch, ctx)

    @torch.no_grad()
    def edit_gradients(self, output: Output, batch: Batch, ctx: Context) -> None:
        shown = ctx.present_in(batch)
        where = [ctx.model.modalities.index(m) for m in shown]
        for modality, row in zip(shown, where, strict=True):
            gradients = [p.grad for p, _ in self.start.pairs(modality) if p.grad is not None]
            if gradients:
                self.trace[row] += torch.stack(torch._foreach_norm(gradients)).square().sum()
        self.steps += 1
        if len(shown) < 2 or self.strength == 0:
            return
        lead = leads(true_class_scores(shown, output, batch, ctx))
        coefficients = pull(lead, self.growing[where], self.beta, self.strength, self.threshold)
        for modality, coefficient in zip(shown, coefficients, strict=True):
            for parameter, start in self.start.pairs(modality):
                if parameter.grad is not None:
                    parameter.grad += coefficient * (parameter - start)
        ctx.log(**{f"coefficient/{m}": c for m, c in zip(shown, coefficients, strict=True)})
