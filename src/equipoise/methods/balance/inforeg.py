r"""InfoReg: the modality that is ahead is held back while its encoder takes in information fastest.

Huang, Wei, Yang, Hu. Adaptive Unimodal Regulation for Balanced Multimodal Information Acquisition.
CVPR 2025.
Code: github.com/GeWu-Lab/InfoReg_CVPR2025

Idea:
    Early in training there is a window in which an encoder takes in information fastest, the "prime
    learning window". A modality that is ahead in this window keeps the others from learning. So a
    proximal term holds its encoder near its weights at the start of the epoch.

    With more than two modalities each is compared with the mean of the others, which for two is the
    other one. The equations were read in the paper as well as in the code. The cost is that of
    joint training, and a copy of the encoders.

Equations:
    $$L = \mathrm{CE}(f, y) + a \sum_m \mathrm{CE}(u_m, y)$$

    The score of modality $m$ alone, and its lead over the others:

    $$s_m = \mathrm{mean}_i \, \mathrm{softmax}(u_m)_{y} \qquad
    \Delta_m = s_m - \mathrm{mean}_{j \neq m} \, s_j$$

    The trace of the Fisher information of its encoder in epoch $e$, a mean over the steps, and its
    relative growth, with $\bar T$ a mean over the last epochs:

    $$T_m(e) = \mathrm{mean} \, \lVert \nabla_{\theta_m} L \rVert^2 \qquad
    G_m = \frac{\bar T_m(e-1) - \bar T_m(e-2)}{\bar T_m(e-1)}$$

    Where $\Delta_m > 0$ and $G_m > K$,

    $$g_m \leftarrow g_m + \alpha_m (\theta_m - \theta_m^{start}) \qquad
    \alpha_m = c \, \exp(\beta \tanh \Delta_m)$$

    that is, the gradient of $(\alpha_m / 2) \lVert \theta_m - \theta_m^{start} \rVert^2$ is added,
    with $\theta_m^{start}$ the encoder at the start of the epoch. The epochs with $G_m > K$ are the
    prime learning window. The first two, which have no growth to look at, belong to it.

    The paper has $c = 1$ and results with and without the unimodal losses, $a = 1$ and $a = 0$.
    They are always on in the code, and here by default: the pull alone takes from one modality what
    it does not give to another. Its $\beta$, $K$ and
    smoothing of $T$ are unverified. The defaults are those of the code: $c = 0.95$, $\beta = 1$,
    $K = 0.05$, and a mean over the last ten epochs.

Where published code departs:
    c is 0.95 for audio and 0.1 for video, and a branch that
    is never taken leaves only audio to be held back            `strength`, one for all
    the growth is that of the audio encoder for both            not offered
    the trace is a sum of mean squares over the layers          not offered
    Δ comes from sums over the batch, so that tanh is ±1;
    here from means, as Δ is to measure                         not offered
    epochs before the first count as zeros in the mean, so
    that for ten epochs any trace grows                         not offered
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import integer, not_negative, require
from equipoise.methods.parts.auxiliary import auxiliary_loss, require_trained_classifiers
from equipoise.methods.parts.idle import warn_of_frozen_encoders, warn_of_one_modality
from equipoise.methods.parts.scores import true_class_scores
from equipoise.methods.parts.snapshot import EncoderCopy
from equipoise.training.context import Context
from equipoise.training.method import Method


def growth(history: Tensor, epochs: int) -> Tensor:
    """G (M,), the relative growth of the mean trace from one epoch to the next.

    It is 1 until there are two epochs.

    Args:
        history: traces (M, w + 1) of the last epochs, oldest first; a mean is over w of them, or
            over fewer while there are fewer.
        epochs: number of columns that have been filled in, from the right.
    """
    if epochs < 2:
        return torch.ones_like(history[:, 0])
    seen = history[:, -epochs:]
    now = seen[:, 1 - history.shape[1] :].mean(1)
    before = seen[:, :-1].mean(1)
    return (now - before) / now.clamp_min(torch.finfo(now.dtype).tiny)


def pull(lead: Tensor, growing: Tensor, beta: float, strength: float, threshold: float) -> Tensor:
    """α (M,), 0 where a modality is not ahead or its window is over.

    Args:
        lead: Δ (M,).
        growing: G (M,).
        beta: β.
        strength: c.
        threshold: K.
    """
    held = (lead > 0) & (growing > threshold)
    return torch.where(held, strength * torch.exp(beta * torch.tanh(lead)), 0.0)


def leads(scores: Tensor) -> Tensor:
    """Δ (M,): each score minus the mean of the others', M ≥ 2."""
    count = len(scores)
    return (scores - scores.mean()) * count / (count - 1)


def warn_of_adaptive_pull(ctx: Context) -> None:
    """Warn where the pull is not the gradient of the proximal term that it stands for."""
    if ctx.adaptive:
        name = ctx.optimisers.settings.name
        warnings.warn(
            f"method 'inforeg' adds a pull to gradients, and {name} divides the sum of both by its "
            "scale, so that the pull is weak where gradients are large; use optimiser 'sgd'",
            stacklevel=3,
        )


class InfoReg(Method):
    """Regulation of information acquisition.

    Args:
        strength: c, the strength of the pull towards the start of the epoch; 0 regulates nothing.
        beta: β, the growth of the pull with the lead of a modality.
        threshold: K, the growth of the trace above which a modality is in its learning window.
        smoothing: number of epochs in the mean T̄; fewer while there are fewer.
        unimodal_weight: a, the weight of the modalities' own losses.
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
        unimodal_weight: float = 1.0,
    ) -> None:
        super().__init__()
        require(
            "InfoReg",
            not_negative("strength", strength),
            not_negative("beta", beta),
            not_negative("threshold", threshold),
            not_negative("unimodal_weight", unimodal_weight),
            integer("smoothing", smoothing, 1),
        )
        self.strength = strength
        self.beta = beta
        self.threshold = threshold
        self.smoothing = smoothing
        self.unimodal_weight = unimodal_weight

    def setup(self, ctx: Context) -> None:
        """Allocate the traces and the copy of the encoders; warn if nothing is to be regulated.

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
        # Summed over the steps of the current epoch.
        self.register_buffer("trace", reference.new_zeros(count))
        self.register_buffer("steps", reference.new_zeros(()))
        self.register_buffer("growing", reference.new_ones(count))
        self.start = EncoderCopy(ctx.model)
        if self.strength and not warn_of_frozen_encoders("regulation", ctx):
            warn_of_one_modality("regulation", ctx)
            warn_of_adaptive_pull(ctx)

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
        """Add the traces of this step, then pull the encoders that are ahead."""
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
