"""A page per method, and the table of them all."""

from __future__ import annotations

import inspect

from equipoise.heads import HEADS
from equipoise.methods import METHODS
from equipoise.registry import Condition, MethodEntry

from .bibtex import bibtex
from .header import PARTS, read_header, shown_departures
from .heads import head_text
from .markdown import (
    bash,
    explained,
    facts,
    module_of,
    origin,
    page,
    python,
    sentence,
    shown,
    table,
    toctree,
)

EPOCHS = 15
"""Length of the example, that of the command beside it."""


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
        "Passes are those of an encoder per minibatch that it is trained on; joint training has "
        "1 / 1. Memory is that of a training beyond joint training, without the parameters of the "
        "head. Every method passes the same conformance suite "
        "(`equipoise.testing.check_method`).",
        table(
            ["method", "summary", "head", "modalities", "forward / backward passes", "memory"],
            rows,
        ),
        "Some methods of the last years are left out on purpose. The released fusion of ARM (Gao "
        "et al. AAAI 2025) reads the labels of the samples that it predicts, at test time too, and "
        "the other parts of that paper have no code. Of the loss guided by a Gaussian mixture (Liu "
        "et al. 2025), of BMLR (Ma et al. 2026) and of PDMP (Wei et al. 2026) neither code nor all "
        "equations and constants were to be found.",
        toctree(f"method-{e.name}" for e in entries),
    )


def _page(entry: MethodEntry) -> str:
    cls = entry.load()
    meaning = explained(cls)
    options = [
        (f"`{p.name}`", shown(p.default), f"{meaning[p.name]}{_condition(cls, p.name)}")
        for p in entry.parameters().values()
    ]
    return page(
        f"# {entry.name}",
        sentence(entry.summary),
        facts(
            [
                *origin(entry),
                ("published code", entry.code and f"<{entry.code}>"),
                ("licence of that code", entry.licence),
                ("head", f"[{entry.head}](heads.md#{entry.head})"),
                ("modalities", entry.modalities),
                ("forward / backward passes", entry.passes),
                ("extra memory, without the head", entry.memory or "none"),
                ("settings that it advises", entry.advice or "none"),
                ("needs a holdout split", "yes" if entry.needs_holdout else "no"),
                ("order of modalities matters", "yes" if entry.ordered else "no"),
            ]
        ),
        *(("## The head", head_text(HEADS[entry.head])) if _only_a_head(entry) else ()),
        *_explanation(inspect.getdoc(module_of(entry)) or ""),
        "## Options",
        table(["option", "default", "meaning"], options),
        "## Try it",
        bash(f"equipoise train --data digits --method {entry.name}"),
        "The same in Python:",
        python(
            "import equipoise",
            "",
            f'run = equipoise.fit("digits", method="{entry.name}", epochs={EPOCHS})',
            'print(run.result["test"]["fused"]["accuracy"])',
        ),
        *(("## Cite", f"```bibtex\n{bibtex(entry)}\n```") if entry.paper else ()),
    )


def _explanation(docstring: str) -> list[str]:
    """The parts of a header as sections; a header that lacks one is shown as it stands."""
    header = read_header(docstring)
    if header.missing:
        return ["## How it works", f"```text\n{docstring}\n```"]
    idea, equations, published = (header.parts[part] for part in PARTS)
    return [
        f"## {PARTS[0]}",
        idea,
        f"## {PARTS[1]}",
        equations,
        f"## {PARTS[2]}",
        shown_departures(published),
    ]


def _condition(cls: type, option: str) -> str:
    """A sentence on an option that has an effect only beside another one."""
    if option not in getattr(cls, "effect", {}):
        return ""
    other, values = cls.effect[option]
    words = (
        values.words
        if isinstance(values, Condition)
        else " or ".join(map(shown, sorted(values, key=str)))
    )
    return f" *Has an effect only where `{other}` is {words}.*"


def _only_a_head(entry: MethodEntry) -> bool:
    """True for a published fusion that is another method's class with a head of its own."""
    heads = {e.head for e in METHODS if isinstance(e, MethodEntry) and e.target == entry.target}
    return bool(entry.paper) and len(heads) > 1
