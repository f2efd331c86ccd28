"""Sizes that follow the training rows, and the words that say what is read of a modality.

A setting that neither the user nor the named transform gives, and that is in the transform's
`follows`, gets the value that covers 95 % of the training rows, within limits that keep memory and
time bounded.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media.headers import (
    Header,
    array_header,
    picture_header,
    sound_header,
    video_header,
)
from equipoise.data.transforms.array import Numbers, Series
from equipoise.data.transforms.audio import LogMel, Sound
from equipoise.data.transforms.image import Picture
from equipoise.data.transforms.text import Pieces, Words, words_of
from equipoise.data.transforms.video import Frames

COVERED = 0.95
"""Fraction of the training rows that is read to its end."""
MOST_MEASURED = 2000
"""Training rows that are measured; of a larger table, a sample drawn with a fixed seed."""
MOST_VIDEOS = 200
"""Videos that are measured, because opening one takes milliseconds."""
MOST_SECONDS = 30.0
"""Limits of what is read where no setting says more."""
MOST_RATE = 16_000
MOST_PIXELS = 224
MOST_VIDEO_PIXELS = 112
MOST_FRAMES = 16
MOST_TOKENS = 512
MOST_STEPS = 4096
FEWEST_FRAMES = 4
FRAMES_PER_SECOND = 2
GRID = 0.1
"""Seconds to which differing durations are rounded up, so that they rarely depend on the seed."""
SIDE_GRID = 8
"""Pixels to which differing sides are rounded up."""
TOKEN_GRID = 8
SLACK = 0.02
"""Seconds of a sound that may be cut without being counted: codecs pad their ends."""


@dataclass(frozen=True)
class Measured:
    """Sizes of the training rows of one modality.

    Attributes:
        headers: of the files that could be measured.
        tokens: number of words or tokens in each text.
        most_tokens: number of tokens that are read at most.
        sampled: True where these are not all training rows.
    """

    headers: Sequence[Header] = ()
    tokens: Sequence[int] = ()
    most_tokens: int = MOST_TOKENS
    sampled: bool = False


NOTHING = Measured()


def measure_files(kind: str, files: Sequence[FilePart | None]) -> Measured:
    """Read the headers of training files.

    Args:
        kind: of the modality.
        files: of the training rows; None where the modality is absent.
    """
    there = [part for part in files if part is not None]
    chosen = _sample(there, MOST_VIDEOS if kind in ("video", "flow") else MOST_MEASURED)
    sampled = len(chosen) < len(there)
    if kind in ("vector", "array"):
        # NumPy parses a header as Python source, which is not safe in several threads.
        found = [array_header(part) for part in chosen]
    else:
        readers: dict[str, Callable[[FilePart], Header | None]]
        readers = {"audio": sound_header, "image": picture_header}
        # Pillow warns of damaged tags: decoding tells what is wrong with a file. Python cannot
        # silence warnings for one thread alone, so they are silenced around all of them.
        with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor() as pool:
            found = list(pool.map(readers.get(kind, video_header), chosen))
    return Measured([header for header in found if header is not None], sampled=sampled)


def measure_texts(texts: Sequence[str | None], transform: Words | Pieces) -> Measured:
    """Count the words or tokens of training texts.

    Args:
        texts: of the training rows; None where the modality is absent.
        transform: splits them into tokens.
    """
    there = [text for text in texts if text is not None]
    chosen = _sample(there, MOST_MEASURED)
    sampled = len(chosen) < len(there)
    if isinstance(transform, Words):
        return Measured(tokens=[len(words_of(text)) for text in chosen], sampled=sampled)
    pieces = transform.tokens(())
    most = min(pieces.longest, MOST_TOKENS)
    return Measured(tokens=pieces.count(chosen), most_tokens=most, sampled=sampled)


def follow(target: type, given: Mapping[str, Any], measured: Measured) -> dict[str, Any]:
    """Complete the settings of a transform by sizes of the training rows.

    Args:
        target: class of the transform.
        given: settings that the user or the named transform gives; they stay as they are.
        measured: sizes of the training rows.

    Returns:
        The settings. One that cannot be measured is left out, and so has the class's default.
    """
    open_settings: frozenset[str] = getattr(target, "follows", frozenset())
    for base, chosen in _FOLLOWED:
        if issubclass(target, base):
            try:
                found = chosen(given, measured)
            except (TypeError, ValueError, ArithmeticError):
                # A given setting is no number; the transform names it when it is made.
                return dict(given)
            return {**{k: v for k, v in found.items() if k in open_settings}, **given}
    return dict(given)


def covering(values: Sequence[float]) -> float:
    """The smallest of the values that at least 95 % of them do not exceed."""
    ordered = sorted(values)
    return ordered[math.ceil(COVERED * len(ordered)) - 1]


def _sample(items: list[Any], most: int) -> list[Any]:
    if len(items) <= most:
        return items
    rows = np.random.default_rng(0).choice(len(items), most, replace=False)
    return [items[row] for row in np.sort(rows)]


def _sound(given: Mapping[str, Any], measured: Measured) -> dict[str, Any]:
    seconds = [h.seconds for h in measured.headers if h.seconds is not None]
    rates = [h.rate for h in measured.headers if h.rate is not None]
    if not seconds or not rates:
        return {}
    return {"rate": int(min(covering(rates), MOST_RATE)), "seconds": _duration(seconds)}


def _duration(seconds: Sequence[float]) -> float:
    longest = covering(seconds)
    if max(seconds) - min(seconds) > SLACK:
        # A hair above the grid is not worth another step of it.
        longest = math.ceil((longest - SLACK) / GRID) * GRID
    return round(min(max(longest, GRID), MOST_SECONDS), 3)


def _log_mel(given: Mapping[str, Any], measured: Measured) -> dict[str, Any]:
    """Windows of 32 ms every 10 ms, 64 bands at 16 kHz.

    Beyond ten seconds the windows come further apart, so that there are never more than some
    thousand. At low rates a window has at least 128 samples, for enough frequencies.
    """
    found = _sound(given, measured)
    rate = given.get("rate", found.get("rate"))
    if rate is None or "seconds" not in found:
        return {}
    window = given.get("window", max(128, round(0.032 * rate)))
    found["seconds"] = max(found["seconds"], math.ceil(1000 * window / rate) / 1000)
    seconds = given.get("seconds", found["seconds"])
    hop = min(window, max(1, window * 5 // 16) * max(1, math.ceil(seconds / 10)))
    bands = max(1, min(16 + 3 * int(rate) // 1000, window // 2))
    # Settings stored by version 0.1 have a hop but do not say that frames are not centred.
    centred = {} if "hop" in given else {"centre": True}
    return {**found, "window": window, "hop": hop, "mels": bands, **centred}


def _picture(given: Mapping[str, Any], measured: Measured) -> dict[str, Any]:
    return _size(given, measured, MOST_PIXELS)


def _frames(given: Mapping[str, Any], measured: Measured) -> dict[str, Any]:
    found = _size(given, measured, MOST_VIDEO_PIXELS)
    counts = [h.frames for h in measured.headers if h.frames is not None]
    if not counts:
        return found
    timed = [h.seconds for h in measured.headers if h.seconds is not None]
    # A folder of frames tells no rate, and may well hold a frame per second.
    wanted = math.ceil(FRAMES_PER_SECOND * covering(timed)) if timed else MOST_FRAMES
    wanted = min(max(wanted, FEWEST_FRAMES), MOST_FRAMES, int(covering(counts)))
    kept = given.get("candidates")
    return {**found, "frames": max(wanted if kept is None else min(wanted, kept), 1)}


def _size(given: Mapping[str, Any], measured: Measured, most: int) -> dict[str, Any]:
    sides = [h.sides for h in measured.headers if h.sides is not None]
    if not sides:
        return {}
    height, width = (_side([pair[axis] for pair in sides], most) for axis in (0, 1))
    kept = given.get("stored_size")
    if kept is not None:
        limits = [kept] if isinstance(kept, int) else list(kept)
        height = min(height, limits[0])
        width = min(width, limits[-1])
    return {"size": height if height == width else [height, width]}


def _side(pixels: Sequence[int], most: int) -> int:
    side = int(covering(pixels))
    if min(pixels) != max(pixels):
        side = math.ceil(side / SIDE_GRID) * SIDE_GRID
    return min(side, most)


def _numbers(given: Mapping[str, Any], measured: Measured) -> dict[str, Any]:
    shapes = [h.shape for h in measured.headers if h.shape is not None]
    return {"length": _commonest([math.prod(shape) for shape in shapes])} if shapes else {}


def _series(given: Mapping[str, Any], measured: Measured) -> dict[str, Any]:
    shapes = [h.shape for h in measured.headers if h.shape]
    if not shapes:
        return {}
    rest = _commonest([shape[1:] for shape in shapes])
    lengths = [shape[0] for shape in shapes if shape[1:] == rest]
    if not rest and min(lengths) < max(lengths):
        rest = (1,)  # a series of one number at a time
    rest = tuple(given.get("rest", rest))
    if len(rest) != 1:
        return {"length": _commonest(lengths), "rest": list(rest)}
    length = min(int(covering(lengths)), MOST_STEPS)
    mask = min(lengths) < given.get("length", length)
    return {"length": length, "rest": list(rest), "mask": mask}


def _commonest(values: Sequence[Any]) -> Any:
    """The most frequent value; of equally frequent ones, the first."""
    return Counter(values).most_common(1)[0][0]


def _tokens(given: Mapping[str, Any], measured: Measured) -> dict[str, Any]:
    if not measured.tokens:
        return {}
    length = int(covering(measured.tokens))
    rounded = max(math.ceil(length / TOKEN_GRID), 1) * TOKEN_GRID
    return {"length": min(rounded, measured.most_tokens)}


_FOLLOWED: Sequence[tuple[type, Callable[[Mapping[str, Any], Measured], dict[str, Any]]]] = (
    (LogMel, _log_mel),
    (Sound, _sound),
    (Frames, _frames),
    (Picture, _picture),
    (Numbers, _numbers),
    (Series, _series),
    (Words, _tokens),
    (Pieces, _tokens),
)
"""(class, sizes of its settings); the first class that fits counts."""


@dataclass(frozen=True)
class Reading:
    """The part of a modality that is read.

    Attributes:
        text: in words, such as "5.0 of 5.0 s at 16 kHz → log-mel 64×501".
        cut: number of measured rows that are longer than the part that is read.
        measured: number of measured rows.
    """

    text: str
    cut: int = 0
    measured: int = 0


def describe(name: str, transform: Any, measured: Measured) -> Reading:
    """Say which part of the rows is read, and into what.

    Args:
        name: of the transform.
        transform: with all its settings.
        measured: sizes of the rows.
    """
    headers = measured.headers
    cut = 0
    count = len(headers)
    shape = transform.shape if hasattr(transform, "shape") else (transform.length,)
    if isinstance(transform, Sound):
        seconds = [h.seconds for h in headers if h.seconds is not None]
        part = _of(transform.seconds, max(seconds, default=None), "s", ".1f")
        part += f" at {transform.rate / 1000:g} kHz"
        cut = sum(s > transform.seconds + SLACK for s in seconds)
        shape = shape[1:] if len(shape) == 3 else shape
    elif isinstance(transform, Frames):
        counts = [h.frames for h in headers if h.frames is not None]
        part = _of(transform.frames, max(counts, default=None), "frames", "d")
        part += f", {_pixels(transform, headers)}"
    elif isinstance(transform, Picture):
        part = _pixels(transform, headers)
    elif isinstance(transform, Numbers):
        part = f"{transform.length} numbers"
    elif isinstance(transform, Series):
        lengths = [h.shape[0] for h in headers if h.shape]
        if transform.is_series:
            part = _of(transform.length, max(lengths, default=None), "steps", "d")
            part += f" of {transform.rest[0]} number{'s' * (transform.rest[0] > 1)}"
            if transform.mask and lengths:
                part += f" (shortest {min(lengths)}, padding is masked)"
            cut = sum(length > transform.length for length in lengths)
        else:
            part = f"{times(shape)} numbers"
    else:
        unit = "words" if isinstance(transform, Words) else "tokens"
        part = _of(transform.length, max(measured.tokens, default=None), unit, "d")
        count = len(measured.tokens)
        cut = sum(length > transform.length for length in measured.tokens)
    if isinstance(transform, Numbers | Series) and transform.normalise in ("fit", "auto"):
        part += ", standardised"
    if cut:
        part += f" (cuts {cut} of {count:,} {'sampled ' * measured.sampled}training rows)"
    arrow = "" if isinstance(transform, Numbers) else f" → {name} {times(shape)}"
    return Reading(part + arrow, cut, count)


def times(shape: Sequence[int]) -> str:
    """A shape such as 64×501."""
    return "×".join(map(str, shape))


def _of(read: float, longest: float | None, unit: str, form: str) -> str:
    """The part that is read of the longest sample, which may be shorter than what fits."""
    if longest is None:
        return f"{read:{form}} {unit}"
    return f"{min(read, longest):{form}} of {longest:{form}} {unit}"


def _pixels(transform: Picture, headers: Sequence[Header]) -> str:
    """Width×height that is read, of the largest width and height there are."""
    height, width = transform.extent
    sides = [h.sides for h in headers if h.sides is not None]
    if not sides:
        return f"{width}×{height} pixels"
    largest = f"{max(pair[1] for pair in sides)}×{max(pair[0] for pair in sides)}"
    return f"{width}×{height} of {largest} pixels"
