r"""MMCosine: joint training on cosine logits, in which lengths do not count.

Xu, Feng, Zhang, Hu. MMCosine: Multi-Modal Cosine Loss Towards Balanced Audio-Visual Fine-Grained
Learning. ICASSP 2023.
Code: github.com/GeWu-Lab/MMCosine_ICASSP23

Idea:
    No modality can lead by the length of its features or of its class weights, since both are
    normalised. There is no bias, and no modality adds more than $s$ to a logit
    (option `scale` of the head `cosine`; the authors recommend 10, BalanceBenchmark takes 15).
    Training and prediction use the same logits.

    Any number of modalities; the cost is that of joint training.

Equations:
    $$u_m[k] = s \, \cos(z_m, W_m[k]) \qquad f = \sum_m u_m \qquad L = \mathrm{CE}(f, y)$$

Where published code departs:
    validation predicts with the linear layer before normalisation       not offered
    it can add a contrastive loss, whose weight is 0 by default          not offered
"""

from __future__ import annotations

from equipoise.errors import ConfigError
from equipoise.heads.cosine import Cosine
from equipoise.methods.baselines.joint import Joint
from equipoise.training.context import Context


class MMCosine(Joint):
    """Joint training of the head `cosine`."""

    def setup(self, ctx: Context) -> None:
        """Check the head.

        Raises:
            ConfigError: its logits are not cosines.
        """
        if not isinstance(ctx.model.head, Cosine):
            raise ConfigError(
                "method 'mmcosine' needs cosine logits, and the head is "
                f"{type(ctx.model.head).__name__}; use head 'cosine', or method 'joint'"
            )
