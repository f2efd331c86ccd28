r"""ARL: asymmetric representation learning, in which the more certain modality learns faster.

Wei, Luo, Luo. Improving Multimodal Learning via Imbalanced Learning. ICCV 2025.
Code: github.com/shicaiwei123/ICCV2025-ARL

Idea:
    The authors argue that the fused prediction should depend on a modality in inverse proportion to
    its variance. So the encoder of a modality that is certain, and that contributes little so far,
    is accelerated: the opposite of OGM. Each modality is also trained on its own part of the fused
    prediction, mildly at first and strongly later.

    The released code computes these weights, prints them, and never uses them: both encoders get
    the constant factor 1.5, and its results are those of uniform unimodal losses with a higher rate
    of the encoders. `weights: constant` runs that, and should be named when it is reported.

    The factor multiplies gradients, hence acts under SGD. Under Adam only its changes do, and there
    is a warning. Any number of modalities; the head is `concat` or `sum`.

Equations:
    With $u_m$ the part of modality $m$ in the fused logits,

    $$L = \mathrm{CE}(f, y) + g \sum_m \mathrm{CE}(u_m, y)$$

    where $g$ is 1 in the first epochs and $\gamma$ afterwards. From then on the gradient of encoder
    $m$ is multiplied by $1 + w_m$. With $H_m$ the mean entropy of $\mathrm{softmax}(u_m)$ in the
    batch and $c_m$ the sum over the classes of the mean of $| u_m |$, divided by its sum over the
    modalities:

    $$\hat H_m = \max \left( \frac{H_m}{\sum_j H_j}, \frac{0.6}{M} \right) \qquad
    h_m = \frac{1 / \hat H_m}{\sum_j 1 / \hat H_j}$$

    $$w = \mathrm{softmax}_m \left( T \, h_m \, \frac{1 - c_m}{M - 1} \right)$$

    For two modalities $(1 - c_m) / (M - 1)$ is the published contribution of the other one. The
    defaults $\gamma = 4$ and $T = 8$ are those for CREMA-D; $T$ is 4 elsewhere, and $\gamma$ is 3
    for Kinetics-Sounds and 5 for AVE. The first 6 of 100 epochs have no factor. With $\gamma = 0$,
    no factor and no first epochs it is joint training.

    The paper is quoted with 76.61 on CREMA-D. A rerun of the released code by others got 63.

Where published code departs:
    w is never used, and every factor is 1.5           `weights: constant`
    the loss is not divided by γ                       `normalise: false`
    each part of the fused logits has the whole bias   not offered
    gradients are clipped at 40                        `optimiser.clip`
"""

from __future__ import annotations

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import choice, flag, inside, not_negative, require
from equipoise.heads.parts.fusion import entropy
from equipoise.methods.parts.auxiliary import auxiliary_loss, require_decomposable
from equipoise.methods.parts.idle import warn_of_scaling
from equipoise.training.context import Context
from equipoise.training.method import Method

WEIGHTS = ("adaptive", "constant", "none")
CONSTANT = 0.5
"""The weight that the released code uses for every modality and data set."""


def asymmetric_weights(entropies: Tensor, contributions: Tensor, temperature: float) -> Tensor:
    """w (M,), M ≥ 2.

    Args:
        entropies: H (M,).
        contributions: c (M,), of sum 1.
        temperature: T.
    """
    count = len(entropies)
    floored = (entropies / entropies.sum()).clamp_min(0.6 / count)
    certainty = (1 / floored) / (1 / floored).sum()
    return (temperature * certainty * (1 - contributions) / (count - 1)).softmax(0)


class ARL(Method):
    """Asymmetric representation learning.

    Args:
        gamma: γ, the weight of each modality's own loss after the first epochs.
        temperature: T, the sharpness of the weights.
        warm_up: fraction of the epochs with a weight of 1 for the own losses, and no factor.
        normalise: divide the loss by γ where that is above 1, so that a learning rate that suits
            joint training suits this; false is published, with a learning rate of 0.001.
        weights: w, "adaptive" (as intended), "constant" (0.5, as the released code in fact has it)
            or "none" for no factor on the gradients.
    """

    def __init__(
        self,
        gamma: float = 4.0,
        temperature: float = 8.0,
        warm_up: float = 0.06,
        normalise: bool = True,
        weights: str = "adaptive",
    ) -> None:
        super().__init__()
        require(
            "ARL",
            not_negative("gamma", gamma),
            not_negative("temperature", temperature),
            inside("warm_up", warm_up, "[0, 1]"),
            flag("normalise", normalise),
            choice("weights", weights, WEIGHTS),
        )
        self.gamma = gamma
        self.temperature = temperature
        self.warm_up = warm_up
        self.normalise = normalise
        self.weights = weights

    def setup(self, ctx: Context) -> None:
        """Check the head; warn where the factors do not act.

        Raises:
            ConfigError: the fused logits are not a sum with one term for each modality.
        """
        require_decomposable("method 'arl' goes by", ctx.model.head)
        if self.weights != "none":
            warn_of_scaling("method 'arl'", ctx)

    def started(self, ctx: Context) -> bool:
        """True after the first epochs."""
        return ctx.epoch >= round(self.warm_up * ctx.epochs)

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        own = self.gamma if self.started(ctx) else 1.0
        loss = auxiliary_loss(dict.fromkeys(ctx.training, own), output, batch, ctx)
        return loss / own if self.normalise and own > 1 else loss

    @torch.no_grad()
    def edit_gradients(self, output: Output, batch: Batch, ctx: Context) -> None:
        shown = ctx.present_in(batch)
        if self.weights == "none" or not self.started(ctx) or not shown:
            return
        weights = self.found(shown, output, batch, ctx)
        for modality, weight in zip(shown, weights, strict=True):
            for parameter in ctx.model.group(modality).encoder:
                if parameter.grad is not None:
                    parameter.grad = parameter.grad * (1 + weight.to(parameter.grad.dtype))
        ctx.log(**{f"weight/{m}": w for m, w in zip(shown, weights, strict=True)})

    def found(self, shown: list[str], output: Output, batch: Batch, ctx: Context) -> Tensor:
        """w of the modalities that some sample has, over the samples of all ranks."""
        if self.weights == "constant" or len(shown) < 2:
            return output.fused.new_full((len(shown),), CONSTANT)
        measured = []
        for modality in shown:
            logits = output.logits[modality]
            values = torch.stack([entropy(logits), logits.abs().sum(1)], 1)
            measured.append(ctx.sample_mean(values, batch.present[modality]))
        entropies, sizes = ctx.mean(torch.stack(measured)).unbind(1)
        return asymmetric_weights(entropies, sizes / sizes.sum(), self.temperature)
