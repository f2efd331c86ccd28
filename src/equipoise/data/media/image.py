"""Pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from equipoise.data.media.file import check_file, reason
from equipoise.errors import DataError

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
FITS = ("stretch", "crop")


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open a picture with 8 bits per channel, turned upright as its camera says.

    Raises:
        DataError: not decodable.
    """
    check_file(path)
    try:
        with Image.open(path) as opened:
            opened.load()
            image = ImageOps.exif_transpose(_eight_bits(opened))
    except (
        UnidentifiedImageError,
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
    ) as error:
        raise DataError(f"{path}: not readable as an image ({reason(error, path)})") from None
    yield image


def read_image(
    path: Path,
    size: tuple[int, int],
    channels: int,
    *,
    fit: str = "stretch",
    resample: str = "bilinear",
) -> np.ndarray:
    """Read a picture at one size, as uint8 (channels, height, width); see `fit_image`.

    Raises:
        DataError: not decodable.
    """
    with open_image(path) as image:
        return fit_image(image, size, channels, fit=fit, resample=resample)


def fit_image(
    image: Image.Image,
    size: tuple[int, int],
    channels: int,
    *,
    fit: str = "stretch",
    resample: str = "bilinear",
) -> np.ndarray:
    """Bring a picture to one size.

    Args:
        image: of any size.
        size: height and width to return.
        channels: 1 (grey) or 3.
        fit: "stretch" changes the aspect ratio; "crop" scales the picture until it just covers the
            size, and cuts out the centre.
        resample: "bilinear" or "bicubic".

    Returns:
        uint8 (channels, height, width).
    """
    image = image.convert("L" if channels == 1 else "RGB")
    height, width = size
    if fit == "crop":
        image = _cover(image, height, width, RESAMPLING[resample])
    elif image.size != (width, height):
        image = image.resize((width, height), RESAMPLING[resample])
    pixels = np.asarray(image)
    planes: np.ndarray = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
    return planes


def _cover(image: Image.Image, height: int, width: int, resample: Image.Resampling) -> Image.Image:
    """Scale a picture until it covers a size, and cut out the centre.

    The long side is rounded down, as in torchvision and transformers.
    """
    if image.width * height <= image.height * width:
        scaled = (width, max(height, int(width * image.height / image.width)))
    else:
        scaled = (max(width, int(height * image.width / image.height)), height)
    if image.size != scaled:
        image = image.resize(scaled, resample)
    left = (scaled[0] - width) // 2
    top = (scaled[1] - height) // 2
    return image.crop((left, top, left + width, top + height))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Bring 16-bit grey to 8 bits.

    Pillow would clip it at 255 where it should divide. Other deep pixels have no known range.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("32-bit pixels have no known range; save it with 8 or 16 bits")
    return image
