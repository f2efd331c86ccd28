"""CLIP's two halves, each an encoder of its own; weights of a whole CLIP give either.

Radford et al. Learning Transferable Visual Models From Natural Language Supervision. ICML 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from equipoise.encoders.pretrained.base import Pretrained
from equipoise.encoders.pretrained.image import PretrainedImage
from equipoise.encoders.pretrained.text import PretrainedText


class _Half(Pretrained):
    """Its last layer maps one token's state into the space in which images and texts are compared."""

    poolings = ("projection", "token")
    last: ClassVar[str]

    def build(
        self,
        shape: tuple[int, ...],
        vocabulary: int | None,
        weights: str | None,
        config: Mapping[str, object],
    ) -> Any:
        network = super().build(shape, vocabulary, weights, config)
        if self.pooling == "token":
            setattr(network, self.last, nn.Identity())
        return network

    def own_width(self, shape: tuple[int, ...]) -> int:
        configuration = self.network.config
        return int(
            configuration.projection_dim
            if self.pooling == "projection"
            else configuration.hidden_size
        )


class CLIPImage(_Half, PretrainedImage):
    """The image half, of ViT-B/32 unless the configuration says otherwise; options: see
    `Pretrained`.

    Pooling "projection" gives the vector that CLIP compares with texts; "token" the normalised
    class token before it.
    """

    configuration_class = CLIPVisionConfig
    network_class = CLIPVisionModelWithProjection
    last = "visual_projection"

    def pooled(self, inputs: Tensor) -> Tensor:
        """Images (B, C, H, W) → (B, d)."""
        vectors: Tensor = self.network(pixel_values=inputs).image_embeds
        return vectors


class CLIPText(_Half, PretrainedText):
    """The text half, of ViT-B/32 unless the configuration says otherwise; options: see
    `Pretrained`.

    Pooling "projection" gives the vector that CLIP compares with images; "token" the state before
    it, which is that of the end-of-text token, the largest id of its text. Attention looks back
    only: padding behind is never read.
    """

    configuration_class = CLIPTextConfig
    network_class = CLIPTextModelWithProjection
    last = "text_projection"

    def pooled(self, inputs: Tensor) -> Tensor:
        """Token ids (B, L) → (B, d)."""
        states = self.network.text_model(input_ids=inputs).last_hidden_state
        rows = torch.arange(len(inputs), device=inputs.device)
        vectors: Tensor = self.network.text_projection(states[rows, inputs.argmax(1)])
        return vectors
