r"""DGL: disentangled gradient learning.

Wei, Luo, Luo. Boosting Multimodal Learning via Disentangled Gradient Learning. ICCV 2025.
Code: github.com/shicaiwei123/ICCV2025-GDL

Idea:
    Fusing modalities makes the gradient smaller that each encoder receives. So the two are
    separated: the encoders learn from the unimodal losses, the fusion from the multimodal one. No
    gradient of the fused loss reaches an encoder, and none of the unimodal losses reaches the head.

    The two equations are stated in the abstract and are all that the authors' code computes.
    Unverified is the $\alpha$ of the paper for each data set; 4 is the default of the code, and its
    scripts for CREMA-D name 4 and 5. Adam and similar optimisers divide $\alpha$ out again.

Equations:
    $$\text{encoder } m: \quad \alpha \, \frac{\partial \, \mathrm{CE}(f_m, y)}{\partial \theta_m},
    \qquad \text{head}: \quad \frac{\partial \, \mathrm{CE}(f, y)}{\partial W}$$

    $f_m$ is the prediction of the head when the features of the other modalities are zero; the
    head's gradient is that of $f$ from features without gradient.

    Any head will do, and any number of modalities: the unimodal losses are summed over those that
    are present, and a sample counts for the modalities it has. A head with a separate auxiliary
    classifier per modality has nothing to train it, and is refused. Cost: as joint training; the
    head reads the features $M + 1$ times more.

Where published code departs:
    the norm of the gradient is clipped at 40      setting `optimiser.clip: 40`
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.checks import positive, require
from equipoise.errors import ConfigError
from equipoise.methods.parts.auxiliary import apart
from equipoise.methods.parts.features import features_here
from equipoise.methods.parts.idle import warn_of_frozen_encoders
from equipoise.methods.parts.losses import mean_loss
from equipoise.training.context import Context
from equipoise.training.method import Method


class DGL(Method):
    """Disentangled gradient learning.

    Args:
        alpha: α, the factor on the gradients of the encoders, positive.
    """

    def __init__(self, alpha: float = 4.0) -> None:
        super().__init__()
        require("DGL", positive("alpha", alpha))
        self.alpha = alpha

    def setup(self, ctx: Context) -> None:
        """Check that the fused loss trains the whole head; warns where no encoder trains.

        Raises:
            ConfigError: the head has classifiers that its fused prediction does not use.
        """
        if apart(ctx.model.head):
            raise ConfigError(
                "method 'dgl' trains no classifier that the fused prediction does not use, and "
                f"{type(ctx.model.head).__name__} has some; use head 'concat'"
            )
        warn_of_frozen_encoders("method 'dgl'", ctx)

    def unimodal_loss(
        self, shown: Sequence[str], output: Output, batch: Batch, ctx: Context
    ) -> Tensor:
        """α Σ_m CE(f_m, y) (), each term over the samples of all ranks that have the modality.

        Args:
            shown: the modalities that some rank has.
            output: of the model on the batch.
            batch: the samples.
            ctx: takes the means.
        """
        features = features_here(output, batch)
        total = output.fused.new_zeros(())
        for modality in shown:
            if modality in features:
                alone = ctx.model.read(features, batch.present, [modality]).fused
                losses = ctx.sample_loss(alone, batch.label)
            else:  # the sample mean is taken over all ranks, and this one must take part in it
                losses = output.fused.new_zeros(len(batch))
            total = total + ctx.sample_mean(losses, batch.present[modality], batch.weight)
        return self.alpha * total

    def step(self, batch: Batch, ctx: Context) -> None:
        output = ctx.model(batch)
        shown = ctx.present_in(batch)
        encoders = [p for m in shown for p in ctx.model.group(m).encoder if p.requires_grad]
        unimodal = self.unimodal_loss(shown, output, batch, ctx)
        gradients = ctx.gradient(unimodal, encoders) if encoders else ()
        constants = {m: z.detach() for m, z in features_here(output, batch).items()}
        fused = ctx.model.read(constants, batch.present).fused
        ctx.backward(mean_loss(fused, batch, ctx))
        for parameter, gradient in zip(encoders, gradients, strict=True):
            parameter.grad = gradient
        ctx.log(unimodal=unimodal)
        ctx.update()
