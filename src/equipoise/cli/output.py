"""The output of commands: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from equipoise.errors import printable

if TYPE_CHECKING:
    from equipoise.report.board import Board

HEADINGS = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "mean_average_precision": "mAP",
    "calibration_error": "ECE",
}


OF_A_CLASS = {"precision": "precision", "recall": "recall", "f1": "F1", "auroc": "AUROC"}
"""{metric: heading} of the table of classes."""

MOST_CLASSES = 30
"""The most classes that `evaluate` prints; --json has all of them."""


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=1))


def print_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None
) -> None:
    """Print columns side by side, control characters escaped.

    Nothing is cut unless the output is a terminal.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        title=None if title is None else printable(title),
        title_justify="left",
        title_style="",
        pad_edge=False,
    )
    for name in header:
        table.add_column(printable(name), overflow="fold")
    for row in rows:
        table.add_row(*map(printable, row))
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 10_000)
    console.print(table)


def print_metrics(splits: Mapping[str, Mapping[str, Any]], title: str | None = None) -> None:
    """Print a row for the fused prediction and one for each modality.

    Args:
        splits: {split: metrics}, shown side by side.
        title: above the table.
    """
    from equipoise.report.board import metrics_of

    header = ["", *(f"{split} {heading}" for split in splits for heading in HEADINGS.values())]
    names = ["fused", *next(iter(splits.values()))["modalities"]]
    rows = [
        [
            name,
            *(_number(metrics_of(m, name).get(key)) for m in splits.values() for key in HEADINGS),
        ]
        for name in names
    ]
    print_table(header, rows, title)


def print_assessment(measured: Mapping[str, Any], title: str | None = None) -> None:
    """Print what `evaluate` returns: every metric with its interval, and every class.

    Of more than `MOST_CLASSES` classes, those with the lowest F1 score are shown.

    Args:
        measured: the assessment of a split.
        title: above the table.
    """
    from equipoise.report.board import METRIC_TITLES, metrics_of

    intervals = {
        "fused": measured["intervals"],
        **{name: found["intervals"] for name, found in measured["modalities"].items()},
    }
    rows = [
        [
            METRIC_TITLES[metric],
            *(
                f"{_number(metrics_of(measured, part).get(metric))} {_interval(of.get(metric))}"
                for part, of in intervals.items()
            ),
        ]
        for metric in METRIC_TITLES
    ]
    counts = [measured["count"], *(m["count"] for m in measured["modalities"].values())]
    rows.append(["samples", *map(str, counts)])
    print_table(("95 % intervals", *intervals), rows, title)
    classes = measured["classes"]
    shown = sorted(classes, key=lambda entry: entry["f1"] or 0.0)[:MOST_CLASSES]
    lines = [
        [
            str(entry["class"]),
            str(entry["support"]),
            *(f"{_number(entry[m])} {_interval(entry['intervals'][m])}" for m in OF_A_CLASS),
        ]
        for entry in (classes if len(classes) <= MOST_CLASSES else shown)
    ]
    of = "" if len(classes) <= MOST_CLASSES else f", the {MOST_CLASSES} with the lowest F1"
    header = ("class", "samples", *OF_A_CLASS.values())
    print_table(header, lines, f"fused, each class with its 95 % interval{of}")
    for line in _confusions(measured):
        print(printable(line))


def _interval(bounds: Sequence[float] | None) -> str:
    return "" if bounds is None else f"({bounds[0]:.3f}–{bounds[1]:.3f})"


def _confusions(measured: Mapping[str, Any], most: int = 3) -> Iterable[str]:
    """The most frequent confusions, one in a line."""
    names = [entry["class"] for entry in measured["classes"]]
    table = measured["confusion"]
    wrong = [
        (count, sum(row), names[true], names[predicted])
        for true, row in enumerate(table)
        for predicted, count in enumerate(row)
        if count and true != predicted
    ]
    for count, of, true, predicted in sorted(wrong, key=lambda one: -one[0])[:most]:
        yield f"{count} of {of} samples of {true!r} are taken for {predicted!r}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def print_leaderboard(board: Board, title: str | None = None) -> None:
    """Print a row per method.

    It has the accuracy of the fused prediction and of each modality, the largest difference between
    two modalities (GAP), and the fused accuracy on validation.
    """
    from equipoise.report.board import GAP

    gap = ("GAP",) if len(board.modalities) > 1 else ()
    rows = []
    for method in board.methods:
        scores = [board.score(method, part) for part in ("fused", *board.modalities)]
        scores += [board.score(method, metric=GAP) for _ in gap]
        scores.append(board.score(method, split="validation"))
        texts = [score.text() for score in scores]
        rows.append([method, str(board.seeds(method)), *texts])
    header = ("method", "seeds", "fused", *board.modalities, *gap, "fused, validation")
    print_table(header, rows, title)


def print_sweep(board: Board, title: str | None = None) -> None:
    """Print a row per method and a column per missing rate: fused accuracy."""
    rows = []
    for method in board.methods:
        texts = [board.score(method, rate=rate).text() for rate in board.rates]
        rows.append([method, *texts])
    absent = [board.absent(rate) for rate in board.rates]
    percent = ["–" if fraction is None else f"{100 * fraction:.1f}" for fraction in absent]
    rows.append(["cells absent", *percent])
    print_table(("missing", *(f"{rate:g}" for rate in board.rates)), rows, title)


def print_preparation(folder: str, facts: Mapping[str, Any]) -> None:
    """Print what the preparation of a data set found.

    For a download these are samples beside the published counts, what was left out, and duplicates.
    For other data sets they are plain counts, printed in one line on stderr.
    """
    if "splits" not in facts:
        counts = ", ".join(f"{key} {value:.4g}" for key, value in facts.items())
        print(printable(f"{folder}: {counts}"), file=sys.stderr)
        return
    rows = [
        [split, str(found["samples"]), _count(found["published"]), str(len(found["classes"]))]
        for split, found in facts["splits"].items()
    ]
    classes = {name for found in facts["splits"].values() for name in found["classes"]}
    rows.append(
        ["all", str(facts["all"]["samples"]), _count(facts["all"]["published"]), str(len(classes))]
    )
    print_table(("split", "samples", "published", "classes"), rows, title=folder)
    for reason, count in facts["left_out"].items():
        print(printable(f"left out: {count} × {reason} (listed in {folder}/left_out.csv)"))
    for column, found in facts["duplicates"].items():
        print(
            f"duplicates: {found['samples']} samples share their {column} with another, "
            f"{found['across_splits']} of them across splits, "
            f"{found['other_label']} with another label"
        )
    for note in facts["notes"]:
        print(printable(f"note: {note}"))


def _count(value: int | None) -> str:
    return "–" if value is None else str(value)
