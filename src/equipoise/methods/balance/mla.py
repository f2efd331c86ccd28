r"""MLA: multimodal learning with alternating unimodal adaptation.

Zhang, Yoon, Bansal, Yao. Multimodal Representation Learning by Alternating Unimodal Adaptation.
CVPR 2024.
Code: github.com/Cecile-hi/Multimodal-Learning-with-Alternating-Unimodal-Adaptation

Idea:
    The modalities, any number of them, train in turn within every minibatch, and the features of
    all of them pass through one shared head. So that a modality does not undo what the others
    taught the head, the gradient of the head is projected to be orthogonal to the mean features
    seen so far. Prediction weighs the modalities by their entropy (Eq. 6-8). That is done by head
    `shared`; the ablation of the paper without it is the option `fusion: mean` or `fixed` of the
    head.

Equations:
    A step trains one modality $m$, with encoder $h_m$ and head $g$, on its own loss (Eq. 1-2):

    $$L = \mathrm{CE}\left(g(h_m(x_m)), y\right)$$

    The encoder takes its plain gradient. The gradient of the head's weight is projected:

    $$\nabla W \leftarrow \nabla W \, P \qquad \text{(Eq. 3)}$$

    $P$ starts as the identity. With $r$ the mean of $h_m(x_m)$ over the batch (Eq. 4),

    $$P \leftarrow P - q \, r^\top P, \qquad q = \frac{P r}{\alpha + r^\top P r}
    \qquad \text{(Eq. 5)}$$

    The very first gradient, and that of the bias, are left as they are. The text of section 3.2
    protects what the previous modality taught, Algorithm 1 also the directions of the modality that
    trains; `projection_order` chooses.

    What Eq. 3 makes orthogonal is the gradient. The step of the optimiser is so under plain SGD
    only: momentum adds gradients of earlier steps, which were orthogonal to less, weight decay adds
    the weight itself, and Adam divides every entry by another number. With $\Delta W$ the step,
    $\lVert \Delta W r \rVert / (\lVert \Delta W \rVert \lVert r \rVert)$ was measured as 4e-4
    without any of them, 0.19 with a momentum of 0.9 and 0.21 with a weight decay of 0.01. The
    published code has momentum and weight decay. `momentum: reset` forgets that of the head before
    every step, so that the head moves by the projected gradient alone (and without the tenfold
    longer steps that a momentum of 0.9 gives).

Where published code departs:
    P is divided by its Frobenius norm after every update      `normalize_projection: true`
    α falls from 0.1 to 0.01 within every epoch:
    0.1^(1 + b/N) in batch b of N                              `alpha: epoch-decay`
    the gradient of the head is in fact never projected: the
    plug-in looks for a parameter "module.weight", and its
    name is "weight"                                           `projection: false`
    if it were found, Eq. 5 would divide by the matrix
    α + P r rᵀ instead of the number α + rᵀ P r, entry by
    entry, and P would not be updated at the first step        `projection_form: plug-in`
    all encoders run before the first step, and those that
    do not train still take momentum and weight decay          not offered
    entropy is taken over the whole batch                      head option `fusion: entropy-batch`
"""

from __future__ import annotations

from typing import ClassVar

from equipoise.batch import Batch
from equipoise.checks import choice, flag, require
from equipoise.errors import ConfigError
from equipoise.methods.parts.auxiliary import require_fused_classifiers
from equipoise.methods.parts.losses import unimodal_loss
from equipoise.methods.parts.projection.orthogonal import (
    FORMS,
    ORDERS,
    OrthogonalMemory,
    alpha_at,
    alpha_rule,
    mean_rows,
)
from equipoise.registry import Effect
from equipoise.training.context import Context
from equipoise.training.method import Method
from equipoise.training.optimisers import SHARED

MOMENTUM = ("keep", "reset")


class MLA(Method):
    """Alternating unimodal adaptation.

    Args:
        alpha: α of Eq. 5, positive, or "epoch-decay". With a small α the head forgets nothing; with
            `.inf` P stays the identity, divided by √d if it is normalised.
        projection: false is the ablation of the paper without Eq. 3.
        projection_order: "current" updates P before the projection (Algorithm 1), "previous" after
            it (text of section 3.2).
        normalize_projection: divide P by its Frobenius norm after every update.
        projection_form: "equation" (Eq. 5) or "plug-in" (the published code as it is written, which
            needs `normalize_projection`: its denominators may be zero, and P grows without it).
        momentum: "keep", or "reset" to forget that of the head before every step; under SGD only.
    """

    effect: ClassVar[Effect] = {
        "alpha": ("projection", {True}),
        "projection_order": ("projection", {True}),
        "normalize_projection": ("projection", {True}),
        "projection_form": ("projection", {True}),
    }

    def __init__(
        self,
        alpha: float | str = 0.1,
        projection: bool = True,
        projection_order: str = "current",
        normalize_projection: bool = False,
        projection_form: str = "equation",
        momentum: str = "keep",
    ) -> None:
        super().__init__()
        require(
            "MLA",
            alpha_rule("alpha", alpha),
            flag("projection", projection),
            choice("projection_order", projection_order, ORDERS),
            flag("normalize_projection", normalize_projection),
            choice("projection_form", projection_form, FORMS),
            choice("momentum", momentum, MOMENTUM),
        )
        self.alpha = alpha
        self.projection = projection
        self.projection_order = projection_order
        self.normalize_projection = normalize_projection
        self.projection_form = projection_form
        self.momentum = momentum
        self.memory: OrthogonalMemory | None = None

    def setup(self, ctx: Context) -> None:
        """Start P as the identity.

        Raises:
            ConfigError: the features of the modalities do not all pass through one layer of the
                head, its fused prediction has parameters that unimodal losses do not train, or the
                momentum to forget is that of Adam.
        """
        head = ctx.model.head
        layers = {head.reading_layer(m) for m in head.modalities}
        layer = layers.pop()
        if layers or len(head.blocks) or layer is None:
            raise ConfigError(
                "method 'mla' trains one head that all features pass through, and "
                f"{type(head).__name__} is none; use head 'shared', or method 'compose' to project "
                "other heads"
            )
        require_fused_classifiers("method 'mla'", head, "shared")
        if self.momentum == "reset" and ctx.adaptive:
            # Adam's first step is the sign of the gradient, whatever its direction.
            raise ConfigError(
                "method 'mla': 'momentum' reset is for SGD; set --optimiser.name sgd, or leave it "
                "out"
            )
        # In a list, so that the parameter of the model does not become one of the method.
        self.weight = [layer.weight]
        if self.projection:
            self.memory = OrthogonalMemory(
                layer.weight,
                normalize=self.normalize_projection,
                order=self.projection_order,
                form=self.projection_form,
            )

    def on_epoch_start(self, ctx: Context) -> None:
        if self.memory is not None:
            ctx.log(**{"spectrum/shared": self.memory.spectrum()})

    def step(self, batch: Batch, ctx: Context) -> None:
        """Train every modality in turn, each with its own pass and update."""
        alpha = alpha_at(self.alpha, ctx.position.batch, len(ctx.train))
        for modality in ctx.training:
            if not ctx.anyone_has(modality, batch):
                continue
            output = ctx.model(batch, only=(modality,))
            ctx.backward(unimodal_loss(modality, output, batch, ctx))
            if self.memory is not None:
                mean = mean_rows(output.features[modality], batch, modality, ctx)
                self.memory.modify(self.weight, [mean], alpha)
            if self.momentum == "reset":
                ctx.forget_momentum((SHARED,))
            ctx.update((modality,))
