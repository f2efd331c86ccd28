"""Pieces of Markdown for the pages."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

from equipoise.registry import Entry


def page(*blocks: str) -> str:
    """Blocks with a blank line between them; empty ones are left out."""
    return "\n\n".join(block for block in blocks if block) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; "None." without rows."""
    lines = [_row(row) for row in rows]
    return "\n".join([_row(head), _row(["---"] * len(head)), *lines]) if lines else "None."


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def facts(rows: Iterable[tuple[str, object]]) -> str:
    """A table of two columns without a head, without the rows whose value is empty."""
    return table(["", ""], [(name, value) for name, value in rows if value])


def origin(entry: Entry) -> list[tuple[str, object]]:
    """The paper, year and link of a component, for `facts`."""
    return [("paper", entry.paper), ("year", entry.year), ("link", entry.url and f"<{entry.url}>")]


def bash(*commands: str) -> str:
    """Shell commands, a line each."""
    return "\n".join(["```bash", *commands, "```"])


def python(*lines: str) -> str:
    """Python code, a line each."""
    return "\n".join(["```python", *lines, "```"])


def toctree(names: Iterable[str]) -> str:
    """Pages below this one, shown in the sidebar only."""
    return "\n".join(["```{toctree}", ":hidden:", "", *names, "```"])


def sentence(text: str) -> str:
    """A summary as a sentence."""
    return text[0].upper() + text[1:] + "."


def shown(value: object) -> str:
    """A value as it is written after a flag."""
    text = value if isinstance(value, str) else json.dumps(value, default=list)
    text = text.replace("Infinity", ".inf")  # as YAML writes it
    return f"`{text}`"


def module_of(entry: Entry) -> ModuleType:
    """The module in which a component is written."""
    return importlib.import_module(entry.target.partition(":")[0])


def prose(thing: Any) -> str:
    """The docstring of a class or function before its sections."""
    return re.split(r"\n\n?(?:Args|Attributes|Returns|Raises):\n", inspect.getdoc(thing) or "")[0]


def explained(thing: Any, section: str = "Args") -> dict[str, str]:
    """{name: meaning} from a section of a docstring; a class also has those of its bases."""
    if isinstance(thing, type):
        bases = [base for base in reversed(thing.__mro__) if base.__doc__]
        return {
            name: text
            for base in bases
            for name, text in _section(base.__doc__ or "", section).items()
        }
    return _section(thing.__doc__ or "", section)


def _section(docstring: str, section: str) -> dict[str, str]:
    _, _, text = inspect.cleandoc(docstring).partition(f"{section}:\n")
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        start = re.match(r"    (\w+): (.*)", line)
        if start:
            name = start[1]
            found[name] = start[2]
        elif line.startswith("        ") and name:
            found[name] += " " + line.strip()
        elif line.strip():
            break
    return found
