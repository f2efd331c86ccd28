"""M3AE: one transformer for image patches or word pieces.

Geng et al. Multimodal Masked Autoencoders Learn Transferable Representations. 2022.
Code and weights: github.com/young-geng/m3ae_public
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from equipoise.checks import choice, require
from equipoise.encoders.parts.checks import check_shape
from equipoise.encoders.parts.frames import encode_frames
from equipoise.encoders.parts.positions import sine_cosine_1d, sine_cosine_2d
from equipoise.encoders.parts.projection import projection
from equipoise.encoders.parts.transformer import Block, xavier_linear
from equipoise.encoders.parts.weights import load_strictly, read_weights

PATCH = 16
"""Pixels along each side of a patch."""
STD = 0.02
"""Standard deviation with which learned tokens start."""
SIZES = {"small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}
"""{size: (width, layers, heads)}."""
POOLINGS = ("cls", "mean", "mean-all")
EPS = 1e-6
"""Epsilon of the LayerNorms: the default of flax, not of PyTorch."""


def learned_token(width: int) -> nn.Parameter:
    """Draw a token (1, 1, width) from N(0, 0.02²)."""
    return nn.Parameter(torch.randn(1, 1, width) * STD)


class PatchEmbedding(nn.Module):
    """Patches of 16 × 16 pixels, row by row.

    The pixels of a patch are in the order (row, column, channel), like the rows of the published
    kernel. MLA's port feeds (channel, row, column) to the same weights, which scrambles every
    patch; that is not offered.

    Args:
        shape: (channels, height, width) of an image.
        width: of a token.
    """

    positions: Tensor

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        channels, height, across = shape
        self.content = xavier_linear(PATCH * PATCH * channels, width)
        self.type_embedding = learned_token(width)
        self.register_buffer(
            "positions", sine_cosine_2d(height // PATCH, across // PATCH, width), persistent=False
        )

    def forward(self, images: Tensor) -> tuple[Tensor, None]:
        """(B, C, H, W) → tokens (B, N, width), and None because no token is padding."""
        batch, channels, height, width = images.shape
        pixels = images.reshape(batch, channels, height // PATCH, PATCH, width // PATCH, PATCH)
        flat = pixels.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
        return self.content(flat) + self.positions + self.type_embedding, None


class TextEmbedding(nn.Module):
    """Word pieces; id 0 is padding.

    Args:
        length: of a text.
        vocabulary: number of token ids.
        width: of a token.
    """

    positions: Tensor

    def __init__(self, length: int, vocabulary: int, width: int) -> None:
        super().__init__()
        # PyTorch draws the embedding from N(0, 1), as the published code does.
        self.content = nn.Embedding(vocabulary, width)
        self.type_embedding = learned_token(width)
        self.register_buffer("positions", sine_cosine_1d(length, width), persistent=False)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Ids (B, L) → tokens (B, L, width), and bool (B, L), True where a token is not padding."""
        return self.content(ids) + self.positions + self.type_embedding, ids != 0


class M3AE(nn.Module):
    """The encoder of the multimodal masked autoencoder, reading one modality.

    Only the embedding of that modality is built. GELU is the tanh approximation and the epsilon of
    LayerNorm is 1e-6, as in the authors' flax code; MLA's port uses the exact GELU and 1e-5.

    Args:
        shape: (channels, height, width) of an image, with sides that are multiples of 16, or
            (length,) of a text. The features of several frames are averaged.
        width: of the feature, reached by a linear layer; null for the network's own (384, 768 or
            1024).
        vocabulary: number of token ids of a text, of which 0 is padding; null for images.
        size: small, base or large.
        pooling: `mean` averages the CLS token and all tokens that are not padding; `mean-all`
            averages the padding too, as MLA's code does; `cls` takes the CLS token, as the authors'
            linear probe does. For images the two means are equal.
        weights: file (.pt, .pth, .safetensors) of the authors' flax parameters as a flat dictionary
            of paths, or of the PyTorch port; null for random weights.

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
        if weights is not None:
            # Loaded before the projection exists, because no published file holds one.
            modality = "image" if vocabulary is None else "text"
            load_strictly(self, own_state(read_weights(weights), modality), "M3AE")
        self.projection = feature

    def forward(self, inputs: Tensor) -> Tensor:
        """Images (B, C, H, W), frames (B, T, C, H, W) or ids (B, L) → (B, width)."""
        feature: Tensor = self.projection(encode_frames(self._encode, inputs))
        return feature

    def _encode(self, inputs: Tensor) -> Tensor:
        tokens, valid = self.embedding(inputs)
        x = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        if valid is not None:
            # The CLS token is always valid, so that a text of nothing but padding has a feature.
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
        weight = valid.to(x.dtype) / valid.sum(1, keepdim=True)
        return torch.einsum("bn,bnd->bd", weight, x)


def _embedding(
    shape: tuple[int, ...], vocabulary: int | None, width: int
) -> PatchEmbedding | TextEmbedding:
    if vocabulary is not None:
        check_shape("M3AE", shape, len(shape) == 1, "(length,) of a text")
        return TextEmbedding(shape[0], vocabulary, width)
    fits = len(shape) in (3, 4) and all(side and side % PATCH == 0 for side in shape[-2:])
    check_shape("M3AE", shape, fits, f"(channels, height, width), sides multiples of {PATCH}")
    return PatchEmbedding(shape[-3:], width)


# Published weights. The authors' flax parameters and the PyTorch port name them differently.

Rules = tuple[tuple[str, str], ...]
"""(pattern, replacement) pairs, applied in this order to the name of a parameter."""

PORT: Rules = (
    (r"^encoder\.blocks\.", "blocks."),
    (r"^encoder\.layer_norm\.", "norm."),
    (r"\.layer_norm([12])\.", r".norm\1."),
    (r"\.attention\.qkv_linear\.", ".attn.qkv."),
    (r"\.attention\.fc\.", ".attn.proj."),
    (r"\.transformer_mlp\.", ".mlp."),
)
FLAX: Rules = (
    (r"^encoder\.Block_(\d+)\.", r"blocks.\1."),
    (r"^encoder\.LayerNorm_0\.", "norm."),
    (r"\.LayerNorm_0\.", ".norm1."),
    (r"\.LayerNorm_1\.", ".norm2."),
    (r"\.Attention_0\.Dense_0\.", ".attn.qkv."),
    (r"\.Attention_0\.Dense_1\.", ".attn.proj."),
    (r"\.TransformerMLP_0\.", ".mlp."),
    (r"\.(kernel|scale|embedding)$", ".weight"),
)
PRETRAINING = ("decoder", "image_mask_embedding", "text_mask_embedding")
"""Prefixes of the parameters that only reconstruction needs."""


def own_state(state: Mapping[str, Tensor], modality: str) -> dict[str, Tensor]:
    """Give published weights the names of `M3AE`; unknown names stay.

    The decoder and the embedding of the other modality are left out.

    Args:
        state: of the port, or flat flax paths joined by '/' or '.', kernels not yet transposed. The
            kernel of patches keeps the published pixel order in both.
        modality: "image" or "text".
    """
    dotted = {name.replace("/", "."): value for name, value in state.items()}
    rules = FLAX if any(".Block_" in name for name in dotted) else PORT
    other = {"image": "text", "text": "image"}[modality]
    left_out = (*PRETRAINING, f"{other}_embedding.", f"encoder_{other}_type_embedding")
    return {
        _renamed(name, rules, modality): value.T if name.endswith(".kernel") else value
        for name, value in dotted.items()
        if not name.startswith(left_out)
    }


def _renamed(name: str, rules: Rules, modality: str) -> str:
    embedding: Rules = (
        (rf"^{modality}_embedding\.", "embedding.content."),
        (rf"^encoder_{modality}_type_embedding$", "embedding.type_embedding"),
    )
    for pattern, replacement in (*rules, *embedding):
        name = re.sub(pattern, replacement, name)
    return name
