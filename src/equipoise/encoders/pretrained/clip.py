"""The two halves of CLIP, each an encoder of its own. The weights of a CLIP serve both.

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
    """One half of CLIP.

    Its last layer maps the state of one token into the space in which images and texts are
    compared.

    Attributes:
        last: name of that layer.
    """

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
    """The image half of CLIP ViT-B/32. The options are those of `Pretrained`.

    Pooling "projection" (the usual one) gives the vector that CLIP compares with texts; "token"
    gives the normalised class token before it.
    """

    configuration_class = CLIPVisionConfig
    network_class = CLIPVisionModelWithProjection
    last = "visual_projection"

    def pooled(self, inputs: Tensor) -> Tensor:
        """Images (B, C, H, W) → (B, d)."""
        vectors: Tensor = self.network(pixel_values=inputs).image_embeds
        return vectors


class CLIPText(_Half, PretrainedText):
    """The text half of CLIP ViT-B/32. The options are those of `Pretrained`.

    Pooling "projection" (the usual one) gives the vector that CLIP compares with images; "token"
    gives the state before it: that of the end-of-text token, which has the largest id of a text.
    Attention only looks back, so the padding behind a text is never read.
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
