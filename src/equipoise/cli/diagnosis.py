"""Print a diagnosis as sections of text, for people."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from equipoise.cli.output import print_table
from equipoise.diagnosis.inference import data_flags
from equipoise.errors import printable
from equipoise.settings import DataSettings

MOST_CLASSES = 20  # that are shown
MOST_PATTERNS = 10
MOST_PROBLEMS = 20

Facts = Mapping[str, Any]


def print_diagnosis(report: Facts, settings: DataSettings) -> None:
    """Print the sections that have content.

    Args:
        report: as `diagnose` returns it.
        settings: that were diagnosed; the command that is advised repeats them.
    """
    print(printable(f"{report['source']}: {report['rows']} rows"))
    _columns(report)
    if "suggestion" in report:
        _suggestion(report["suggestion"], settings)
        return
    _inputs(report["inputs"])
    _classes(report["balance"])
    _presence(report["presence"])
    _problems(report["problems"])
    _copies(report["duplicates"])
    _strength(report["strength"])
    _advice(report["advice"])


def _section(header: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    print(f"\n{title}")
    print_table(header, rows)


def _columns(report: Facts) -> None:
    if not report["columns"]:
        return
    header = ("column", "looks like", "empty", "distinct", "files not found", "example")
    rows = [
        (
            c["column"],
            c["looks_like"],
            f"{c['empty']:.0%}",
            str(c["distinct"]),
            str(c["files_not_found"] or ""),
            c["example"],
        )
        for c in report["columns"]
    ]
    _section(header, rows, "columns")


def _suggestion(chosen: Facts, settings: DataSettings) -> None:
    if not chosen["modality"]:
        print(
            "\nNo column looks like a modality. Declare the columns with "
            "--modality NAME=COLUMN:KIND and --label COLUMN."
        )
        return
    found = {name: value for name, value in chosen.items() if value is not None}
    source = str(settings.source)
    train = shlex.join(["equipoise", "train", source, *data_flags(settings)])
    print(f"\nA training takes these columns by itself:\n  {printable(train)}")
    declared = data_flags(replace(settings, **found))
    doctor = shlex.join(["equipoise", "doctor", source, *declared])
    print(f"They could be declared so:\n  {printable(doctor)}")


def _inputs(inputs: Mapping[str, str]) -> None:
    print("\nwhat a training reads of each modality")
    for modality, text in inputs.items():
        print(f"{modality}: {text}")


def _classes(facts: Facts) -> None:
    splits = list(facts["samples"])
    counts = sorted(facts["classes"].items(), key=lambda item: -item[1]["all"])
    rows = [(name, *(str(of[s]) for s in ("all", *splits))) for name, of in counts[:MOST_CLASSES]]
    if len(counts) > MOST_CLASSES:
        rest = counts[MOST_CLASSES:]
        summed = [str(sum(of[s] for _, of in rest)) for s in ("all", *splits)]
        rows.append((f"{len(rest)} more", *summed))
    rows.append(
        (
            "together",
            str(sum(of["all"] for _, of in counts)),
            *(str(facts["samples"][s]) for s in splits),
        )
    )
    majority = ", ".join(
        f"{split} {value:.3f}" for split, value in facts["majority_accuracy"].items()
    )
    _section(("class", "all", *splits), rows, "classes")
    if majority:
        print(f"accuracy of always answering the largest training class: {majority}")


def _presence(facts: Facts) -> None:
    if not any(facts["missing"].values()):
        return
    splits = facts["by_split"]
    rows = [
        (m, f"{fraction:.1%}", *(f"{splits[s][m]:.1%}" for s in splits))
        for m, fraction in facts["missing"].items()
    ]
    _section(("missing", "all", *splits), rows, "missing modalities")
    patterns = list(facts["patterns"].items())
    print_table(
        ("present", "rows"), [(pattern, str(count)) for pattern, count in patterns[:MOST_PATTERNS]]
    )


def _problems(problems: list[Facts]) -> None:
    if problems:
        rows = [[str(value) for value in problem.values()] for problem in problems[:MOST_PROBLEMS]]
        _section(list(problems[0]), rows, "bad cells")
        if len(problems) > MOST_PROBLEMS:
            print(f"and {len(problems) - MOST_PROBLEMS} more; --json lists all")


def _copies(duplicates: Facts) -> None:
    if duplicates:
        keys = ("samples", "across_splits", "other_label")
        rows = [
            (
                m,
                *(str(facts[k]) for k in keys),
                ", ".join(" = ".join(same) for same in facts["examples"]),
            )
            for m, facts in duplicates.items()
        ]
        header = (
            "modality",
            "samples with a copy",
            "across splits",
            "other label",
            "examples (ids)",
        )
        _section(header, rows, "duplicates")


def _strength(strength: Facts) -> None:
    if strength:
        rows = [
            (
                m,
                *(f"{f[k]:.3f}" for k in ("accuracy", "macro_f1", "majority")),
                str(f["trained_on"]),
                str(f["measured_on"]),
            )
            for m, f in strength.items()
        ]
        header = ("modality", "accuracy", "macro-F1", "majority class", "trained on", "measured on")
        _section(header, rows, "each modality alone, on validation (a rough probe: a linear model)")


def _advice(advice: list[Facts]) -> None:
    print("\nadvice")
    for finding in advice:
        print(printable(f"{finding['level']} ({finding['topic']}): {finding['text']}"))
    if not advice:
        print("nothing was found that needs attention")
