"""OGM and OGM-GE: on-the-fly gradient modulation, without and with generalisation enhancement.

Peng, Wei, Deng, Wang, Hu. Balanced Multimodal Learning via On-the-fly Gradient Modulation. CVPR
2022.
Code: github.com/GeWu-Lab/OGM-GE_CVPR2022

Joint training, L = CE(f, y), whose encoder gradients are edited before the step. With u_m the share
of modality m in the fused logits,

    s_m = mean over the samples of softmax(u_m)[y]           how well it does alone (means, so that counts may differ)
    ρ_m = s_m / mean of the others' s                        for two modalities, the paper's s_m / s_m'
    k_m = 1 − tanh(α ρ_m) if ρ_m > 1, else 1                 Eq. 10
    OGM:     g_m ← k_m g_m
    OGM-GE:  g_m ← k_m g_m + n,  n ~ N(0, σ²)                σ the standard deviation of the tensor's own gradient

The head is never modulated. Where codes depart:
  published: only 4-D tensors, that is convolutions, are edited         `parameters: conv`
  published: s from the logits with their graph attached                 not offered: scores are detached
  MLA's repository, three modalities: ratio to the others' sum          `others: sum`
  BalanceBenchmark: ratio to the weakest of the others                   `others: min`
The paper's noise has the covariance of the minibatch gradient; the isotropic σ per tensor is its
published surrogate.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partialmethod
from math import sqrt
from zlib import crc32

import torch
from torch import Tensor, nn

from equipoise.batch import Batch, Output
from equipoise.checks import choice, epochs, flag, not_negative, require
from equipoise.errors import ConfigError
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.parts.idle import (
    warn_of_frozen_encoders,
    warn_of_one_modality,
    warn_of_scaling,
)
from equipoise.methods.parts.scores import OTHERS, ratios, true_class_scores
from equipoise.training.context import Context


def gradient_noise(gradient: Tensor, generator: torch.Generator) -> Tensor:
    """Gaussian noise of the gradient's shape and standard deviation."""
    noise = torch.randn(
        gradient.shape, generator=generator, dtype=gradient.dtype, device=gradient.device
    )
    return noise.mul_(deviation(gradient) + 1e-8)


def deviation(values: Tensor) -> Tensor:
    """The standard deviation of all entries; `Tensor.std` takes three times as long on a CPU."""
    distance: Tensor = torch.linalg.vector_norm(values - values.mean())
    return distance / sqrt(max(values.numel() - 1, 1))


def noise_stream(seed: int, modality: str, device: torch.device) -> torch.Generator:
    """A stream for one modality, whatever the order of the modalities, on the device where its gradients are."""
    return torch.Generator(device).manual_seed(seed + crc32(modality.encode()))


PARAMETERS = ("all-2d", "conv")


def coefficients(ratio: Tensor, alpha: float) -> Tensor:
    """k (M,), Eq. 10: 1 − tanh(α ρ) where ρ exceeds 1, else exactly 1."""
    return torch.where(ratio > 1, 1 - torch.tanh(alpha * ratio), torch.ones_like(ratio))


class OGM(Joint):
    """On-the-fly gradient modulation.

    Args:
        alpha: α of Eq. 10; 0 modulates nothing. The authors recommend 0.8 for CREMA-D and 0.1 for
            VGGSound.
        window: first and last epoch of the modulation, from 0, both included.
        others: what a modality is compared with when there are more than two: "mean", "sum" or
            "min".
        parameters: "all-2d" edits encoder tensors of two or more dimensions, "conv" those of
            exactly four.
        noise: add the noise of OGM-GE.
    """

    def __init__(
        self,
        alpha: float = 0.1,
        window: Sequence[int] = (0, 50),
        others: str = "mean",
        parameters: str = "all-2d",
        noise: bool = False,
    ) -> None:
        super().__init__()
        require(
            type(self).__name__,
            not_negative("alpha", alpha),
            epochs("window", window),
            choice("others", others, OTHERS),
            choice("parameters", parameters, PARAMETERS),
            flag("noise", noise),
        )
        self.alpha = alpha
        self.window = (window[0], window[1])
        self.others = others
        self.parameter_rule = parameters
        self.noise = noise

    def setup(self, ctx: Context) -> None:
        """Check that head and optimiser suit the method; warns where there is nothing to modulate.

        Raises:
            ConfigError: the fused logits are not a sum of one share per modality, so there is
                nothing to compare.
        """
        head = ctx.model.head
        if not head.decomposable:
            raise ConfigError(
                "gradient modulation compares the modalities' shares in the fused logits, and those of "
                f"{type(head).__name__} are not a sum of shares; use head 'concat' or 'sum'"
            )
        warn_of_scaling("gradient modulation", ctx)
        if self.alpha or self.noise:
            sort = (
                "4-D tensor, which 'parameters: conv' asks for,"
                if self.parameter_rule == "conv"
                else "matrix"
            )
            warn_of_frozen_encoders("gradient modulation", ctx, sort, self._edits)
            warn_of_one_modality("gradient modulation", ctx)

    def edit_gradients(self, output: Output, batch: Batch, ctx: Context) -> None:
        if not self.window[0] <= ctx.epoch <= self.window[1]:
            return
        shown = ctx.present_in(batch)
        if len(shown) < 2:
            return
        factors = coefficients(
            ratios(true_class_scores(shown, output, batch, ctx), self.others), self.alpha
        )
        seed = int(
            torch.randint(2**31, (), generator=ctx.rng)
        )  # drawn on the CPU: no wait, and alike on every rank
        for modality, factor in zip(shown, factors, strict=True):
            generator = noise_stream(seed, modality, ctx.runtime.device)
            for parameter in filter(self._edits, ctx.model.group(modality).encoder):
                gradient = parameter.grad
                if gradient is not None:
                    noise = gradient_noise(gradient, generator) if self.noise else None
                    parameter.grad = gradient * factor.to(gradient.dtype)
                    if noise is not None:
                        parameter.grad += noise
        ctx.log(**{f"coefficient/{m}": k for m, k in zip(shown, factors, strict=True)})

    def _edits(self, parameter: nn.Parameter) -> bool:
        return parameter.dim() == 4 if self.parameter_rule == "conv" else parameter.dim() >= 2


class OGMGE(OGM):
    """OGM with generalisation enhancement: the same, with the noise on."""

    __init__ = partialmethod(OGM.__init__, noise=True)
