"""Frames from videos and from folders of pictures, in the order in which they are shown."""

from __future__ import annotations

import os
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from equipoise.data.manifest.file_part import FilePart, Window
from equipoise.data.media.file import LONGEST_READ, check_file, check_window, decoding
from equipoise.data.media.image import MOST_PIXELS, open_image
from equipoise.data.media.truncation import Packets
from equipoise.errors import DataError

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska,webm",
    "avi",
    "flv",
    "asf",
    "mpeg",
    "mpegts",
    "mpegvideo",
    "m4v",
    "h264",
    "hevc",
    "mxf",
    "rm",
    "dv",
    "gif",
    "apng",
    "ogg",
    "wav",
    "w64",
    "mp3",
    "aac",
    "flac",
    "aiff",
    "au",
    "caf",
    "amr",
    "ac3",
    "eac3",
    "dts",
    "wv",
    "tta",
    "ape",
    "jpeg_pipe",
    "png_pipe",
)
"""FFmpeg's names of the formats that are read."""
INSTANT = 0.001
"""Seconds to which many containers round their times."""
FAR = 1e12
"""Seconds behind the end of every film."""
FIXED_POINT = 1 << 16
TURNS_OF_MATRIX = {
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}
"""{(a, b, c, d) of a display matrix: what turns the frame upright}"""
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

    with decoding(path, "not readable as video or sound"):
        # Playlists, which make FFmpeg open other files and addresses, are none of these formats.
        options = {"protocol_whitelist": "file", "format_whitelist": ",".join(CONTAINERS)}
        container = av.open(
            f"file:{path}",
            metadata_errors="ignore",
            container_options=options,
            timeout=(LONGEST_READ, LONGEST_READ),
        )
    with container:
        yield container


def read_frames(
    part: FilePart,
    pick: Pick,
    draw: Callable[[Image.Image], np.ndarray],
    minimum: int = 1,
    white: int | None = None,
) -> list[np.ndarray]:
    """Read chosen frames of a video file or of a folder of pictures.

    The pictures of a folder are sorted by the numbers in their names.

    Args:
        part: a video or a folder; its window is in frames, or of a video also in seconds.
        pick: takes the number of frames in the window and returns the indices wanted, in rising
            order; one may occur twice.
        draw: turns a picture into an array.
        minimum: fewest frames of a clip that is not refused.
        white: value that is white in deep grey pictures of a folder, see `open_image`.

    Raises:
        DataError: not decodable, truncated, too short, or without a picture track.
    """
    check_window(part)
    if os.path.isdir(part.path):  # that of Path raises an error for long names
        return _from_folder(part, pick, draw, minimum, white)
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
    white: int | None,
) -> list[np.ndarray]:
    names = sorted((p for p in part.path.iterdir() if p.suffix.lower() in PICTURES), key=_natural)
    names = names[part.window.first : part.window.last]
    _check_count(part, len(names), minimum)
    found = {}
    for index in sorted(set(pick(len(names)))):
        with open_image(names[index], white) as image:
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
    file = part.path
    window = part.window
    with open_container(file) as container:
        if not container.streams.video:
            raise DataError(f"{part}: has no picture track")
        stream = container.streams.video[0]
        _check_size(file, stream.codec_context)
        packets = Packets(file, container)
        with decoding(file, "damaged"):
            shown = [
                packet
                for packet in packets.of(stream)
                if packet.size and not packet.is_discard  # an edit list hides frames
            ]
        total = len(shown)
        if window.start is not None and window.end is not None:
            times = _times(part, stream, shown)
            window = _in_frames(window, times)
        truncated = packets.are_cut()
    if truncated and not (window.last and window.last <= total):
        raise DataError(f"{part}: truncated, it breaks off after {total} frames")
    first = window.first or 0
    last = min(window.last or total, total)
    _check_count(part, max(last - first, 0), minimum)
    return first, last - first


def _check_size(file: Path, codec: Any) -> None:
    """Refuse frames that are too large to decode."""
    if codec.width * codec.height > MOST_PIXELS:
        raise DataError(
            f"{file}: the frames have too many pixels; at most {MOST_PIXELS:,} are read, "
            "so make it smaller"
        )


def _times(part: FilePart, stream: Any, shown: Sequence[Any]) -> list[float]:
    """Seconds at which each frame is first shown, from the first frame on, and the end of the last.

    Some containers (AVI) tell no times, and then all frames last equally long.
    """
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    ticks = [packet.pts for packet in shown]
    if None in ticks or len(set(ticks)) < len(ticks):
        if not rate:
            raise DataError(
                f"{part}: the file tells no frame rate, so a window in seconds has no meaning; "
                "give frames"
            )
        return [index / rate for index in range(len(shown) + 1)]
    # Packets come in the order in which they are decoded.
    order = sorted(shown, key=attrgetter("pts"))
    unit = float(stream.time_base)
    times = [(packet.pts - order[0].pts) * unit for packet in order]
    lasts = (order[-1].duration or 0) * unit if order else 0.0
    return [*times, times[-1] + (lasts or (1 / rate if rate else 0.0))] if order else [0.0]


def _in_frames(window: Window, times: Sequence[float]) -> Window:
    """The frames that are shown in a window of seconds.

    A frame is shown from its time to that of the next one. One that is shown for less than
    `INSTANT` of the window is there because times are rounded, and does not count.
    """
    start = min(window.start or 0.0, FAR)
    end = min(window.end or 0.0, FAR)
    first = bisect_right(times, start + INSTANT) - 1
    last = bisect_left(times, end - INSTANT)
    return Window(first, max(last, first + 1))


def _decode(
    file: Path, wanted: set[int], draw: Callable[[Image.Image], np.ndarray]
) -> Iterator[tuple[int, np.ndarray]]:
    """Decode a video once, convert the wanted frames only and stop behind the last one.

    Seeking to each of them is slower, because the key frames of web videos are far apart.
    """
    last = max(wanted)
    index = -1
    picture = None
    with open_container(file) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        with decoding(file, "damaged"):
            for index, frame in enumerate(container.decode(stream)):
                if index in wanted:
                    yield index, draw(_upright(frame))
                if index == last:
                    return
            if last - index > SLACK or index < 0:
                raise DataError(f"{file}: truncated, it ends behind frame {index}")
            # The index announced a few frames too many; the last frame stands for them.
            picture = draw(_upright(frame))
            yield from ((late, picture) for late in wanted if late > index)


def _upright(frame: Any) -> Image.Image:
    """A frame as a player shows it: turned and mirrored as the display matrix of the film says.

    The matrix sends (x, y) to (a x + c y, b x + d y), in fixed-point numbers and with y downwards.
    """
    image: Image.Image = frame.to_image()
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return image
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5] / FIXED_POINT
    turn = TURNS_OF_MATRIX.get((round(a), round(b), round(c), round(d)))
    return image if turn is None else image.transpose(turn)
