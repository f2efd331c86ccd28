"""Writing files so that a reader finds the old or the new one, never a part."""

from __future__ import annotations

import os
from pathlib import Path
from threading import get_ident


def write_file(path: Path, content: bytes) -> None:
    """Write and force to disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Write beside, then rename over `path`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}.tmp")
    try:
        write_file(temporary, content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
