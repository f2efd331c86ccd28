"""A page per data set, and the table of them all."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from equipoise.data.datasets import DATASETS
from equipoise.registry import Entry

from .markdown import (
    bash,
    explained,
    facts,
    module_of,
    origin,
    page,
    sentence,
    shown,
    table,
    toctree,
)

FROM_SETTINGS = ("seed", "validation", "test")
"""Arguments of a built-in data set that are settings of every run, such as `--data.seed`."""


def pages() -> dict[str, str]:
    """{file: Markdown}"""
    return {
        "datasets.md": _index(),
        **{f"dataset-{entry.name}.md": _page(entry) for entry in DATASETS},
    }


def _index() -> str:
    rows = [
        (
            f"[{e.name}](dataset-{e.name}.md)",
            *(fact or "–" for fact in (e.year, e.summary, _modalities(e), e.licence)),
        )
        for e in DATASETS
    ]
    return page(
        "# Data sets",
        "Nothing is downloaded for you, since most data sets ask you to agree to their terms. Each "
        "page names the files to download and their source. `equipoise prepare` writes a folder "
        "that `--data` reads, and compares its counts with the published ones. `equipoise list "
        "presets` shows the settings of published experiments.",
        table(["data set", "year", "summary", "modalities", "licence"], rows),
        toctree(f"dataset-{entry.name}" for entry in DATASETS),
    )


def _page(entry: Entry) -> str:
    module = module_of(entry)
    load = entry.load() if entry.target.endswith(":load") else None
    prepare = getattr(module, "prepare", None)
    return page(
        f"# {entry.name}",
        sentence(entry.summary),
        facts([*origin(entry), ("licence", entry.licence), ("modalities", _modalities(entry))]),
        inspect.getdoc(module) or "",
        *(
            _options(f"## Options of `--data {entry.name}`", "--data.options.", load, FROM_SETTINGS)
            if load
            else ()
        ),
        *(
            _options(f"## Options of `prepare {entry.name}`", "--", prepare, ("out",))
            if prepare
            else ()
        ),
        "## Try it",
        _commands(entry.name, load, prepare),
    )


def _modalities(entry: Entry) -> str:
    """The `name=column:kind` declarations in the source of a preparer; "" for other data sets."""
    if not entry.target.endswith(":prepare"):
        return ""
    found = re.findall(r'"(\w+)=\w+:(\w+)"', inspect.getsource(module_of(entry)))
    return ", ".join(f"`{name}` ({kind})" for name, kind in found)


def _options(
    title: str, flag: str, function: Callable[..., Any], without: tuple[str, ...]
) -> tuple[str, str]:
    meaning = explained(function)
    rows = [
        (
            f"`{flag}{p.name}`",
            "needed" if p.default is p.empty else shown(p.default),
            meaning[p.name],
        )
        for p in inspect.signature(function).parameters.values()
        if p.name not in without
    ]
    return title, table(["option", "default", "meaning"], rows)


def _commands(
    name: str, load: Callable[..., Any] | None, prepare: Callable[..., Any] | None
) -> str:
    lines = [f"equipoise train --data {name} --method mla"] if load else []
    if prepare:
        needed = [
            p.name for p in inspect.signature(prepare).parameters.values() if p.default is p.empty
        ]
        flags = "".join(f" --{option} DOWNLOAD" for option in needed if option != "out")
        lines.append(f"equipoise prepare {name}{flags} --out data/{name}")
        lines.append(f"equipoise train --data data/{name} --method mla")
    return bash(*lines)
