"""Whether a file is all there: decoders take what is left of a truncated one without a word."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

SHARE = 0.8  # of the duration that a header tells: less is a truncated file, more an inexact header
TELLING = (
    "mov,mp4",
    "matroska",
    "flv",
    "asf",
    "avi",
    "ogg",
)  # FFmpeg guesses other durations from the bit rate
MP4_BOXES = (
    b"ftyp",
    b"styp",
    b"sidx",
    b"moov",
    b"moof",
    b"mdat",
    b"free",
    b"skip",
    b"wide",
    b"uuid",
)
OGG_PAGE = 65307  # bytes, the longest there is
UNKNOWN = 0xFFFFFFFF  # a length that was not known yet when the header was written, as to a pipe


class Packets:
    """The packets of an open container, and until when they play.

    Args:
        path: of the file.
        container: whose packets have not been read yet.

    Attributes:
        end: seconds, of the packet of any stream that ends last among those that have passed.
    """

    def __init__(self, path: Path, container: Any) -> None:
        self.path = path
        self.container = container
        self.end = 0.0

    def of(self, stream: Any) -> Iterator[Any]:
        """Those of one stream; the others only pass, and are not decoded."""
        for packet in self.container.demux():
            self.end = max(self.end, _end(packet))
            if packet.stream is stream:
                yield packet

    def break_off(self) -> bool:
        """True for a truncated file; all packets must have passed."""
        import av

        promised = (
            (self.container.duration or 0) / av.time_base if tells_length(self.container) else 0.0
        )
        return self.end < SHARE * promised or is_cut(self.path)


def tells_length(container: Any) -> bool:
    """Whether durations are those of the header."""
    name: str = container.format.name
    return name.startswith(TELLING)


def _end(packet: Any) -> float:
    """Seconds; FLV does not tell how long a picture stays."""
    start = packet.dts if packet.pts is None else packet.pts
    if start is None:
        return 0.0
    rate = getattr(packet.stream, "average_rate", None)
    lasts = 1 / rate if rate and not packet.duration else (packet.duration or 0) * packet.time_base
    return float(start * packet.time_base + lasts)


def is_cut(path: Path) -> bool:
    """True where a header of RIFF (wav, AVI), AIFF, AU or MP4 promises more bytes than there are,
    or the page that ends an Ogg stream is missing. Other formats are not known here.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(12)
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            return _wav_is_cut(file, size)
        if head[:4] == b"RIFF" and head[8:] == b"AVI ":
            return _exceeds(head, "little", size)
        if head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
            return _exceeds(head, "big", size)
        if head[:4] == b".snd":
            start = int.from_bytes(head[4:8], "big")
            length = int.from_bytes(head[8:], "big")
            return length != UNKNOWN and start + length > size
        if head[:4] == b"OggS":
            return _ogg_is_cut(file, size)
        return head[4:8] == b"ftyp" and _mp4_is_cut(file, size)


def _exceeds(head: bytes, order: Any, size: int) -> bool:
    """Some writers count a pad byte behind the last chunk and leave it out."""
    length = int.from_bytes(head[4:8], order)
    return length != UNKNOWN and length + 8 > size + 1


def _wav_is_cut(file: BinaryIO, size: int) -> bool:
    """By the chunk of samples: what a recorder wrote around it is often wrong."""
    place = 12
    while place + 8 <= size:
        file.seek(place)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"data":
            return length != UNKNOWN and place + 8 + length > size
        place += 8 + length + length % 2
    return True


def _ogg_is_cut(file: BinaryIO, size: int) -> bool:
    file.seek(max(size - OGG_PAGE, 0))
    tail = file.read()
    flags = tail[tail.rfind(b"OggS") :][5:6]
    return not (flags and flags[0] & 4)


def _mp4_is_cut(file: BinaryIO, size: int) -> bool:
    """By its boxes, which name their lengths; what follows the last known one is not looked at."""
    place = 0
    while place + 16 <= size:
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if head[4:8] not in MP4_BOXES or length < 8:
            return False
        place += length
    return place > size
