"""DGL: disentangled gradients, the encoders from the unimodal losses, the fusion from the
multimodal one.

Wei, Luo, Luo. Boosting Multimodal Learning via Disentangled Gradient Learning. ICCV 2025.
Code: github.com/shicaiwei123/ICCV2025-GDL

Fusing modalities shrinks the gradient that each encoder receives. So the two are cut apart:

    encoder m:  α ∂ CE(f_m, y) / ∂θ_m        f_m what the head predicts with the other modalities' features zero
    head:       ∂ CE(f, y) / ∂W              f from the features without gradient

No gradient of the fused loss reaches an encoder, none of the unimodal losses the head.

Why it is among the newer methods here: the two equations are stated in the abstract and are the
whole of the authors' code. Unverified: the paper's value of α per data set; 4 is the code's
default, and its scripts for CREMA-D name 4 and
5. The published code clips the gradient's norm at 40 (setting `optimiser.clip`). Adam and its kin
  divide α out again.

Any head, and any number of modalities: Σ_m over those present; a sample counts for the modalities
it has. A head with a separate auxiliary classifier per modality has nothing to train it, and is
refused.

Cost: as joint training; the head reads the features M + 1 times more.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import positive, require
from equipoise.errors import ConfigError
from equipoise.methods.parts.auxiliary import apart
from equipoise.methods.parts.idle import warn_of_frozen_encoders
from equipoise.methods.parts.losses import cross_entropy
from equipoise.training.context import Context
from equipoise.training.method import Method


class DGL(Method):
    """Disentangled gradient learning.

    Args:
        alpha: α, greater than 0.
    """

    def __init__(self, alpha: float = 4.0) -> None:
        super().__init__()
        require("DGL", positive("alpha", alpha))
        self.alpha = alpha

    def setup(self, ctx: Context) -> None:
        """Check that the fused loss trains all of the head; warns where no encoder trains beside
        it.

        Raises:
            ConfigError: the head has classifiers that its fused prediction does not use.
        """
        if apart(ctx.model.head):
            raise ConfigError(
                f"method 'dgl' trains no classifier that the fused prediction does not use, and "
                f"{type(ctx.model.head).__name__} has some; use head 'concat'"
            )
        warn_of_frozen_encoders("method 'dgl'", ctx)

    def unimodal_loss(
        self, shown: Sequence[str], output: Output, batch: Batch, ctx: Context
    ) -> Tensor:
        """α Σ_m CE(f_m, y) over the modalities that some rank has, each mean over the samples that have it."""
        features = {m: z for m, z in output.features.items() if batch.counts[m]}
        total = output.fused.new_zeros(())
        for modality in shown:
            if modality in features:
                alone = ctx.model.read(features, batch.present, [modality]).fused
                losses = cross_entropy(alone, batch.label)
            else:  # still one of the ranks that count the samples
                losses = output.fused.new_zeros(len(batch))
            total = total + ctx.sample_mean(losses, batch.present[modality])
        return self.alpha * total

    def step(self, batch: Batch, ctx: Context) -> None:
        output = ctx.model(batch)
        shown = ctx.present_in(batch)
        encoders = [p for m in shown for p in ctx.model.group(m).encoder if p.requires_grad]
        unimodal = self.unimodal_loss(shown, output, batch, ctx)
        gradients = ctx.gradient(unimodal, encoders) if encoders else ()
        apart = {m: z.detach() for m, z in output.features.items() if batch.counts[m]}
        fused = ctx.model.read(apart, batch.present).fused
        ctx.backward(ctx.sample_mean(cross_entropy(fused, batch.label)))
        for parameter, gradient in zip(encoders, gradients, strict=True):
            parameter.grad = gradient
        ctx.log(unimodal=unimodal)
        ctx.update()
