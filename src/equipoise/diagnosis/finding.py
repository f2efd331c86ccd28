"""One sentence of advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Found = Mapping[str, Any]
"""What `diagnose` reports, without its advice."""

Finding = dict[str, str]
"""{"level", "topic", "text"}"""


def warning(topic: str, text: str) -> Finding:
    """What makes results worse or wrong."""
    return {"level": "warning", "topic": topic, "text": text}


def note(topic: str, text: str) -> Finding:
    """What is worth knowing."""
    return {"level": "note", "topic": topic, "text": text}


def some(count: int, what: str) -> str:
    """ "1 row", "2 rows"."""
    return f"{count} {what}" + ("" if count == 1 else "s")


def listed(names: Sequence[str], shown: int = 5) -> str:
    """The first names in quotes, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(map(repr, names[:shown])) + more
