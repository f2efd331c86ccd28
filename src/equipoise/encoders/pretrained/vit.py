"""The vision transformer, for images and frames.

Dosovitskiy et al. An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale. ICLR
2021.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from transformers import ViTConfig, ViTModel

from equipoise.encoders.pretrained.image import PretrainedImage


class ViT(PretrainedImage):
    """ViT-B/16 without its pooler. The options are those of `Pretrained`.

    Pooling "cls" (the usual one) takes the last state of the class token; "mean" averages the
    patches.
    """

    poolings = ("cls", "mean")
    configuration_class = ViTConfig
    network_class = ViTModel
    given: ClassVar = {"add_pooling_layer": False}

    def pooled(self, inputs: Tensor) -> Tensor:
        """Images (B, C, H, W) → (B, d)."""
        states: Tensor = self.network(pixel_values=inputs).last_hidden_state
        return states[:, 0] if self.pooling == "cls" else states[:, 1:].mean(1)
