"""Sizes of files, read from their headers.

They choose how much of the files a run reads. They are therefore estimates: a header may be wrong,
and only decoding finds out. A file whose header cannot be read has no size here, and decoding it
tells why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media.audio import SOUND_FILES
from equipoise.data.media.image import open_header, read_orientation
from equipoise.data.media.truncation import Packets
from equipoise.data.media.video import PICTURES, open_container
from equipoise.quiet import muffled

LONGEST = 366 * 24 * 3600.0
"""Seconds that no recording lasts; a header that says more is wrong."""


@dataclass(frozen=True)
class Header:
    """Sizes of a file, or of the part of it that is meant; None where they are unknown.

    Attributes:
        seconds: duration.
        rate: sampling rate of the sound in Hz.
        frames: number of frames of the video.
        sides: height and width of the pictures, upright.
        shape: of the array.
    """

    seconds: float | None = None
    rate: int | None = None
    frames: int | None = None
    sides: tuple[int, int] | None = None
    shape: tuple[int, ...] | None = None


def sound_header(part: FilePart) -> Header | None:
    """Duration and rate of a sound file, or of the sound track of a video; None if unreadable."""
    return _tried(_sound, part)


def picture_header(part: FilePart) -> Header | None:
    """Height and width of a picture; None if unreadable."""
    return _tried(lambda whole: Header(sides=_sides(Path(str(whole)))), part)


def video_header(part: FilePart) -> Header | None:
    """Frames, duration and size of a video, a folder of frames or an array of optical flow.

    None if unreadable.
    """
    return _tried(_video, part)


def array_header(part: FilePart) -> Header | None:
    """Shape of a .npy file, or of one row of it; None if unreadable."""
    return _tried(lambda whole: Header(shape=_shape(whole)), part)


def _tried(read: Callable[[FilePart], Header | None], part: FilePart) -> Header | None:
    """Read a header; damaged files raise errors of many kinds, which decoding reports."""
    path = part.sides()[0].path
    try:
        # Opening a named pipe would wait for ever.
        if part.window.is_empty or not (path.is_file() or path.is_dir()):
            return None
        return read(part)
    except Exception:  # of whatever library reads the file
        return None


def _sound(part: FilePart) -> Header | None:
    import soundfile

    if part.path.suffix.lower() in SOUND_FILES:
        with muffled:  # mpg123 prints its doubts about files that are no MP3
            facts = soundfile.info(str(part.path))
        rate = int(facts.samplerate)
        seconds = facts.frames / rate
    else:
        with open_container(part.path) as container:
            stream = container.streams.audio[0]
            rate = int(stream.rate)
            seconds = _lasts(part.path, container, stream)
    window = part.window
    if window.start is not None and window.end is not None:
        seconds = min(window.end, seconds) - window.start
    return Header(seconds=seconds, rate=rate) if 0 < seconds < LONGEST and rate > 0 else None


def _lasts(path: Path, container: Any, stream: Any) -> float:
    """Duration of a stream in seconds; packets are counted where no header tells it."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration:
        return float(container.duration) / 1_000_000
    packets = Packets(path, container)
    for _ in packets.of(stream):
        pass
    return packets.end


def _sides(path: Path) -> tuple[int, int]:
    with path.open("rb") as file, open_header(path, file) as image:
        width, height = image.size
        turn = read_orientation(image)
    turned = isinstance(turn, int) and turn >= 5  # from 5 on, sides change places
    return (width, height) if turned else (height, width)


def _video(part: FilePart) -> Header | None:
    side = part.sides()[0]
    if side.path.is_dir():
        names = sorted(p for p in side.path.iterdir() if p.suffix.lower() in PICTURES)
        window = part.window
        count = len(names[window.first : window.last])
        return Header(frames=count, sides=_sides(names[0])) if count else None
    if side.path.suffix.lower() == ".npy":
        return _flow(_shape(part))
    with open_container(side.path) as container:
        stream = container.streams.video[0]
        seconds = _lasts(side.path, container, stream)
        rate = float(stream.average_rate or stream.guessed_rate or 0)
    frames = stream.frames or round(seconds * rate)
    frames, seconds = _part_of(part, frames, seconds, rate)
    if frames < 1 or not 0 < seconds < LONGEST:
        return None
    return Header(seconds=seconds, frames=frames, sides=_frame_sides(side.path))


def _part_of(part: FilePart, frames: int, seconds: float, rate: float) -> tuple[int, float]:
    """Frames and seconds of the window."""
    window = part.window
    if window.first is not None and window.last is not None:
        inside = min(window.last, frames) - window.first
        return inside, inside / (rate or 25.0)
    if window.start is not None and window.end is not None:
        inside_seconds = min(window.end, seconds) - window.start
        return max(round(inside_seconds * rate), 1), inside_seconds
    return frames, seconds


def _frame_sides(path: Path) -> tuple[int, int]:
    """Height and width of the first frame, turned as a player turns it."""
    with open_container(path) as container:
        frame = next(container.decode(container.streams.video[0]))
        turned = round(getattr(frame, "rotation", 0) or 0) % 180 == 90
        return (frame.width, frame.height) if turned else (frame.height, frame.width)


def _flow(shape: tuple[int, ...]) -> Header | None:
    """Sizes of an array of optical flow, H×W×2×T, T×2×H×W or T×H×W×2."""
    if len(shape) != 4:
        return None
    if shape[2] == 2:
        return Header(frames=shape[3], sides=(shape[0], shape[1]))
    if shape[1] == 2:
        return Header(frames=shape[0], sides=(shape[2], shape[3]))
    return Header(frames=shape[0], sides=(shape[1], shape[2]))


def _shape(part: FilePart) -> tuple[int, ...]:
    array = np.load(part.path, mmap_mode="r", allow_pickle=False)
    shape: tuple[int, ...] = array.shape
    return shape if part.window.row is None else shape[1:]
