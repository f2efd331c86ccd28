"""The page of fusion heads."""

from __future__ import annotations

import inspect

from equipoise.heads import HEADS
from equipoise.registry import Entry

from .markdown import bash, explained, module_of, page, prose, sentence, shown, table

GIVEN = ("widths", "classes")
"""Arguments that follow from the data."""


def pages() -> dict[str, str]:
    """{file: Markdown}"""
    rows = [
        (f"[{entry.name}](#{entry.name})", entry.summary, entry.paper or "–") for entry in HEADS
    ]
    return {
        "heads.md": page(
            "# Fusion heads",
            "A head turns the features of all modalities into predictions of the class. Each "
            "method has a default head. You can choose another one by name:",
            bash("equipoise train --data digits --method joint --head sum"),
            table(["head", "summary", "source"], rows),
            *(block for entry in HEADS for block in _section(entry)),
        )
    }


def _section(entry: Entry) -> list[str]:
    twin = next(other for other in HEADS if other.target == entry.target)
    if twin.name != entry.name:
        return [f"## {entry.name}", f"{sentence(entry.summary)} It is [{twin.name}](#{twin.name})."]
    meaning = explained(entry.load())
    options = [
        (f"`{p.name}`", shown(p.default), meaning[p.name])
        for p in entry.parameters().values()
        if p.name not in GIVEN
    ]
    return [
        f"## {entry.name}",
        head_text(entry),
        table(["option", "default", "meaning"], options) if options else "",
    ]


def head_text(entry: Entry) -> str:
    """The header of the file of a head, and what its class adds."""
    header = inspect.getdoc(module_of(entry)) or ""
    return page(header, prose(entry.load())).rstrip()
