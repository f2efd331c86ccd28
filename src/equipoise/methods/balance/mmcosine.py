"""MMCosine: joint training on cosine logits, so that no modality leads by the length of its
features or weights.

Xu, Feng, Zhang, Hu. MMCosine: Multi-Modal Cosine Loss Towards Balanced Audio-Visual Fine-Grained
Learning. ICASSP 2023. Code: github.com/GeWu-Lab/MMCosine_ICASSP23

    u_m[k] = s · cos(z_m, W_m[k])     f = Σ_m u_m     L = CE(f, y)

There is no bias, and a modality's share in a logit is never larger than s (option `scale` of the
head `cosine`; the authors recommend 10, BalanceBenchmark takes 15). Training and prediction use the
same logits, where the published validation predicts with the linear layer before normalisation. The
contrastive loss that the published code can add, with weight 0 by default, is not offered. Any
number of modalities; cost as joint training.
"""

from __future__ import annotations

from equipoise.errors import ConfigError
from equipoise.heads.cosine import Cosine
from equipoise.methods.baselines.joint import Joint
from equipoise.training.context import Context


class MMCosine(Joint):
    """Joint training of the head `cosine`."""

    def setup(self, ctx: Context) -> None:
        """Raises ConfigError where the head's logits are no cosines."""
        if not isinstance(ctx.model.head, Cosine):
            raise ConfigError(
                f"method 'mmcosine' needs cosine logits, and the head is {type(ctx.model.head).__name__}; "
                "use head 'cosine', or method 'joint'"
            )
