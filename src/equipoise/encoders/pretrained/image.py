"""Networks of the transformers library that read images."""

from __future__ import annotations

from typing import Any

from equipoise.encoders.parts.checks import check_shape
from equipoise.encoders.pretrained.base import Pretrained
from equipoise.errors import ConfigError


class PretrainedImage(Pretrained):
    """An encoder of square images, or of frames whose vectors are averaged.

    A random network is built for the size of the images.
    """

    def fitted(self, shape: tuple[int, ...], vocabulary: int | None) -> dict[str, object]:
        check_no_text(self.owner, vocabulary)
        square = len(shape) in (3, 4) and shape[-1] == shape[-2]
        check_shape(
            self.owner, shape, square, "(channels, size, size), with frames before it or not"
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
                f"have {shape[-3]} of {shape[-2]}×{shape[-1]}; resize them in the transform"
            )
        if size < patch:
            raise ConfigError(
                f"{self.owner}: images of {size}×{size} pixels hold no patch of {patch}×{patch}"
            )


def check_no_text(owner: str, vocabulary: int | None) -> None:
    """Refuse texts, for an encoder that does not read them.

    Raises:
        ConfigError: the modality is text, as it has a number of token ids.
    """
    if vocabulary is not None:
        raise ConfigError(f"{owner} does not read text")
