r"""MLB: unimodal losses, and a learning rate for each modality that follows its lag.

Kontras, Chatzichristos, Blaschko, De Vos. Improving Multimodal Learning with Multi-Loss Gradient
Modulation. BMVC 2024.
Code: github.com/kkontras/MLB

Idea:
    Every modality is trained on its own prediction beside the fused one, as in `joint-uniform`.
    Where a modality's own classifier is behind those of the others, all that belongs to it learns
    faster, and where it is ahead, slower. As the scores come together, all factors go to 1.

    All that belongs to a modality is its encoder, its own classifier and its block of the fused
    classifier, but not the bias of that. Scores come from own classifiers, not from parts of the
    fused prediction as in OGM, and laggards are accelerated. Any number of modalities. The cost is
    that of joint training.

    The authors multiply gradients, mostly under Adam, where only changes of a factor act. By
    default the factor multiplies the learning rate instead, which is the same under plain SGD and
    acts as meant under every optimiser. Each step then waits for the scores.

Equations:
    $$L = \mathrm{CE}(f, y) + \sum_m \mathrm{CE}(v_m, y)$$

    $$s_m = \mathrm{mean}_i \, \mathrm{softmax}(v_m)_y \qquad
    r_m = \mathrm{mean}_{j \neq m} \, s_j \,/\, s_m$$

    $$k_m = 1 + (\beta_m - 1) \tanh(\alpha (r_m - 1)) \qquad
    \beta_m = \beta_{max} \ \text{if} \ r_m > 1, \ \text{else} \ 2$$

    $k_m$ is in $(0, 1)$ for a modality that is ahead and in $[1, \beta_{max})$ for one behind. With
    $\alpha = 0$ it is `joint-uniform`. Defaults are $\alpha = 0.8$ and $\beta_{max} = 2$ of the
    published configurations. MCR's authors run MLB with $\alpha$ from 0.5 to 2 and $\beta_{max}$
    10 (CREMA-D), 1 (AVE: laggards are not accelerated) or 0.5 (UCF-101: they are slowed). A large
    $\beta_{max}$ wants `optimiser.clip` under SGD. They report 71.9 on CREMA-D, where the losses
    alone give 69.2.

Where published code departs:
    gradients are multiplied                                `apply: gradient`
    the released classes name a base class that does not
    exist, so that the method cannot run                    not offered
"""

from __future__ import annotations

import torch
from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import choice, not_negative, require
from equipoise.methods.parts.auxiliary import auxiliary_loss, require_own_classifiers
from equipoise.methods.parts.idle import warn_of_scaling
from equipoise.methods.parts.scores import ratios, true_class_scores
from equipoise.training.context import Context
from equipoise.training.method import Method

APPLY = ("rate", "gradient")


def rate_factors(scores: Tensor, alpha: float, largest: float) -> Tensor:
    """k (M,) of the scores s (M,), M ≥ 2.

    Args:
        scores: s (M,).
        alpha: α.
        largest: β_max.
    """
    lag = 1 / ratios(scores)
    beta = torch.where(lag > 1, largest, 2.0)
    return 1 + (beta - 1) * torch.tanh(alpha * (lag - 1))


class MLB(Method):
    """Multi-loss gradient modulation.

    Args:
        alpha: α, the growth of the factors with the lag; 0 for factors of 1.
        largest: β_max, the limit of the factor of a modality that is behind. Below 1 it slows them.
        apply: what the factor multiplies, "rate" (the learning rate of the modality) or "gradient".
    """

    def __init__(self, alpha: float = 0.8, largest: float = 2.0, apply: str = "rate") -> None:
        super().__init__()
        require(
            "MLB",
            not_negative("alpha", alpha),
            not_negative("largest", largest),
            choice("apply", apply, APPLY),
        )
        self.alpha = alpha
        self.largest = largest
        self.applies_to = apply

    def setup(self, ctx: Context) -> None:
        """Check the head; warn where the optimiser divides the factors out again.

        Raises:
            ConfigError: the head has no classifier for each modality.
        """
        require_own_classifiers("mlb", ctx.model.head)
        if self.alpha and self.applies_to == "gradient":
            warn_of_scaling("method 'mlb' with 'apply' gradient", ctx)

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        return auxiliary_loss(dict.fromkeys(ctx.training, 1.0), output, batch, ctx)

    def edit_gradients(self, output: Output, batch: Batch, ctx: Context) -> None:
        shown = ctx.present_in(batch)
        if self.alpha == 0 or len(shown) < 2:
            return
        factors = rate_factors(
            true_class_scores(shown, output, batch, ctx), self.alpha, self.largest
        )
        if self.applies_to == "rate":
            for modality, factor in zip(shown, factors.tolist(), strict=True):
                ctx.scale_learning_rate(modality, factor)
        else:
            for modality, factor in zip(shown, factors, strict=True):
                for parameter in (p for part in ctx.model.group(modality) for p in part):
                    if parameter.grad is not None:
                        parameter.grad = parameter.grad * factor.to(parameter.grad.dtype)
        ctx.log(**{f"factor/{m}": k for m, k in zip(shown, factors, strict=True)})
