"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

HEADINGS = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "mean_average_precision": "mAP",
    "calibration_error": "ECE",
}


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=1))


def print_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None
) -> None:
    """Columns side by side; nothing is cut where the output is not a terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="", pad_edge=False
    )
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 10_000)
    console.print(table)


def print_metrics(splits: Mapping[str, Mapping[str, Any]], title: str | None = None) -> None:
    """A row for the fused prediction and one for each modality; {split: METRICS}."""
    header = ["", *(f"{split} {heading}" for split in splits for heading in HEADINGS.values())]
    names = ["fused", *next(iter(splits.values()))["modalities"]]
    rows = [
        [name, *(_number(_of(m, name).get(key)) for m in splits.values() for key in HEADINGS)]
        for name in names
    ]
    print_table(header, rows, title)


def _of(metrics: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Metrics of the fused prediction or of a modality; empty for a modality this run did not have."""
    found: Mapping[str, Any] = (
        metrics["fused"] if name == "fused" else metrics["modalities"].get(name, {})
    )
    return found


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def print_leaderboard(results: Iterable[Mapping[str, Any]], title: str | None = None) -> None:
    """A row per method: accuracy, mean ± std over seeds, fused and per modality; test where there is one."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        groups.setdefault(result["label"], []).append(result)
    modalities = list(dict.fromkeys(m for group in groups.values() for m in group[0]["modalities"]))
    rows = []
    for label, group in groups.items():
        measured = [result.get("test", result["validation"]) for result in group]
        columns = [
            _spread(_of(m, name).get("accuracy") for m in measured)
            for name in ("fused", *modalities)
        ]
        validation = _spread(_of(result["validation"], "fused").get("accuracy") for result in group)
        rows.append([label, str(len(group)), *columns, validation])
    print_table(("method", "seeds", "fused", *modalities, "fused, validation"), rows, title)


def print_sweep(
    results: Mapping[float, Iterable[Mapping[str, Any]]], title: str | None = None
) -> None:
    """A row per method, a column per missing rate: fused accuracy, mean ± std over seeds; test where there is one."""
    from equipoise.evaluation.metrics import absent_share

    cells: dict[str, dict[float, list[Any]]] = {}
    absent: dict[float, list[float]] = {rate: [] for rate in results}
    for rate, found in results.items():
        for result in found:
            measured = result.get("test", result["validation"])
            cells.setdefault(result["label"], {}).setdefault(rate, []).append(
                _of(measured, "fused").get("accuracy")
            )
            absent[rate].append(absent_share(measured) or 0.0)
    rows = [
        [label, *(_spread(of.get(rate, ())) for rate in results)] for label, of in cells.items()
    ]
    told = [
        "cells absent",
        *(f"{100 * fmean(shares):.1f}" if shares else "–" for shares in absent.values()),
    ]
    print_table(("missing", *(f"{rate:g}" for rate in results)), [*rows, told], title)


def _spread(values: Iterable[float | None]) -> str:
    """Percent, mean ± sample standard deviation."""
    known = [100 * value for value in values if value is not None]
    if not known:
        return "–"
    return f"{fmean(known):.1f} ± {stdev(known):.1f}" if len(known) > 1 else f"{fmean(known):.1f}"


def print_preparation(folder: str, facts: Mapping[str, Any]) -> None:
    """What a data set's preparer found: samples beside the published counts, what was left out, and duplicates."""
    if "splits" not in facts:
        print(
            f"{folder}: " + ", ".join(f"{key} {value:.4g}" for key, value in facts.items()),
            file=sys.stderr,
        )
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
        print(f"left out: {count} × {reason} (listed in {folder}/left_out.csv)")
    for column, found in facts["duplicates"].items():
        print(
            f"duplicates: {found['samples']} samples share their {column} with another, {found['across_splits']} of "
            f"them across splits, {found['other_label']} with another label"
        )
    for note in facts["notes"]:
        print(f"note: {note}")


def _count(value: int | None) -> str:
    return "–" if value is None else str(value)
