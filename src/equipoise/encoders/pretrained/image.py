"""Networks of the transformers library that read images."""

from __future__ import annotations

from typing import Any

from equipoise.encoders.parts.checks import check_shape
from equipoise.encoders.pretrained.base import Pretrained
from equipoise.errors import ConfigError

USUAL_SIZE = 224
"""Pixels on a side of the pictures that most networks were trained on."""


class PretrainedImage(Pretrained):
    """An encoder of square images, or of frames whose vectors are averaged.

    A random network is built for the size of the images.
    """

    def fitted(self, shape: tuple[int, ...], vocabulary: int | None) -> dict[str, object]:
        check_no_text(self.owner, vocabulary)
        square = len(shape) in (3, 4) and shape[-1] == shape[-2]
        check_shape(
            self.owner,
            shape,
            square,
            "(channels, size, size), with frames before it or not, as pictures are with "
            f"size: {USUAL_SIZE} in data.options.<modality>",
        )
        return {"num_channels": shape[-3], "image_size": shape[-1]}

    def check_fits(
        self, configuration: Any, shape: tuple[int, ...], vocabulary: int | None
    ) -> None:
        size = configuration.image_size
        patch = configuration.patch_size
        channels = configuration.num_channels
        if (channels, size) != (shape[-3], shape[-1]):
            raise ConfigError(
                f"{self.owner}: it reads {channels} channels of {size}×{size} pixels, and the data "
                f"have {shape[-3]} of {shape[-2]}×{shape[-1]}; {_remedy(channels, size)}"
            )
        if size < patch:
            raise ConfigError(
                f"{self.owner}: images of {size}×{size} pixels hold no patch of {patch}×{patch}; "
                f"{_remedy(channels, USUAL_SIZE)}"
            )


def _remedy(channels: int, size: int) -> str:
    """Say how to read pictures that fit; small ones are not enlarged without being asked."""
    return (
        f"set data.options.<modality> to size: {size} and channels: {channels}, which resizes them"
    )


def check_no_text(owner: str, vocabulary: int | None) -> None:
    """Refuse texts, for an encoder that does not read them.

    Raises:
        ConfigError: the modality is text, as it has a number of token ids.
    """
    if vocabulary is not None:
        raise ConfigError(f"{owner} does not read text")
