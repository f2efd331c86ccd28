r"""OGM and OGM-GE: on-the-fly gradient modulation, without and with generalisation enhancement.

Peng, Wei, Deng, Wang, Hu. Balanced Multimodal Learning via On-the-fly Gradient Modulation. CVPR
2022.
Code: github.com/GeWu-Lab/OGM-GE_CVPR2022

Idea:
    All modalities train together on the fused prediction. After each backward pass, the gradient of
    the encoder of a modality that is ahead of the others is made smaller, so that the others catch
    up. OGM-GE adds Gaussian noise to the gradients, to keep the noise that training by minibatches
    has and that helps it generalise.

Equations:
    The loss is $L = \mathrm{CE}(f, y)$. The fused logits are a sum $f = \sum_m u_m$ with one term
    for each modality, and the score of a modality says how well its term does alone:

    $$s_m = \mathrm{mean} \; \mathrm{softmax}(u_m)[y]$$

    It is a mean over the samples that have the modality, because their numbers may differ. A
    modality is compared with the others, for two by $s_m / s_{m'}$ as in the paper, for more with
    the mean of the others:

    $$\rho_m = s_m \,/\, \mathrm{mean}_{j \neq m} \, s_j$$

    $$k_m = 1 - \tanh(\alpha \rho_m) \ \text{if} \ \rho_m > 1, \ \text{else} \ 1
    \qquad \text{(Eq. 10)}$$

    The gradients of the encoders then become

    $$\text{OGM:} \quad g_m \leftarrow k_m g_m, \qquad
    \text{OGM-GE:} \quad g_m \leftarrow k_m g_m + n, \quad n \sim \mathcal{N}(0, \sigma^2)$$

    with $\sigma$ the standard deviation of the tensor's own gradient. The noise of the paper has
    the covariance of the minibatch gradient; one isotropic $\sigma$ for each tensor is its
    published surrogate. The head is never modulated.

Where published code departs:
    published: only 4-D tensors, those of convolutions,
    are edited                                               `parameters: conv`
    published: the scores keep their graph                   not offered: they have no gradient
    MLA's repository, three modalities: ratio to the sum
    of the others                                            `others: sum`
    BalanceBenchmark: ratio to the weakest of the others     `others: min`
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from zlib import crc32

import torch
from torch import Tensor, nn

from equipoise.batch import Batch, Output
from equipoise.checks import choice, epochs, flag, not_negative, require
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.parts.auxiliary import require_decomposable
from equipoise.methods.parts.idle import (
    warn_of_frozen_encoders,
    warn_of_one_modality,
    warn_of_scaling,
)
from equipoise.methods.parts.scores import OTHERS, ratios, true_class_scores
from equipoise.training.context import Context

PARAMETERS = ("all-2d", "conv")


def modulation_factors(ratio: Tensor, alpha: float) -> Tensor:
    """k (M,) of the ratios ρ (M,), Eq. 10: 1 − tanh(α ρ) where ρ exceeds 1, else exactly 1."""
    return torch.where(ratio > 1, 1 - torch.tanh(alpha * ratio), torch.ones_like(ratio))


def deviation(values: Tensor) -> Tensor:
    """Standard deviation () of all entries; `Tensor.std` takes three times as long on a CPU."""
    distance: Tensor = torch.linalg.vector_norm(values - values.mean())
    return distance / sqrt(max(values.numel() - 1, 1))


def gradient_noise(gradient: Tensor, generator: torch.Generator) -> Tensor:
    """Gaussian noise of a gradient's shape and standard deviation."""
    noise = torch.randn(
        gradient.shape, generator=generator, dtype=gradient.dtype, device=gradient.device
    )
    return noise.mul_(deviation(gradient) + 1e-8)


def noise_stream(seed: int, modality: str, device: torch.device) -> torch.Generator:
    """The generator of one modality's noise, on the device where its gradients are.

    It depends on the name of the modality, so that the order of the modalities does not matter.
    """
    return torch.Generator(device).manual_seed(seed + crc32(modality.encode()))


class OGM(Joint):
    """On-the-fly gradient modulation.

    Args:
        alpha: α of Eq. 10; 0 modulates nothing. The authors recommend 0.8 for CREMA-D and 0.1 for
            VGGSound.
        window: [first, last] epoch of the modulation, from 0, both included.
        others: score that a modality is compared with when there are more than two: "mean", "sum"
            or "min" of the others'.
        parameters: "all-2d" edits encoder tensors of two or more dimensions, "conv" those of
            exactly four.
        noise: add the noise of OGM-GE to the gradients.
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
            ConfigError: the fused logits are not a sum with one term for each modality.
        """
        require_decomposable("gradient modulation compares", ctx.model.head)
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
        scores = true_class_scores(shown, output, batch, ctx)
        factors = modulation_factors(ratios(scores, self.others), self.alpha)
        # Drawn on the CPU: the step does not wait for the device, and all ranks draw the same.
        seed = int(torch.randint(2**31, (), generator=ctx.rng))
        for modality, factor in zip(shown, factors, strict=True):
            generator = noise_stream(seed, modality, ctx.runtime.device)
            for parameter in filter(self._edits, ctx.model.group(modality).encoder):
                gradient = parameter.grad
                if gradient is None:
                    continue
                parameter.grad = gradient * factor.to(gradient.dtype)
                if self.noise:  # of the size of the gradient before it was scaled
                    parameter.grad += gradient_noise(gradient, generator)
        ctx.log(**{f"coefficient/{m}": k for m, k in zip(shown, factors, strict=True)})

    def _edits(self, parameter: nn.Parameter) -> bool:
        """True for a parameter of an encoder whose gradient is modulated."""
        return parameter.dim() == 4 if self.parameter_rule == "conv" else parameter.dim() >= 2


class OGMGE(OGM):
    """OGM with generalisation enhancement: the same, with the noise on by default."""

    def __init__(
        self,
        alpha: float = 0.1,
        window: Sequence[int] = (0, 50),
        others: str = "mean",
        parameters: str = "all-2d",
        noise: bool = True,
    ) -> None:
        super().__init__(alpha, window, others, parameters, noise)
