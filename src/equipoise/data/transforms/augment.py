"""Random crops, mirrors and colours of a block of images, all in one resampling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.data.transforms.base import Draws

ATTEMPTS = 10
"""Attempts to find a crop that lies inside the image, as in torchvision's RandomResizedCrop."""


@dataclass(frozen=True)
class Look:
    """The augmentation of one sample in one epoch.

    Attributes:
        top: of the crop, as a fraction of the image's height.
        left: of the crop, as a fraction of the width.
        height: of the crop, as a fraction of the height.
        width: of the crop, as a fraction of the width.
        flip: mirror it.
        colours: factors of brightness, contrast and saturation.
    """

    top: float
    left: float
    height: float
    width: float
    flip: bool
    colours: tuple[float, float, float]


def draw_look(
    rng: np.random.Generator,
    size: tuple[int, int],
    crop: Sequence[float] | None,
    ratio: Sequence[float],
    flip: bool,
    jitter: float,
) -> Look:
    """Draw a crop of random area and aspect ratio (Szegedy et al., CVPR 2015), a mirror, colours.

    Args:
        rng: of this sample and epoch.
        size: height and width of the image that is cut.
        crop: smallest and largest fraction of the area; None for the whole image.
        ratio: smallest and largest width over height, in pixels.
        flip: mirror every other sample.
        jitter: factors of the colours are between 1 − jitter and 1 + jitter.
    """
    # The same numbers are drawn whatever the settings, so that the modalities of one sample are cut
    # alike.
    numbers = rng.random((ATTEMPTS, 2))
    place = rng.random(2)
    mirrored = rng.random() < 0.5
    shades = rng.random(3)
    height = 1.0
    width = 1.0
    if crop is not None:
        height, width = _box(numbers, size, crop, ratio)
    colours = tuple(float(1 - jitter + 2 * jitter * shade) for shade in shades)
    top = (1 - height) * place[0]
    left = (1 - width) * place[1]
    return Look(
        top, left, height, width, bool(flip and mirrored), (colours[0], colours[1], colours[2])
    )


def _box(
    numbers: np.ndarray, size: tuple[int, int], crop: Sequence[float], ratio: Sequence[float]
) -> tuple[float, float]:
    """Height and width of the first crop that lies inside the image; else the whole image."""
    for area, shape in numbers:
        fraction = crop[0] + (crop[1] - crop[0]) * area
        aspect = math.exp(math.log(ratio[0]) + (math.log(ratio[1]) - math.log(ratio[0])) * shape)
        width = math.sqrt(fraction * aspect * size[0] / size[1])
        height = math.sqrt(fraction / aspect * size[1] / size[0])
        if width <= 1 and height <= 1:
            return height, width
    return 1.0, 1.0


def cut(images: Tensor, looks: Sequence[Look], size: tuple[int, int]) -> Tensor:
    """Cut every image, mirror it where its look says so, and bring it to one size (bilinear).

    Args:
        images: float (B, C, H, W).
        looks: one per image.
        size: height and width to return.
    """
    theta = torch.zeros(len(looks), 2, 3, dtype=images.dtype)
    for place, look in zip(theta, looks, strict=True):
        place[0, 0] = -look.width if look.flip else look.width
        place[0, 2] = 2 * look.left + look.width - 1
        place[1, 1] = look.height
        place[1, 2] = 2 * look.top + look.height - 1
    grid = F.affine_grid(theta, [len(looks), images.shape[1], *size], align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def change_colours(images: Tensor, looks: Sequence[Look]) -> Tensor:
    """Change brightness, then contrast about the mean grey, then saturation.

    Args:
        images: (B, 3 or 1, H, W) in [0, 1], where they stay.
        looks: one per image.
    """
    factors = torch.tensor([look.colours for look in looks]).T
    brightness, contrast, saturation = factors[..., None, None, None]
    images = (images * brightness).clamp(0, 1)
    mean = _grey(images).mean((1, 2, 3), keepdim=True)
    images = ((images - mean) * contrast + mean).clamp(0, 1)
    grey = _grey(images)
    coloured: Tensor = ((images - grey) * saturation + grey).clamp(0, 1)
    return coloured


def _grey(images: Tensor) -> Tensor:
    """Luminance of images (B, 3 or 1, H, W) → (B, 1, H, W)."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    return (images * weights).sum(1, keepdim=True)


def looks_for(draws: Draws, size: tuple[int, int], **settings: object) -> list[Look]:
    """Draw a look per sample; `settings` are those of `draw_look`."""
    return [draw_look(rng, size, **settings) for rng in draws]  # type: ignore[arg-type]
