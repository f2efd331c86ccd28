"""M3AE: one transformer for image patches or word pieces (Geng et al., arXiv 2205.14204)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from equipoise.checks import choice, require
from equipoise.encoders.checks import check_shape
from equipoise.encoders.frames import encode_frames
from equipoise.encoders.m3ae_embeddings import PATCH, PatchEmbedding, TextEmbedding, learned_token
from equipoise.encoders.m3ae_layout import own_state
from equipoise.encoders.projection import projection
from equipoise.encoders.transformer import Block
from equipoise.encoders.weights import load_strictly, read_weights

SIZES = {"small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}  # width, layers, heads
POOLINGS = ("cls", "mean", "mean-all")
EPS = 1e-6  # of the LayerNorms: flax's default, not PyTorch's


class M3AE(nn.Module):
    """The encoder of the multimodal masked autoencoder, reading one modality.

    Only the embedding of the modality is built. GELU is the tanh approximation and LayerNorm's epsilon 1e-6, as in
    the authors' flax code; MLA's port uses the exact GELU and 1e-5.

    Args:
        shape: (channels, height, width) of an image, sides multiples of 16, or (length,) of a text. Frames of it are
            folded into the batch and their features averaged.
        width: of the feature; null for the network's own (384, 768 or 1024), else a linear layer follows.
        vocabulary: number of token ids of a text; id 0 is padding. Null for images.
        size: small, base or large.
        pooling: `mean` averages the CLS token and all tokens that are no padding, so that a text's feature does not
            depend on how far it is padded; `mean-all` averages padding too, as MLA's code does; `cls` takes the CLS
            token, as the authors' linear probe does. For images the two means are equal.
        weights: file (.pt, .pth, .safetensors) of the authors' flax parameters as a flat dict of paths, or of the
            PyTorch port; the other modality's embedding and the decoder in it are left out.

    Raises:
        ConfigError: a bad option or shape, or weights that cannot be read or do not fit.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int | None = None,
        vocabulary: int | None = None,
        size: str = "base",
        pooling: str = "mean",
        weights: str | None = None,
    ) -> None:
        super().__init__()
        require("M3AE", choice("size", size, SIZES), choice("pooling", pooling, POOLINGS))
        own, layers, heads = SIZES[size]
        feature = projection("M3AE", own, width)
        self.width = own if width is None else width
        self.pooling = pooling
        self.embedding = _embedding(shape, vocabulary, own)
        self.cls_token = learned_token(own)
        self.blocks = nn.ModuleList(Block(own, heads, EPS, gelu="tanh") for _ in range(layers))
        self.norm = nn.LayerNorm(own, eps=EPS)
        if weights is not None:  # before the projection exists, which no published file holds
            load_strictly(self, own_state(read_weights(weights), "image" if vocabulary is None else "text"), "M3AE")
        self.projection = feature

    def forward(self, inputs: Tensor) -> Tensor:
        """Images (B, C, H, W), frames (B, T, C, H, W) or ids (B, L) → (B, width)."""
        feature: Tensor = self.projection(encode_frames(self._encode, inputs))
        return feature

    def _encode(self, inputs: Tensor) -> Tensor:
        tokens, valid = self.embedding(inputs)
        x = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        if valid is not None:  # the CLS token always is, so a text of nothing but padding has a feature too
            valid = nn.functional.pad(valid, (1, 0), value=True)
        mask = None if valid is None else valid[:, None, None]
        for block in self.blocks:
            x = block(x, mask)
        return self._pooled(self.norm(x), valid)

    def _pooled(self, x: Tensor, valid: Tensor | None) -> Tensor:
        if self.pooling == "cls":
            return x[:, 0]
        if valid is None or self.pooling == "mean-all":
            return x.mean(1)
        share = valid.to(x.dtype) / valid.sum(1, keepdim=True)
        return torch.einsum("bn,bnd->bd", share, x)


def _embedding(shape: tuple[int, ...], vocabulary: int | None, width: int) -> PatchEmbedding | TextEmbedding:
    if vocabulary is not None:
        check_shape("M3AE", shape, len(shape) == 1, "(length,) of a text")
        return TextEmbedding(shape[0], vocabulary, width)
    whole = len(shape) in (3, 4) and all(side and side % PATCH == 0 for side in shape[-2:])
    check_shape("M3AE", shape, whole, f"(channels, height, width), sides multiples of {PATCH}")
    return PatchEmbedding(shape[-3:], width)
