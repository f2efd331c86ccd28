"""CAV-MAE: one branch of the contrastive audio-visual masked autoencoder (Gong et al., ICLR 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from equipoise.encoders.cav_mae_layout import branch_state, over_time
from equipoise.encoders.checks import check_shape
from equipoise.encoders.frames import encode_frames
from equipoise.encoders.positions import sine_cosine_2d
from equipoise.encoders.projection import projection
from equipoise.encoders.transformer import Block
from equipoise.encoders.weights import load_strictly, read_weights

WIDTH, HEADS, PATCH = 768, 12, 16
OWN, SHARED = 11, 1  # blocks of the branch, and blocks that both branches share
EPS = 1e-5  # of the LayerNorms
MELS = 128  # of the published spectrograms
BRANCHES = {1: "a", 3: "v"}  # number of channels → suffix of the published names


class TripleNormBlock(Block):
    """A block with three pairs of LayerNorms, one for each sort of sequence it may be given.

    Args:
        suffix: of the pair in use: "" in the blocks of a branch, "_a" or "_v" in a block that branches share.
    """

    def __init__(self, suffix: str) -> None:
        super().__init__(WIDTH, HEADS, EPS)
        self.suffix = suffix
        for name in ("norm1_a", "norm2_a", "norm1_v", "norm2_v"):
            self.add_module(name, nn.LayerNorm(WIDTH, eps=EPS))
        for name, layer in self.named_children():
            if name.startswith("norm") and name not in (f"norm1{suffix}", f"norm2{suffix}"):
                layer.requires_grad_(False)  # no gradient ever reaches it; it stays so that published files fit

    def norms(self) -> tuple[nn.Module, nn.Module]:
        """The pair in use."""
        return self.get_submodule(f"norm1{self.suffix}"), self.get_submodule(f"norm2{self.suffix}")


class CAVMAE(nn.Module):
    """The audio or the visual branch, each with the shared block in its own norms, averaged over tokens.

    Audio is a log-mel spectrogram, frequency first; the published one has 128 bins, 1024 frames of 10 ms and is
    normalised by (fbank + 5.081) / 4.4849. Images are 224 × 224 pixels, normalised with ImageNet's statistics.

    Args:
        shape: (1, mels, frames) of audio or (3, height, width) of images; mels, height and width are multiples of 16,
            a last incomplete patch of frames is not read. Several images (images, 3, height, width) are folded into
            the batch and their features averaged.
        width: of the feature; null for the network's own (768), else a linear layer follows.
        weights: file (.pt, .pth, .safetensors) of the authors' pretrained or fine-tuned model; the other branch, the
            decoder and the classifier in it are left out. The position table is fitted to another number of frames
            (see `over_time`), not to another number of mel bins or pixels.

    Raises:
        ConfigError: a bad option or shape, or weights that cannot be read or do not fit.
    """

    def __init__(self, shape: tuple[int, ...], width: int | None = None, weights: str | None = None) -> None:
        super().__init__()
        feature = projection("CAVMAE", WIDTH, width)
        self.width = WIDTH if width is None else width
        branch, shape = _branch(shape), shape[-3:]
        rows, columns = shape[1] // PATCH, shape[2] // PATCH
        self.patch_embed = nn.Conv2d(shape[0], WIDTH, PATCH, stride=PATCH)
        nn.init.xavier_uniform_(self.patch_embed.weight.view(WIDTH, -1))
        self.pos_embed = nn.Parameter(sine_cosine_2d(rows, columns, WIDTH)[None])  # trained in fine-tuning
        self.modality = nn.Parameter(torch.randn(1, 1, WIDTH) * 0.02)
        self.blocks = nn.ModuleList(TripleNormBlock("") for _ in range(OWN))
        self.shared = nn.ModuleList(TripleNormBlock(f"_{branch}") for _ in range(SHARED))
        self.norm = nn.LayerNorm(WIDTH, eps=EPS)
        if weights is not None:  # before the projection exists, which no published file holds
            state = branch_state(read_weights(weights), branch)
            if branch == "a" and shape[1] == MELS and "pos_embed" in state:
                state["pos_embed"] = over_time(state["pos_embed"], rows, columns)
            load_strictly(self, state, "CAVMAE")
        self.projection = feature

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, 1, mels, frames), (B, 3, height, width) or (B, images, 3, height, width) → (B, width)."""
        feature: Tensor = self.projection(encode_frames(self._encode, inputs))
        return feature

    def _encode(self, inputs: Tensor) -> Tensor:
        x = self.patch_embed(inputs).flatten(2).transpose(1, 2) + self.pos_embed + self.modality
        for block in (*self.blocks, *self.shared):
            x = block(x)
        feature: Tensor = self.norm(x).mean(1)
        return feature


def _branch(shape: tuple[int, ...]) -> str:
    channels, rows, columns = shape[-3:] if len(shape) in (3, 4) else (0, 0, 0)
    fits = channels in BRANCHES and min(rows, columns) >= PATCH and rows % PATCH == 0
    fits = fits and (columns % PATCH == 0 if channels == 3 else len(shape) == 3)
    check_shape(
        "CAVMAE",
        shape,
        fits,
        f"(1, mels, frames) of audio or (3, height, width) of images, in whole patches of {PATCH} × {PATCH}",
    )
    return BRANCHES[channels]
