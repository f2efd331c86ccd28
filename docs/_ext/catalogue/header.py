"""The header of a method's file, in the parts that its page shows."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

from .markdown import table

PARTS = ("Idea", "Equations", "Where published code departs")
GAP = re.compile(r" {2,}")


@dataclass(frozen=True)
class Header:
    """A header, whose parts are Markdown with equations between dollars.

    Attributes:
        opening: title and citation.
        parts: {name: text} of those of `PARTS` that it has, without their indentation.
    """

    opening: str
    parts: dict[str, str]

    @property
    def missing(self) -> list[str]:
        """The parts that it lacks."""
        return [part for part in PARTS if not self.parts.get(part)]


def read_header(docstring: str) -> Header:
    """Cut a docstring, without its indentation, at the names of the parts."""
    opening, *rest = re.split(rf"^({'|'.join(PARTS)}):\n", docstring, flags=re.MULTILINE)
    texts = zip(rest[::2], rest[1::2], strict=True)
    return Header(opening.strip(), {part: textwrap.dedent(text).strip() for part, text in texts})


def departures(text: str) -> list[tuple[str, str]]:
    """Rows (difference, option) of a text in two columns with two or more spaces between them.

    A difference may run over several lines; its option stands beside the last of them, and may run
    on below itself.

    Raises:
        ValueError: a difference has no option beside its last line.
    """
    rows: list[tuple[str, str]] = []
    difference: list[str] = []
    for line in textwrap.dedent(text).strip("\n").splitlines():
        if line.startswith("  ") and rows and not difference:  # below the option of the last row
            rows[-1] = (rows[-1][0], f"{rows[-1][1]} {line.strip()}")
            continue
        left, *right = GAP.split(line.strip(), maxsplit=1)
        difference.append(left)
        if right:
            rows.append((" ".join(difference), right[0]))
            difference = []
    if difference:
        raise ValueError(f"no option beside {' '.join(difference)!r}")
    return rows


def shown_departures(text: str) -> str:
    """The table of departures; a text of one column stays as it is."""
    if not any(GAP.search(line.strip()) for line in text.splitlines()):
        return text
    return table(["difference", "option"], departures(text))
