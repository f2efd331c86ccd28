r"""Joint training: one loss on the fused prediction, whatever the head.

Idea:
    All encoders and the head are trained together by the loss of the fused prediction. The methods
    `concat` and `sum` are the baselines Concat and Sum of the papers: joint training under the
    heads of these names, the first of which is also the head of `joint`. Joint training is the
    yardstick: every other method is compared with it, and equals it at its neutral setting.

    Some fusion baselines are nothing but another head under this loss; their equations stand with
    the heads. These are `film` and `affine` (Perez et al. FiLM. AAAI 2018), `bigated` (Kiela et al.
    Efficient Large-Scale Multi-Modal Classification. AAAI 2018), `ml-lstm` (Nie et al. Multi-modal
    feature fusion based on multi-layers LSTM. 2021), and `attention` (self-attention over one token
    per modality).

Equations:
    $$L = \mathrm{CE}(f, y)$$

Where published code departs:
    Joint training is a baseline without a published code of its own.
"""

from __future__ import annotations

from torch import Tensor

from equipoise.batch import Batch, Output
from equipoise.methods.parts.losses import fused_loss
from equipoise.training.context import Context
from equipoise.training.method import Method


class Joint(Method):
    """L = CE(fused, y)."""

    def loss(self, output: Output, batch: Batch, ctx: Context) -> Tensor:
        return fused_loss(output, batch, ctx)
