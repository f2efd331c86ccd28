"""Truncated files, and files joined into one. Decoders read a part of them without a warning."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

PLAYED_FRACTION = 0.8
"""Fraction of the duration in its header that a whole file plays; headers are inexact."""
TELLING = ("mov,mp4", "matroska", "flv", "asf", "avi", "ogg")
"""Formats that store their duration; FFmpeg guesses that of others from the bit rate."""
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
OGG_PAGE = 65307
"""Bytes of the longest possible Ogg page."""
OGG_HEADER = 27
FLAC_START = b"fLaC\x00\x00\x00\x22"
"""The first bytes of a FLAC file, which always begins with the same kind of block."""
UNKNOWN = 0xFFFFFFFF
"""The length in a header that was written before it was known, as into a pipe."""


class Packets:
    """The packets of an open container, and the time at which they end.

    Args:
        path: of the file.
        container: whose packets have not been read yet.

    Attributes:
        end: latest end, in seconds, among the packets of all streams that have been read.
    """

    def __init__(self, path: Path, container: Any) -> None:
        self.path = path
        self.container = container
        self.end = 0.0

    def of(self, stream: Any) -> Iterator[Any]:
        """Yield the packets of one stream; those of the others are read, but not decoded."""
        for packet in self.container.demux():
            self.end = max(self.end, _end(packet))
            if packet.stream is stream:
                yield packet

    def are_cut(self) -> bool:
        """True for a truncated file; call it after all packets have been read."""
        import av

        promised = (
            (self.container.duration or 0) / av.time_base if tells_length(self.container) else 0.0
        )
        return self.end < PLAYED_FRACTION * promised or is_cut(self.path)


def tells_length(container: Any) -> bool:
    """True where the duration comes from the header and is not a guess."""
    name: str = container.format.name
    return name.startswith(TELLING)


def _end(packet: Any) -> float:
    """The time at which a packet ends, in seconds.

    FLV does not store how long a picture is shown, so the frame rate stands in for it.
    """
    start = packet.dts if packet.pts is None else packet.pts
    if start is None:
        return 0.0
    rate = getattr(packet.stream, "average_rate", None)
    lasts = 1 / rate if rate and not packet.duration else (packet.duration or 0) * packet.time_base
    return float(start * packet.time_base + lasts)


def is_cut(path: Path) -> bool:
    """True where the bytes of a file end before its header says.

    That is, a header of RIFF (wav, AVI), AIFF, AU or MP4 promises more bytes than there are, or the
    page that ends an Ogg stream is missing. Files of other formats are never found to be cut.
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
    """True where the length in a RIFF or AIFF header exceeds the file.

    One byte is tolerated: some writers count the pad byte behind the last chunk, but omit it.
    """
    length = int.from_bytes(head[4:8], order)
    return length != UNKNOWN and length + 8 > size + 1


def _wav_is_cut(file: BinaryIO, size: int) -> bool:
    """True where the chunk of samples is cut; the length of the whole file is often wrong."""
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
    """True where the last page does not have the flag that ends a stream."""
    file.seek(max(size - OGG_PAGE, 0))
    tail = file.read()
    flags = tail[tail.rfind(b"OggS") :][5:6]
    return not (flags and flags[0] & 4)


def _mp4_is_cut(file: BinaryIO, size: int) -> bool:
    """True where a box is longer than the file; what follows an unknown box is not examined."""
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


def is_joined(path: Path) -> bool:
    """True where a sound file is followed by another one of its format, in the same file.

    Examined are FLAC and Ogg.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(4)
        if head == b"fLaC":
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return content.find(FLAC_START, 4) >= 0
        return head == b"OggS" and _ogg_is_joined(file, size)


def _ogg_is_joined(file: BinaryIO, size: int) -> bool:
    """True where a page begins a stream behind the one that ends the stream before."""
    place = 0
    ended = False
    while place + OGG_HEADER <= size:
        file.seek(place)
        head = file.read(OGG_HEADER)
        if head[:4] != b"OggS":
            return False
        if ended and head[5] & 2:
            return True
        ended = ended or bool(head[5] & 4)
        place += OGG_HEADER + head[26] + sum(file.read(head[26]))
    return False
