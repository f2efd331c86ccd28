"""Pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from equipoise.data.media.file import check_file, decoding
from equipoise.data.media.remarks import remark
from equipoise.errors import DataError
from equipoise.quiet import muffled

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
FITS = ("stretch", "crop")

FORMATS = ("PNG", "JPEG", "MPO", "GIF", "BMP", "DIB", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM")
"""The formats that are read, whatever a file is called.

Pillow knows more. It starts other programs for some of them (Ghostscript for EPS), and takes random
bytes for others (TGA).
"""
MOST_PIXELS = 178_956_970
"""Largest number of pixels of a picture or of a frame that is decoded, 512 MiB in colour.

It is the number from which Pillow itself refuses a picture by default.
"""
_TOO_LARGE = (
    f"the picture has too many pixels; at most {MOST_PIXELS:,} are read, so make it smaller"
)
WHITE = 65535
"""White of 16-bit grey whose range the file does not tell."""
TWELVE_BITS = 4095
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""{orientation in EXIF: what turns the picture upright}"""
_BITS_PER_SAMPLE = 258
_PHOTOMETRIC = 262
_LARGEST = (281, 341)
"""TIFF tags of the value that is white: MaxSampleValue and SMaxSampleValue."""


@contextmanager
def open_image(path: Path, white: int | None = None) -> Iterator[Image.Image]:
    """Open a picture as a person sees it, in grey or in red, green and blue, with 8 bits each.

    It is turned upright as its camera says, and transparent parts show white behind them. Of an
    animation or of several pages, it is the first picture.

    Args:
        path: of the file.
        white: value that is white in grey pictures of more than 8 bits; None for what the file
            tells, see `_range`.

    Raises:
        DataError: not one of `FORMATS`, too large, or not decodable.
    """
    check_file(path)
    with decoding(path, "not readable as an image"):
        # Given a path, Pillow maps some TIFF files into memory and then turns them wrongly.
        with path.open("rb") as file, open_header(path, file) as opened:
            # libtiff prints what it dislikes.
            with muffled if opened.format == "TIFF" else nullcontext():
                opened.load()
            turn = TURNS.get(read_orientation(opened))  # only now: EXIF may stand behind the pixels
            image = _on_white(_eight_bits(opened, white))
        if turn is not None:
            image = image.transpose(turn)
    yield image


def open_header(path: Path, file: BinaryIO) -> Image.Image:
    """Read the header of a picture.

    Raises:
        DataError: too large.
        UnidentifiedImageError: none of the known formats.
    """
    Image.init()
    try:
        opened = Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
    except Image.DecompressionBombError:
        raise DataError(f"{path}: {_TOO_LARGE}") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: not readable as an image (it is not a picture)") from None
    if opened.width * opened.height > MOST_PIXELS:
        raise DataError(f"{path}: {_TOO_LARGE}")
    return opened


def read_orientation(image: Image.Image) -> Any:
    """The number in EXIF that says how the camera was held; None where EXIF is unreadable."""
    try:
        return image.getexif().get(ORIENTATION)
    except Exception:
        return None


def _eight_bits(image: Image.Image, white: int | None) -> Image.Image:
    """Bring deeper pixels to 8 bits. Pillow would clip them at 255 where it should divide.

    Raises:
        DataError: the pixels have no known range.
    """
    tags: Any = getattr(image, "tag_v2", {})
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        told = _told_white(tags)
        bits = tags.get(_BITS_PER_SAMPLE, (8,))
        if max(bits) > 8 and told is not None and told < WHITE // 2:
            # Pillow has cut off the lower byte already.
            raise ValueError(f"16-bit colour whose white is {told}; save it with 8 bits")
        return image
    pixels = np.asarray(image).astype(np.float32)
    top = white or _range(image, tags, pixels)
    if tags.get(_PHOTOMETRIC) == 0:  # white is zero, which Pillow minds for 8 bits only
        pixels = top - pixels
    scaled = np.clip(pixels / top, 0, 1) * 255
    # Rounded down, as Pillow cuts 16 bits of colour to 8; the summand is for rounded quotients.
    return Image.fromarray((scaled + 1e-3).astype(np.uint8))


def _range(image: Image.Image, tags: Any, pixels: np.ndarray) -> int:
    """The value that is white in a deep grey picture.

    It is what the TIFF tags MaxSampleValue or BitsPerSample tell, and 65535 for PNG, JPEG 2000 and
    PGM, whose samples fill 16 bits by definition. TIFF files of 12-bit cameras mostly tell nothing:
    where no value of a 16-bit TIFF is above 4095, 4095 is white, which is said in a remark.

    Raises:
        ValueError: pixels of 32 bits, or with a sign, whose range nobody tells.
    """
    told = _told_white(tags)
    if told is not None:
        return told
    is_deep = image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM"))
    if is_deep:
        raise ValueError(
            "32-bit pixels have no known range; save it with 8 or 16 bits, or set the option white"
        )
    if pixels.max(initial=0) > TWELVE_BITS:
        return WHITE
    if image.format == "TIFF":
        remark(
            "of 16 bits in TIFF hold no value above 4095 and do not tell their range; they are "
            "read as 12 bits, set the option white to change that"
        )
        return TWELVE_BITS
    remark(
        "of 16 bits hold no value above 4095, of 65535, so they are nearly black; set the option "
        "white if they have 12 bits"
    )
    return WHITE


def _told_white(tags: Any) -> int | None:
    """The value that is white according to the tags of a TIFF file; None where they do not say."""
    for tag in _LARGEST:
        value = tags.get(tag)
        numbers = value if isinstance(value, tuple) else (value,)
        if numbers[0] is not None and max(numbers) > 0:
            return int(max(numbers))
    bits = max(tags.get(_BITS_PER_SAMPLE, (16,)))
    return None if bits in (16, 32) else (1 << bits) - 1


def _on_white(image: Image.Image) -> Image.Image:
    """Bring a picture of 8 bits to grey or colours, with white behind what is transparent.

    What pixels hold where nobody sees them is left over from the program that wrote them.
    """
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def read_image(
    path: Path,
    size: tuple[int, int],
    channels: int,
    *,
    fit: str = "stretch",
    resample: str = "bilinear",
    white: int | None = None,
) -> np.ndarray:
    """Read a picture at one size, as uint8 (channels, height, width).

    See `open_image` and `fit_image`.

    Raises:
        DataError: not decodable.
    """
    with open_image(path, white) as image:
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
