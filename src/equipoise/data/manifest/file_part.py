"""The file that a cell of a manifest names, and the part of it that is meant.

A cell is parsed here, once, when the manifest is read. Everything after passes the value on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

_WINDOW = re.compile(
    r"#(?:(?P<first>\d+):(?P<last>\d+)"
    r"|t=(?P<start>\d+(?:\.\d+)?),(?P<end>\d+(?:\.\d+)?)"
    r"|(?P<row>\d+))$"
)
READABLE = 80
"""Characters of the longest window that is shown as a whole."""
LONGEST = 18
"""Digits of a number of frames or rows. No file has more, so that a longer number is behind all."""
_PAIR = "{u,v}"
"""Stands in a path for two folders, which hold the horizontal and the vertical optical flow."""


@dataclass(frozen=True)
class Window:
    """The part of a file that is meant; every field is None for a whole file.

    Attributes:
        first: first frame of `a.avi#138:218`, counted from 0.
        last: the frame after the last one.
        start: first second of `a.wav#t=6.29,8.23`.
        end: last second.
        row: row of the array `all.npy#17`, counted from 0.
    """

    first: int | None = None
    last: int | None = None
    start: float | None = None
    end: float | None = None
    row: int | None = None

    @property
    def is_in_time(self) -> bool:
        """True for a range of frames or seconds."""
        return self.first is not None or self.start is not None

    @property
    def is_empty(self) -> bool:
        """True where the range ends before it begins."""
        if not self.is_in_time:
            return False
        return (self.last or self.end or 0) <= (self.first or self.start or 0)


@dataclass(frozen=True)
class FilePart:
    """A file, or a part of it.

    Attributes:
        path: the file.
        window: the part of it that is meant.
        written: the window as the cell says it, such as "#t=6.290,8.23"; "" for a whole file.
    """

    path: Path
    window: Window = Window()
    # Two spellings of one window are the same part, hence not compared.
    written: str = field(default="", compare=False)

    @classmethod
    def parse(cls, cell: str, base: Path = Path()) -> FilePart:
        """The part that a cell names.

        Args:
            cell: a path, with or without a window.
            base: folder that a relative path starts from.
        """
        match = _WINDOW.search(cell)
        if match is None:
            return cls(base / cell)
        first, last, start, end, row = match.groups()
        path = base / cell[: match.start()]
        if row is not None:
            return cls(path, Window(row=_count(row)), match[0])
        if first is not None:
            return cls(path, Window(first=_count(first), last=_count(last)), match[0])
        return cls(path, Window(start=float(start), end=float(end)), match[0])

    def __str__(self) -> str:
        """For messages: a window of hundreds of digits is shortened."""
        if len(self.written) <= READABLE:
            return f"{self.path}{self.written}"
        return f"{self.path}{self.written[:20]}…{self.written[-10:]}"

    def sides(self) -> tuple[FilePart, ...]:
        """This part alone, or the two folders that a pair such as `flow/{u,v}/clip` stands for."""
        path = str(self.path)
        if _PAIR not in path:
            return (self,)
        return tuple(replace(self, path=Path(path.replace(_PAIR, side))) for side in "uv")


def _count(digits: str) -> int:
    """Read an integer of any length; Python refuses those of more than 4,300 digits."""
    return int(digits) if len(digits) <= LONGEST else 10**LONGEST
