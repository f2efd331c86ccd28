"""The files that a cell of a manifest stands for."""

from __future__ import annotations

import re
from pathlib import Path

from equipoise.data.manifest.file_part import FilePart

_CHOICE = re.compile(r"\{([^{}/]+,[^{}/]+)\}")


def cell_files(base: Path, cell: str) -> list[Path]:
    """List the file below `base`, or one per choice: `flow/{u,v}/clip` stands for two files."""
    path = str(FilePart.parse(cell).path)
    choice = _CHOICE.search(path)
    if choice is None:
        return [base / path]
    return [base / path.replace(choice[0], part) for part in choice[1].split(",")]
