"""The transform of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.checks import choice, flag, inside, integer, is_integer, is_number, require
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media import read_image
from equipoise.data.media.image import FITS, RESAMPLING
from equipoise.data.transforms.augment import Look, change_colours, cut, looks_for
from equipoise.data.transforms.base import Draws, statistics
from equipoise.errors import invalid

NORMALISATIONS = {
    "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    "clip": ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]),
    # Of CC12M, on which the published checkpoint was trained.
    "m3ae": ([0.5762, 0.5503, 0.5213], [0.3207, 0.3169, 0.3307]),
    "mmbt": ([0.46777044, 0.44531429, 0.40661017], [0.12221994, 0.12145835, 0.14380469]),
    # To [−1, 1], the range on which I3D and ViT were trained.
    "half": ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
}
"""{name: (means, standard deviations) of red, green and blue}"""
MARGIN = 8 / 7
"""Side of the cached picture over that of the crop: 256 for 224."""
VIEWS = ("whole", "centre")


@dataclass(frozen=True)
class Picture:
    """The pixels of a picture, (channels, height, width).

    The cache keeps each picture at one size, and random crops are cut out of the cached picture.
    Published loaders cut them out of the picture in the file. The two differ if that is not square:
    with `fit: crop` neither training nor evaluation sees the sides of a wide picture, and with
    `fit: stretch` both see all of it, at another aspect ratio.

    Attributes:
        size: height and width, or one number for both.
        channels: 1 (grey) or 3 (red, green, blue).
        stored_size: size of the cached picture, from which random crops and the centre are cut;
            null for `size`, or for 8/7 of it (256 for 224) with a crop or `view: centre`.
        fit: stretch (to the size, at another aspect ratio) or crop (the short side to the size,
            then the centre).
        resample: bilinear or bicubic.
        white: value that is white in grey pictures of more than 8 bits, such as 4095 for 12 bits;
            null for what each file tells, and 65535 or 4095 where it tells nothing.
        normalise: none, fit (by the mean and standard deviation of the training rows), imagenet,
            clip, m3ae, mmbt, half, or [means, standard deviations]; pixels are in [0, 1] before.
        view: the part of the cached picture that a sample without a random crop shows, as in
            evaluation: whole (brought to `size`), or centre (its middle, of `size`).
        crop: [smallest, largest] fraction of the area in a random crop of a training sample; null
            for no crop.
        ratio: [smallest, largest] width over height of a crop.
        flip: mirror every other training sample.
        jitter: random brightness, contrast and saturation of training samples, by factors between
            1 − jitter and 1 + jitter.
    """

    size: int | Sequence[int] = 224
    channels: int = 3
    stored_size: int | Sequence[int] | None = None
    fit: str = "stretch"
    resample: str = "bilinear"
    white: int | None = None
    normalise: Any = "imagenet"
    view: str = "whole"
    crop: Sequence[float] | None = None
    ratio: Sequence[float] = (3 / 4, 4 / 3)
    flip: bool = False
    jitter: float = 0.0
    follows: ClassVar[frozenset[str]] = frozenset({"size"})
    late: ClassVar = frozenset(
        {"size", "stored_size", "normalise", "view", "crop", "ratio", "flip", "jitter"}
    )
    axis: ClassVar[int] = 0
    padded: ClassVar[bool] = False
    kind: ClassVar[str] = "image"
    channel_counts: ClassVar[tuple[int, ...]] = (1, 3)

    def __post_init__(self) -> None:
        require(
            self.kind,
            choice("channels", self.channels, self.channel_counts),
            choice("fit", self.fit, FITS),
            choice("resample", self.resample, RESAMPLING),
            choice("view", self.view, VIEWS),
            flag("flip", self.flip),
            inside("jitter", self.jitter, "[0, 1]"),
        )
        if self.white is not None:
            require(self.kind, integer("white", self.white, 1))
        _check_extent(self.kind, "size", self.size)
        if self.stored_size is not None:
            _check_extent(self.kind, "stored_size", self.stored_size)
        is_smaller = any(kept < shown for kept, shown in zip(self.cached, self.extent, strict=True))
        if self.view == "centre" and is_smaller:
            expected = f"at least size ({self.size}) for view: centre"
            raise invalid(self.kind, "stored_size", expected, self.stored_size)
        statistics(self.kind, self.normalise, NORMALISATIONS)
        if self.crop is not None:
            _check_pair(self.kind, "crop", self.crop, 1.0)
        _check_pair(self.kind, "ratio", self.ratio, float("inf"))

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width of a finished sample."""
        return _extent(self.size)

    @property
    def cached(self) -> tuple[int, int]:
        """Height and width in the cache."""
        if self.stored_size is not None:
            return _extent(self.stored_size)
        if self.crop is None and self.view == "whole":
            return self.extent
        return round(self.extent[0] * MARGIN), round(self.extent[1] * MARGIN)

    @property
    def dtype(self) -> str:
        return "uint8"

    @property
    def stored(self) -> tuple[int, ...]:
        return (self.channels, *self.cached)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.channels, *self.extent)

    @property
    def varied(self) -> bool:
        """True if training samples are augmented."""
        return self.crop is not None or self.flip or self.jitter > 0

    @property
    def random(self) -> bool:
        return self.varied

    def decode(self, part: FilePart) -> np.ndarray:
        """uint8 of shape `stored`.

        Raises:
            DataError: the file is not readable as an image.
        """
        # A picture has no parts, so what looks like a window belongs to the file's name.
        return read_image(
            Path(f"{part.path}{part.written}"),
            self.cached,
            self.channels,
            fit=self.fit,
            resample=self.resample,
            white=self.white,
        )

    def finish(self, block: np.ndarray, draws: Draws | None) -> np.ndarray:
        """Augment and normalise samples, (B, *stored) → float32 (B, *shape)."""
        return self._seen(self._units(block), self._looks(draws)).numpy()

    def _units(self, block: np.ndarray) -> Tensor:
        """Bring cached pixels to [0, 1]."""
        return torch.from_numpy(block.astype(np.float32)) / 255

    def _looks(self, draws: Draws | None) -> list[Look] | None:
        """The look of each sample; None where nothing is augmented."""
        if draws is None:
            return None
        # Looks are drawn first, and even if they are not used. What a modality draws besides, such
        # as its frames, then neither changes them nor depends on them.
        looks = looks_for(
            draws, self.cached, crop=self.crop, ratio=self.ratio, flip=self.flip, jitter=self.jitter
        )
        return looks if self.varied else None

    def _seen(self, images: Tensor, looks: Sequence[Look] | None) -> Tensor:
        """Cut, colour and normalise images (B, C, H, W), with a look each."""
        if looks is None or self.crop is None:
            images = self._viewed(images)
        if looks is not None:
            images = self._mirrored(cut(images, looks, self.extent), [look.flip for look in looks])
            if self.jitter:
                images = change_colours(images, looks)
        known = statistics(self.kind, self.normalise, NORMALISATIONS)
        if known is None:
            return images
        mean, deviation = (_per_channel(numbers, self.channels) for numbers in known)
        return (images - mean) / deviation

    def _mirrored(self, images: Tensor, flips: Sequence[bool]) -> Tensor:
        """Change the values of mirrored samples; a picture has none that change."""
        return images

    def _viewed(self, images: Tensor) -> Tensor:
        """Bring images to `size` as `view` says."""
        height, width = self.extent
        if self.cached == self.extent:
            return images
        if self.view == "whole":
            return F.interpolate(
                images, (height, width), mode="bilinear", antialias=True, align_corners=False
            )
        top = (images.shape[-2] - height) // 2
        left = (images.shape[-1] - width) // 2
        return images[..., top : top + height, left : left + width]


def _per_channel(numbers: Sequence[float], channels: int) -> Tensor:
    """Means or standard deviations, (channels, 1, 1); grey has the mean of the three colours."""
    if len(numbers) == channels:
        return torch.tensor(numbers)[:, None, None]
    if channels == 1 or len(numbers) == 1:
        return torch.tensor([sum(numbers) / len(numbers)] * channels)[:, None, None]
    raise invalid("image", "normalise", f"{channels} means and deviations", numbers)


def _extent(size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width of a setting that may be one number for both."""
    sides = [size] if isinstance(size, int) else size
    return sides[0], sides[-1]


def _check_extent(owner: str, name: str, size: object) -> None:
    numbers = size if isinstance(size, list | tuple) else [size]
    if len(numbers) not in (1, 2) or not all(is_integer(n, 1) for n in numbers):
        raise invalid(owner, name, "one or two positive integers", size)


def _check_pair(owner: str, name: str, pair: object, most: float) -> None:
    fits = isinstance(pair, list | tuple) and len(pair) == 2 and all(is_number(n) for n in pair)
    if not (fits and 0 < pair[0] <= pair[1] <= most):  # type: ignore[index]
        raise invalid(owner, name, f"[smallest, largest], above 0 and at most {most:g}", pair)
