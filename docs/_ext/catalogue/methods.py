"""A page per method, and the table of them all."""

from __future__ import annotations

import importlib
import inspect

from equipoise.methods import METHODS
from equipoise.registry import MethodEntry

from .bibtex import bibtex
from .markdown import bash, explained, facts, origin, page, sentence, table, toctree


def pages() -> dict[str, str]:
    """{file: Markdown}"""
    entries = [entry for entry in METHODS if isinstance(entry, MethodEntry)]
    return {
        "methods.md": _index(entries),
        **{f"method-{entry.name}.md": _page(entry) for entry in entries},
    }


def _index(entries: list[MethodEntry]) -> str:
    rows = [
        (
            f"[{e.name}](method-{e.name}.md)",
            e.summary,
            e.head,
            e.modalities,
            e.passes,
            e.memory or "–",
        )
        for e in entries
    ]
    return page(
        "# Methods",
        "Passes are those of an encoder per minibatch it is trained on; joint training has 1 / 1. Memory is what a "
        "training holds beyond joint training's, the parameters of its head left out. Every method here passes the "
        "same conformance suite (`equipoise.testing.check_method`).",
        table(
            ["method", "idea", "head", "modalities", "forward / backward passes", "extra memory"],
            rows,
        ),
        toctree(f"method-{e.name}" for e in entries),
    )


def _page(entry: MethodEntry) -> str:
    cls = entry.load()
    module = importlib.import_module(entry.target.partition(":")[0])
    meaning = explained(cls)
    options = [
        (f"`{p.name}`", f"`{p.default!r}`", meaning[p.name]) for p in entry.parameters().values()
    ]
    return page(
        f"# {entry.name}",
        sentence(entry.summary),
        facts(
            [
                *origin(entry),
                ("published code", entry.code and f"<{entry.code}>"),
                ("licence of that code", entry.licence),
                ("head", f"`{entry.head}`"),
                ("modalities", entry.modalities),
                ("forward / backward passes", entry.passes),
                ("extra memory, head left out", entry.memory or "none"),
                ("needs a holdout split", "yes" if entry.needs_holdout else "no"),
                ("order of modalities matters", "yes" if entry.ordered else "no"),
            ]
        ),
        "## What it does, and where the published code differs",
        f"```text\n{inspect.getdoc(module) or ''}\n```",
        "## Options",
        table(["option", "default", "meaning"], options),
        "## Try it",
        bash(f"equipoise train --data digits --method {entry.name}"),
        *(("## Cite", f"```bibtex\n{bibtex(entry)}\n```") if entry.paper else ()),
    )
