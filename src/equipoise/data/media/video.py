"""Frames from videos and from folders of pictures, in the order in which they are shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.data.manifest.file_part import FilePart, Window
from equipoise.data.media.file import check_file, check_window, reason
from equipoise.data.media.truncation import Packets
from equipoise.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
SLACK = 2
"""Frames that an index may announce beyond the last one."""
Pick = Callable[[int], Sequence[int]]
"""Number of frames → indices of the frames wanted."""


@contextmanager
def open_container(path: Path) -> Iterator[Any]:
    """Open a media container.

    Raises:
        DataError: not a media file.
    """
    import av

    try:
        container = av.open(str(path), metadata_errors="ignore")
    except (av.FFmpegError, ValueError, OSError) as error:
        raise DataError(f"{path}: not readable as video or sound ({reason(error, path)})") from None
    with container:
        yield container


def read_frames(
    part: FilePart, pick: Pick, draw: Callable[[Image.Image], np.ndarray], minimum: int = 1
) -> list[np.ndarray]:
    """Read chosen frames of a video file or of a folder of pictures.

    The pictures of a folder are sorted by the numbers in their names.

    Args:
        part: a video or a folder; its window is in frames, or of a video also in seconds.
        pick: takes the number of frames in the window and returns the indices wanted, in rising
            order; one may occur twice.
        draw: turns a picture into an array.
        minimum: fewest frames of a clip that is not refused.

    Raises:
        DataError: not decodable, truncated, too short, or without a picture track.
    """
    check_window(part)
    if part.path.is_dir():
        return _from_folder(part, pick, draw, minimum)
    check_file(part.path)
    first, count = _extent(part, minimum)
    wanted = [first + index for index in pick(count)]
    found = dict(_decode(part.path, set(wanted), draw))
    return [found[index] for index in wanted]


def _from_folder(
    part: FilePart,
    pick: Pick,
    draw: Callable[[Image.Image], np.ndarray],
    minimum: int,
) -> list[np.ndarray]:
    from equipoise.data.media.image import open_image

    names = sorted((p for p in part.path.iterdir() if p.suffix.lower() in PICTURES), key=_natural)
    names = names[part.window.first : part.window.last]
    _check_count(part, len(names), minimum)
    found = {}
    for index in sorted(set(pick(len(names)))):
        with open_image(names[index]) as image:
            found[index] = draw(image)
    return [found[index] for index in pick(len(names))]


def _natural(path: Path) -> tuple[list[int], str]:
    """Sorting key that puts frame2 before frame10."""
    return [int(number) for number in re.findall(r"\d+", path.stem)], path.name


def _check_count(part: FilePart, count: int, minimum: int) -> None:
    if count == 0:
        raise DataError(f"{part}: has no frames")
    if count < minimum:
        raise DataError(
            f"{part}: {count} frame{'s' * (count > 1)} only, {minimum} are wanted; is it a video?"
        )


def _extent(part: FilePart, minimum: int) -> tuple[int, int]:
    """First frame and number of frames of the window, counted without decoding."""
    import av

    file = part.path
    window = part.window
    with open_container(file) as container:
        if not container.streams.video:
            raise DataError(f"{part}: has no picture track")
        stream = container.streams.video[0]
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        packets = Packets(file, container)
        try:
            total = sum(1 for packet in packets.of(stream) if packet.size)
        except av.FFmpegError as error:
            raise DataError(f"{part}: damaged ({reason(error, file)})") from None
        truncated = packets.are_cut()
    if window.start is not None and window.end is not None:
        if not rate:
            raise DataError(
                f"{part}: the file tells no frame rate, so a window in seconds has no meaning; "
                "give frames"
            )
        window = Window(
            round(window.start * rate),
            max(round(window.end * rate), round(window.start * rate) + 1),
        )
    if truncated and not (window.last and window.last <= total):
        raise DataError(f"{part}: truncated, it breaks off after {total} frames")
    first = window.first or 0
    last = min(window.last or total, total)
    _check_count(part, max(last - first, 0), minimum)
    return first, last - first


def _decode(
    file: Path, wanted: set[int], draw: Callable[[Image.Image], np.ndarray]
) -> Iterator[tuple[int, np.ndarray]]:
    """Decode a video once, convert the wanted frames only and stop behind the last one.

    Seeking to each of them is slower, because the key frames of web videos are far apart.
    """
    import av

    last = max(wanted)
    index = -1
    with open_container(file) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        try:
            for index, frame in enumerate(container.decode(stream)):
                if index in wanted:
                    yield index, draw(frame.to_image())
                if index == last:
                    return
        except av.FFmpegError as error:
            raise DataError(
                f"{file}: damaged behind frame {index} ({reason(error, file)})"
            ) from None
        if last - index > SLACK:
            raise DataError(f"{file}: truncated, it ends behind frame {index}")
        # The index announced a few frames too many; the last frame stands for them.
        picture = draw(frame.to_image())
        yield from ((late, picture) for late in wanted if late > index)
