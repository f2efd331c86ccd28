"""The catalogue: a page per method, encoder and data set, one page of heads and one of transforms.

All pages are written from the registries and the docstrings.
"""

from __future__ import annotations

from pathlib import Path

from . import datasets, encoders, heads, methods, transforms


def write(folder: Path) -> None:
    """Write every page into `folder`, and remove the pages of components that no longer exist."""
    pages = {
        **methods.pages(),
        **heads.pages(),
        **encoders.pages(),
        **transforms.pages(),
        **datasets.pages(),
    }
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
