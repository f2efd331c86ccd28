"""Files into arrays. Every failure names the file and the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

_WINDOW = re.compile(r"#(?:(?P<first>\d+):(?P<last>\d+)|t=(?P<start>\d+(?:\.\d+)?),(?P<end>\d+(?:\.\d+)?))$")
_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Window:
    """The part of a recording that is meant: `clip.avi#138:218` (frames) or `talk.wav#t=6.29,8.23` (seconds).

    Attributes:
        first: frame, counted from 0; None where the window is in seconds.
        last: frame after the last one.
        start: seconds.
        end: seconds.
    """

    first: int | None = None
    last: int | None = None
    start: float | None = None
    end: float | None = None


def without_window(cell: str) -> str:
    """The path alone."""
    return _WINDOW.sub("", cell)


def split_window(path: Path) -> tuple[Path, Window | None]:
    """The file, and the part of it that is meant; None for all of it.

    Raises:
        DataError: the window ends before it begins.
    """
    match = _WINDOW.search(path.name)
    if match is None:
        return path, None
    first, last, start, end = match.groups()
    file = path.with_name(without_window(path.name))
    window = Window(int(first), int(last)) if first else Window(start=float(start), end=float(end))
    if (window.last or window.end or 0) <= (window.first or window.start or 0):
        raise DataError(f"{path}: the window is empty")
    return file, window


def check_file(path: Path) -> None:
    """Catch what no decoder explains well.

    Raises:
        DataError: no such file, not readable, empty, or a Git LFS pointer instead of its content.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(_LFS))
    except FileNotFoundError:
        raise DataError(f"{path}: file not found") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if not head:
        raise DataError(f"{path}: the file is empty (0 bytes)")
    if head == _LFS:
        raise DataError(f"{path}: a Git LFS pointer, not the file itself; run 'git lfs pull'")


def read_audio(path: Path, rate: int) -> np.ndarray:
    """Mono float32 samples in [−1, 1] at `rate` Hz; channels are averaged.

    Raises:
        DataError: not decodable, or shorter than its header says.
    """
    import soundfile
    import soxr

    check_file(path)
    try:
        with soundfile.SoundFile(path) as file:
            promised, native = file.frames, file.samplerate
            wave = file.read(dtype="float32", always_2d=True).mean(axis=1)
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise DataError(f"{path}: not readable as audio ({_reason(error, path)})") from None
    if len(wave) == 0:
        raise DataError(f"{path}: the sound has no samples")
    if len(wave) < promised or _cut_short(path):
        raise DataError(f"{path}: truncated, the header promises more samples than there are")
    if not np.isfinite(wave).all():
        raise DataError(f"{path}: holds NaN or infinite samples")
    resampled: np.ndarray = wave if native == rate else soxr.resample(wave, native, rate)
    return resampled


def _cut_short(path: Path) -> bool:
    """True for a RIFF wav whose data chunk is longer than the file: decoders silently give what is left."""
    content = path.read_bytes()
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return False
    place = 12
    while place + 8 <= len(content):
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        if content[place : place + 4] == b"data":
            streamed = size == 0xFFFFFFFF  # written to a pipe: the length was not known
            return not streamed and place + 8 + size > len(content)
        place += 8 + size + size % 2
    return True


def read_image(path: Path, size: tuple[int, int], channels: int) -> np.ndarray:
    """float32 (channels, height, width) in [0, 1], resized (bilinear) to (height, width).

    Raises:
        DataError: not decodable.
    """
    from PIL import Image, UnidentifiedImageError

    check_file(path)
    try:
        with Image.open(path) as opened:
            image = _eight_bits(opened).convert("L" if channels == 1 else "RGB")
            if image.size != (size[1], size[0]):
                image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            pixels = np.asarray(image, dtype=np.float32) / 255
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not readable as an image ({_reason(error, path)})") from None
    planes: np.ndarray = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
    return planes


def _eight_bits(image: Image.Image) -> Image.Image:
    """Pillow would clip 16-bit grey at 255 where it should divide, and leave other deep pixels without a range."""
    from PIL import Image

    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("32-bit pixels have no known range; save it with 8 or 16 bits")
    return image


def read_array(path: Path) -> np.ndarray:
    """float32 vector from a .npy file of any shape.

    Raises:
        DataError: not a .npy file of finite numbers.
    """
    check_file(path)
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
        if not isinstance(loaded, np.ndarray):
            raise ValueError("an archive of several arrays")
        array = loaded.astype(np.float32).reshape(-1)
    except (ValueError, EOFError, OSError, TypeError) as error:
        raise DataError(f"{path}: not a .npy array of numbers ({_reason(error, path)})") from None
    if not np.isfinite(array).all():
        raise DataError(f"{path}: holds NaN or infinite numbers")
    return array


def _reason(error: Exception, path: Path) -> str:
    """The decoder's words in one line, without repeating the path."""
    return " ".join(str(error).replace(str(path), "file").split()) or type(error).__name__
