"""Writes the catalogue of methods and the tables of heads, encoders and data sets from the registries."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable
from pathlib import Path

from equipoise.data.datasets import DATASETS
from equipoise.encoders import ENCODERS
from equipoise.heads import HEADS
from equipoise.methods import METHODS
from equipoise.registry import Entry, MethodEntry


def write(folder: Path) -> None:
    """Write every generated page into `folder`."""
    folder.mkdir(exist_ok=True)
    methods = [entry for entry in METHODS if isinstance(entry, MethodEntry)]
    for entry in methods:
        (folder / f"method-{entry.name}.md").write_text(method_page(entry), encoding="utf-8")
    (folder / "methods.md").write_text(method_index(methods), encoding="utf-8")
    parts = [("Fusion heads", HEADS), ("Encoders", ENCODERS), ("Data sets", DATASETS)]
    page = "# Heads, encoders and data sets\n\n" + "\n\n".join(f"## {t}\n\n{table(r)}" for t, r in parts)
    (folder / "components.md").write_text(page + "\n", encoding="utf-8")


def table(entries: Iterable[Entry]) -> str:
    rows = [f"| `{e.name}` | {e.summary} | {e.paper or '–'} |" for e in entries]
    return "\n".join(["| name | what | source |", "|---|---|---|", *rows])


def method_index(methods: list[MethodEntry]) -> str:
    rows = [
        f"| [{e.name}](method-{e.name}.md) | {e.summary} | {e.head} | {e.modalities} "
        f"| {e.forward_passes:g} / {e.backward_passes:g} |"
        for e in methods
    ]
    head = ["| method | idea | head | modalities | forward / backward passes |", "|---|---|---|---|---|"]
    toc = ["```{toctree}", ":hidden:", "", *(f"method-{e.name}" for e in methods), "```"]
    intro = (
        "Passes are those of an encoder per minibatch it is trained on; joint training has 1 / 1. "
        "Every method here passes the same conformance suite (`equipoise.testing.check_method`)."
    )
    return "\n".join(["# Methods", "", intro, "", *head, *rows, "", *toc, ""])


def method_page(entry: MethodEntry) -> str:
    cls = entry.load()
    module = importlib.import_module(entry.target.partition(":")[0])
    facts = [
        ("paper", entry.paper),
        ("year", entry.year),
        ("link", entry.url and f"<{entry.url}>"),
        ("authors' code", entry.code and f"<{entry.code}>"),
        ("licence of that code", entry.licence),
        ("head", f"`{entry.head}`"),
        ("modalities", entry.modalities),
        ("forward / backward passes", f"{entry.forward_passes:g} / {entry.backward_passes:g}"),
        ("needs a holdout split", "yes" if entry.needs_holdout else "no"),
        ("order of modalities matters", "yes" if entry.ordered else "no"),
    ]
    rows = [f"| {name} | {value} |" for name, value in facts if value]
    meaning = {name: text for base in reversed(cls.__mro__) for name, text in explained(base).items()}
    options = [f"| `{p.name}` | `{p.default!r}` | {meaning[p.name]} |" for p in entry.parameters().values()]
    lines = [f"# {entry.name}", "", entry.summary[0].upper() + entry.summary[1:] + ".", ""]
    lines += ["| | |", "|---|---|", *rows, ""]
    lines += [
        "## What it does, and where the published code differs",
        "",
        "```text",
        inspect.getdoc(module) or "",
        "```",
    ]
    head = ["| option | default | meaning |", "|---|---|---|"]
    lines += ["", "## Options", "", *([*head, *options] if options else ["None."])]
    lines += ["", "## Try it", "", "```bash", f"equipoise train --data digits --method {entry.name}", "```", ""]
    return "\n".join(lines)


def explained(cls: type) -> dict[str, str]:
    """{option: its explanation} from the "Args:" of a class's docstring."""
    _, _, text = (inspect.getdoc(cls) or "").partition("Args:\n")
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
    return {name: text.replace("|", "\\|") for name, text in found.items()}
