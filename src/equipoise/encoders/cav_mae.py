"""CAV-MAE: one branch of the contrastive audio-visual masked autoencoder.

Gong et al. Contrastive Audio-Visual Masked Autoencoder. ICLR 2023.
Code and weights: github.com/YuanGongND/cav-mae
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.encoders.parts.checks import check_shape
from equipoise.encoders.parts.frames import encode_frames
from equipoise.encoders.parts.positions import sine_cosine_2d
from equipoise.encoders.parts.projection import projection
from equipoise.encoders.parts.transformer import Block
from equipoise.encoders.parts.weights import load_strictly, read_weights

WIDTH = 768
ATTENTION_HEADS = 12
PATCH = 16
"""Sides of a patch, in pixels, or in mels and frames."""
OWN_BLOCKS = 11
"""Blocks that a branch has of its own."""
SHARED_BLOCKS = 1
"""Blocks that both branches share."""
EPS = 1e-5
"""Epsilon of the LayerNorms."""
MELS = 128
"""Mel bins of the spectrograms in pretraining."""
SUFFIXES = {1: "a", 3: "v"}
"""{channels of a sample: suffix of the published names, audio or vision}."""


class TripleNormBlock(Block):
    """A block with three pairs of LayerNorms, one for each kind of sequence it may be given.

    Args:
        suffix: of the pair in use: "" in the blocks of a branch, "_a" or "_v" in a block that both
            branches share.
    """

    def __init__(self, suffix: str) -> None:
        super().__init__(WIDTH, ATTENTION_HEADS, EPS)
        self.suffix = suffix
        for name in ("norm1_a", "norm2_a", "norm1_v", "norm2_v"):
            self.add_module(name, nn.LayerNorm(WIDTH, eps=EPS))
        for name, layer in self.named_children():
            if name.startswith("norm") and name not in (f"norm1{suffix}", f"norm2{suffix}"):
                # The pairs not in use exist only so that published files load strictly. They never
                # get a gradient.
                layer.requires_grad_(False)

    def norms(self) -> tuple[nn.Module, nn.Module]:
        """The pair in use."""
        return self.get_submodule(f"norm1{self.suffix}"), self.get_submodule(f"norm2{self.suffix}")


class CAVMAE(nn.Module):
    """The audio branch or the visual branch, and the shared block behind it, averaged over tokens.

    Audio is a log-mel spectrogram, frequency first. The published one has 128 mel bins and 1024
    frames of 10 ms, and is normalised by (fbank + 5.081) / 4.4849. Images have 224 × 224 pixels,
    normalised with the statistics of ImageNet.

    Args:
        shape: (1, mels, frames) of audio or (3, height, width) of an image; mels, height and width
            are multiples of 16, and a last incomplete patch of frames is not read. The features of
            several images (images, 3, height, width) are averaged.
        width: of the feature, reached by a linear layer; null for the network's own (768).
        weights: file (.pt, .pth, .safetensors) of the authors' pretrained or fine-tuned model; null
            for random weights. The position table is fitted to another number of frames, but not to
            another number of mel bins or pixels.

    Raises:
        ConfigError: a bad option or shape, or weights that cannot be read or do not fit.
    """

    def __init__(
        self, shape: tuple[int, ...], width: int | None = None, weights: str | None = None
    ) -> None:
        super().__init__()
        feature = projection("CAVMAE", WIDTH, width)
        self.width = WIDTH if width is None else width
        branch = find_branch(shape)
        shape = shape[-3:]
        rows = shape[1] // PATCH
        columns = shape[2] // PATCH
        self.patch_embed = nn.Conv2d(shape[0], WIDTH, PATCH, stride=PATCH)
        nn.init.xavier_uniform_(self.patch_embed.weight.view(WIDTH, -1))
        # The table is a parameter because the authors train it in fine-tuning.
        self.pos_embed = nn.Parameter(sine_cosine_2d(rows, columns, WIDTH)[None])
        self.modality = nn.Parameter(torch.randn(1, 1, WIDTH) * 0.02)
        self.blocks = nn.ModuleList(TripleNormBlock("") for _ in range(OWN_BLOCKS))
        self.shared = nn.ModuleList(TripleNormBlock(f"_{branch}") for _ in range(SHARED_BLOCKS))
        self.norm = nn.LayerNorm(WIDTH, eps=EPS)
        if weights is not None:
            # Loaded before the projection exists, because no published file holds one.
            state = branch_state(read_weights(weights), branch)
            if branch == "a" and shape[1] == MELS and "pos_embed" in state:
                state["pos_embed"] = over_time(state["pos_embed"], rows, columns)
            load_strictly(self, state, "CAVMAE")
        self.projection = feature

    def forward(self, inputs: Tensor) -> Tensor:
        """Spectrograms (B, 1, mels, frames), images (B, 3, H, W) or frames of them → (B, width)."""
        feature: Tensor = self.projection(encode_frames(self._encode, inputs))
        return feature

    def _encode(self, inputs: Tensor) -> Tensor:
        x = self.patch_embed(inputs).flatten(2).transpose(1, 2) + self.pos_embed + self.modality
        for block in (*self.blocks, *self.shared):
            x = block(x)
        feature: Tensor = self.norm(x).mean(1)
        return feature


def find_branch(shape: tuple[int, ...]) -> str:
    """Name the branch that reads samples of this shape: "a" (audio) or "v" (vision).

    Raises:
        ConfigError: neither of them does.
    """
    channels, rows, columns = shape[-3:] if len(shape) in (3, 4) else (0, 0, 0)
    fits = channels in SUFFIXES and min(rows, columns) >= PATCH and rows % PATCH == 0
    fits = fits and (columns % PATCH == 0 if channels == 3 else len(shape) == 3)
    check_shape(
        "CAVMAE",
        shape,
        fits,
        "(1, mels, frames) of audio or (3, height, width) of images, in whole patches of "
        f"{PATCH} × {PATCH}",
    )
    return SUFFIXES[channels]


# Published weights. A file holds both branches, the joint sequence, the decoder and, if fine-tuned,
# a classifier.

OTHER = {"a": "v", "v": "a"}
PARTS = ("patch_embed", "pos_embed", "modality", "blocks", "norm")
"""Parts that each branch has of its own, named with its suffix."""
JOINT = ("norm.", "decoder_", "mask_token", "mlp_head.")
"""Names that belong to the joint sequence, the reconstruction or the classifier."""


def branch_state(state: Mapping[str, Tensor], branch: str) -> dict[str, Tensor]:
    """Give the published weights of one branch the names of `CAVMAE`; unknown names stay.

    Args:
        state: names as published, without the prefix `module.`.
        branch: "a" or "v"; the other one, the decoder and the classifier are left out.
    """
    left_out = re.compile(rf"({'|'.join(PARTS)})_{OTHER[branch]}(\.|$)")
    return {
        _renamed(name, branch): value
        for name, value in state.items()
        if not (left_out.match(name) or name.startswith(JOINT))
    }


def _renamed(name: str, branch: str) -> str:
    name = re.sub(rf"^({'|'.join(PARTS)})_{branch}(?=\.|$)", r"\1", name)
    return re.sub(r"^blocks_u\.", "shared.", name).replace("patch_embed.proj.", "patch_embed.")


def over_time(positions: Tensor, frequencies: int, times: int) -> Tensor:
    """Fit a position table to another number of patches along time.

    For a shorter sound the first columns are kept, because short clips were padded at their end in
    pretraining. For a longer sound the table is stretched linearly along time, as AST does (Gong et
    al., Interspeech 2021).

    Args:
        positions: (1, frequencies · any, D), frequency by frequency, each over time.
        frequencies: number of patches along frequency.
        times: number of patches along time to return.

    Returns:
        (1, frequencies · times, D).
    """
    grid = positions.reshape(frequencies, -1, positions.shape[-1])
    if grid.shape[1] >= times:
        return grid[:, :times].flatten(0, 1)[None]
    stretched: Tensor = F.interpolate(grid.transpose(1, 2), size=times, mode="linear")
    return stretched.transpose(1, 2).flatten(0, 1)[None]
