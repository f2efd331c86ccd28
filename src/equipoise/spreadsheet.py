"""CSV that a spreadsheet program shows as it is, and that is read back as it was.

A spreadsheet program runs a cell that begins with =, +, - or @ as a formula, and a cell may come
from anybody's data. So a text cell like that gets an apostrophe in front, which such a program
takes as "this is text" (OWASP, "CSV Injection"). Numbers stay numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

# The wide forms count as well: some programs read them as the narrow ones.
_RUN = "=+\\-@\\t\\r\\n＝＋－＠"
_DANGEROUS = re.compile(f"'*[{_RUN}]")
_PROTECTED = re.compile(f"'+[{_RUN}]")
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:inf|nan)")


def protect(cell: Any) -> Any:
    """A cell as it is written: a text that a program would run gets an apostrophe in front.

    A text that already has apostrophes there gets one more, so that `unprotect` gives it back.
    """
    if not isinstance(cell, str) or _NUMBER.fullmatch(cell) or not _DANGEROUS.match(cell):
        return cell
    return f"'{cell}"


def is_protected(cell: str) -> bool:
    """True for a cell that `unprotect` changes."""
    return cell.startswith("'") and _PROTECTED.match(cell) is not None


def unprotect(cell: str) -> str:
    """The text that `protect` made this cell from."""
    return cell[1:] if is_protected(cell) else cell


def write(rows: Iterable[Sequence[Any]]) -> str:
    """The text of a CSV, whose text cells no program runs.

    Args:
        rows: the header and the rows.
    """
    lines = (",".join(_quoted(protect(cell)) for cell in row) for row in rows)
    return "".join(f"{line}\n" for line in lines)


def _quoted(cell: Any) -> str:
    """A cell as CSV; the csv module leaves a lone carriage return unquoted, which ends the row."""
    text = "" if cell is None else str(cell)
    if any(mark in text for mark in ',"\r\n'):
        text = '"' + text.replace('"', '""') + '"'
    return text
