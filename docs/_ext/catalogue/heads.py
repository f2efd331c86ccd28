"""The page of fusion heads."""

from __future__ import annotations

from equipoise.heads import HEADS

from .markdown import bash, page, table


def pages() -> dict[str, str]:
    """{file: Markdown}"""
    rows = [(f"`{entry.name}`", entry.summary, entry.paper or "–") for entry in HEADS]
    return {
        "heads.md": page(
            "# Fusion heads",
            "A head turns the features of all modalities into classes. Each method has its own; another one is asked "
            "for by name:",
            bash("equipoise train --data digits --method joint --head sum"),
            table(["head", "what", "source"], rows),
        )
    }
