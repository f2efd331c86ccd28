"""MLA: multimodal learning with alternating unimodal adaptation.

Zhang, Yoon, Bansal, Yao. Multimodal Representation Learning by Alternating Unimodal Adaptation.
CVPR 2024.
Code: github.com/Cecile-hi/Multimodal-Learning-with-Alternating-Unimodal-Adaptation

Each step trains one modality m through one head shared by all (Eq. 1-2): L = CE(g(h_m(x_m)), y).
The encoder takes its plain gradient. The head's weight takes ∇W P (Eq. 3), orthogonal to the mean
features seen so far: with r the mean of h_m(x_m) over the batch (Eq. 4), P ← P − q rᵀP and q = P r
/ (α + rᵀP r) (Eq. 5). The very first gradient and the bias are left as they are. Prediction weighs
the modalities by their entropy (Eq. 6-8); that is the head's affair, and the paper's ablation
without it is the head's option `fusion: mean` or `fixed`.

Where the published code departs from the paper:
  P is divided by its Frobenius norm after every update              `normalize_projection: true`
  α falls from 0.1 to 0.01 within every epoch, 0.1^(1 + b/N)         `alpha: epoch-decay`
  the head's gradient is in fact never projected: the plug-in looks
  for a parameter "module.weight" where it is called "weight"        `projection: false`
  were it found, Eq. 5 would divide by the matrix α + P r rᵀ instead
  of the number α + rᵀP r                                            not offered
  all encoders run before the first step, and those not in hand
  still take momentum and weight decay                               not offered: one modality at a time
  entropy is taken over the whole batch                              head option `fusion: entropy-batch`
The text of section 3.2 protects what the *previous* modality taught, Algorithm 1 also the current
one's direction; `projection_order` chooses.
"""

from __future__ import annotations

from equipoise.batch import Batch
from equipoise.checks import choice, false_unless, flag, only_where, or_default, require
from equipoise.errors import ConfigError
from equipoise.methods.parts.auxiliary import require_fused_classifiers
from equipoise.methods.parts.losses import unimodal_loss
from equipoise.methods.parts.projection.orthogonal import (
    ORDERS,
    OrthogonalMemory,
    alpha_at,
    alpha_rule,
    mean_rows,
)
from equipoise.training.context import Context
from equipoise.training.method import Method


class MLA(Method):
    """Alternating unimodal adaptation.

    Args:
        alpha: α of Eq. 5, positive; small forgets nothing, `.inf` everything: P = I, divided by √d
            if normalised. Or "epoch-decay". Null for 0.1.
        projection: False is the paper's ablation without the head's gradient modification.
        projection_order: "current" (Algorithm 1) or "previous" (the text of section 3.2); null for
            "current".
        normalize_projection: divide P by its Frobenius norm after every update.
    """

    def __init__(
        self,
        alpha: float | str | None = None,
        projection: bool = True,
        projection_order: str | None = None,
        normalize_projection: bool = False,
    ) -> None:
        super().__init__()
        projects = "'projection' is true", projection
        require(
            "MLA",
            flag("projection", projection),
            flag("normalize_projection", normalize_projection),
            *only_where(*projects, alpha=alpha, projection_order=projection_order),
            false_unless("normalize_projection", normalize_projection, *projects),
        )
        alpha = 0.1 if alpha is None else alpha
        projection_order = or_default(projection_order, "current")
        require(
            "MLA", alpha_rule("alpha", alpha), choice("projection_order", projection_order, ORDERS)
        )
        self.alpha = alpha
        self.projection = projection
        self.projection_order = projection_order
        self.normalize_projection = normalize_projection
        self.memory: OrthogonalMemory | None = None

    def setup(self, ctx: Context) -> None:
        """Start P as the identity.

        Raises:
            ConfigError: the modalities' features do not all pass through one layer of the head, or
                its fused prediction needs more than what they are read by.
        """
        head = ctx.model.head
        layers = {head.reading_layer(m) for m in head.modalities}
        layer = layers.pop()
        if layers or len(head.blocks) or layer is None:
            raise ConfigError(
                f"method 'mla' trains one head that all features pass through, and {type(head).__name__} "
                "is none; use head 'shared', or method 'compose' to project other heads"
            )
        require_fused_classifiers("method 'mla'", head, "shared")
        self.weight = [layer.weight]  # in a list: it is the model's, not ours
        if self.projection:
            self.memory = OrthogonalMemory(
                self.weight[0], normalize=self.normalize_projection, order=self.projection_order
            )

    def on_epoch_start(self, ctx: Context) -> None:
        if self.memory is not None:
            ctx.log(**{"spectrum/shared": self.memory.spectrum()})

    def step(self, batch: Batch, ctx: Context) -> None:
        """Every modality in turn, each with its own pass and update."""
        alpha = alpha_at(self.alpha, ctx.position.batch, len(ctx.train))
        for modality in ctx.training:
            if not ctx.anyone_has(modality, batch):
                continue
            output = ctx.model(batch, only=(modality,))
            ctx.backward(unimodal_loss(modality, output, batch, ctx))
            if self.memory is not None:
                mean = mean_rows(output.features[modality], batch, modality, ctx)
                self.memory.modify(self.weight, [mean], alpha)
            ctx.update((modality,))
