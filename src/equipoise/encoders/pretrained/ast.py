"""The audio spectrogram transformer.

Gong, Chung, Glass. AST: Audio Spectrogram Transformer. Interspeech 2021.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import ASTConfig, ASTModel

from equipoise.encoders.parts.checks import check_shape
from equipoise.encoders.pretrained.base import Pretrained
from equipoise.encoders.pretrained.image import check_no_text
from equipoise.errors import ConfigError


class AST(Pretrained):
    """AST-base, for filter banks (1, mels, frames). The options are those of `Pretrained`.

    Pooling "cls" (the usual one) averages the class token and the distillation token, as the
    authors do; "mean" averages the patches.
    """

    poolings = ("cls", "mean")
    configuration_class = ASTConfig
    network_class = ASTModel

    def fitted(self, shape: tuple[int, ...], vocabulary: int | None) -> dict[str, object]:
        check_no_text(self.owner, vocabulary)
        check_shape(self.owner, shape, len(shape) == 3 and shape[0] == 1, "(1, mels, frames)")
        return {"num_mel_bins": shape[1], "max_length": shape[2]}

    def check_fits(
        self, configuration: Any, shape: tuple[int, ...], vocabulary: int | None
    ) -> None:
        mels = configuration.num_mel_bins
        frames = configuration.max_length
        patch = configuration.patch_size
        if (mels, frames) != shape[1:]:
            raise ConfigError(
                f"{self.owner}: it reads {mels} mels and {frames} frames, and the data have "
                f"{shape[1]} and {shape[2]}; set them in the transform"
            )
        if min(mels, frames) < patch:
            raise ConfigError(
                f"{self.owner}: {mels} mels and {frames} frames hold no patch of {patch}×{patch}"
            )

    def pooled(self, inputs: Tensor) -> Tensor:
        """Filter banks (B, 1, mels, frames) → (B, d)."""
        output = self.network(input_values=inputs.squeeze(1).transpose(1, 2))
        vectors: Tensor = output.pooler_output
        return vectors if self.pooling == "cls" else output.last_hidden_state[:, 2:].mean(1)
