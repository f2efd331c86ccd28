"""Boards of numbers, a row per method, as records, CSV, Markdown and LaTeX: best bold, second underlined."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from equipoise.report.records import Group, modalities_of

METRICS = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "mean_average_precision": "mAP",
    "calibration_error": "calibration error",
}
LOWER_IS_BETTER = {"calibration_error"}


@dataclass(frozen=True)
class Cell:
    """One number of the leaderboard; `place` is 1 for the best of its column, 2 for the second, else 0."""

    mean: float | None
    deviation: float | None
    place: int = 0

    def text(self) -> str:
        """In percent."""
        if self.mean is None:
            return "–"
        return f"{100 * self.mean:.1f}" + (
            "" if self.deviation is None else f" ± {100 * self.deviation:.1f}"
        )


@dataclass(frozen=True)
class Column:
    """A part ("fused" or a modality) under one metric."""

    part: str
    metric: str

    @property
    def title(self) -> str:
        return f"{self.part} {METRICS[self.metric]}"


@dataclass(frozen=True)
class Board:
    """Numbers side by side.

    Attributes:
        titles: of the columns.
        rows: {method: a cell for each column}.
        seeds: {method: number of seeds}.
    """

    titles: Sequence[str]
    rows: Mapping[str, Sequence[Cell]]
    seeds: Mapping[str, int]


def columns(groups: Sequence[Group]) -> list[Column]:
    """Fused under every metric, then each modality's accuracy."""
    fused = [Column("fused", metric) for metric in METRICS]
    return [*fused, *(Column(m, "accuracy") for m in modalities_of(groups))]


def leaderboard(groups: Sequence[Group]) -> Board:
    """Every method under each of `columns`."""
    order = columns(groups)
    ranked = [
        _ranked(
            [group.summary(column.part, column.metric) for group in groups],
            column.metric in LOWER_IS_BETTER,
        )
        for column in order
    ]
    rows = {group.label: [cells[place] for cells in ranked] for place, group in enumerate(groups)}
    return Board(
        [column.title for column in order], rows, {group.label: len(group.runs) for group in groups}
    )


def rate_board(levels: Mapping[float, Sequence[Group]]) -> Board:
    """Fused accuracy of every method under each missing rate; levels is {rate: groups}."""
    found = {rate: {group.label: group for group in groups} for rate, groups in levels.items()}
    labels = list(dict.fromkeys(label for groups in found.values() for label in groups))
    ranked = [
        _ranked([groups[label].summary("fused") if label in groups else None for label in labels])
        for groups in found.values()
    ]
    rows = {label: [cells[place] for cells in ranked] for place, label in enumerate(labels)}
    seeds = {
        label: max(len(of[label].runs) for of in found.values() if label in of) for label in labels
    }
    return Board([f"missing {rate:g}" for rate in found], rows, seeds)


def _ranked(
    summaries: Sequence[tuple[float, float | None] | None], lowest: bool = False
) -> list[Cell]:
    """One column: mean and deviation of each method, with their places."""
    places = _places([s and s[0] for s in summaries], lowest)
    known = [summary or (None, None) for summary in summaries]
    return [
        Cell(mean, deviation, place) for (mean, deviation), place in zip(known, places, strict=True)
    ]


def _places(means: Sequence[float | None], lowest: bool) -> list[int]:
    """1 for the best and 2 for the second value (as printed), 0 for the others; nothing to win alone."""
    printed = [None if m is None else round(100 * m, 1) for m in means]
    ranking = sorted({m for m in printed if m is not None}, reverse=not lowest)
    if len([m for m in printed if m is not None]) < 2:
        return [0] * len(means)
    return [0 if m is None or ranking.index(m) > 1 else ranking.index(m) + 1 for m in printed]


def to_csv(board: Board) -> str:
    """Means and standard deviations as fractions, a column each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["method", "seeds", *(f"{t} {s}" for t in board.titles for s in ("mean", "std"))]
    )
    for label, cells in board.rows.items():
        numbers = [_plain(value) for cell in cells for value in (cell.mean, cell.deviation)]
        writer.writerow([label, board.seeds[label], *numbers])
    return text.getvalue()


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _rows(board: Board, escape: Callable[[str], str], bold: str, underline: str) -> list[list[str]]:
    rows = [["method", *map(escape, board.titles)]]
    for label, cells in board.rows.items():
        dressed = [
            {1: bold, 2: underline}.get(c.place, "{}").replace("{}", escape(c.text()))
            for c in cells
        ]
        rows.append([escape(label), *dressed])
    return rows


def to_markdown(board: Board) -> str:
    rows = _rows(board, lambda text: text.replace("|", "\\|"), "**{}**", "<u>{}</u>")
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def to_latex(board: Board) -> str:
    """A booktabs table."""
    head, *body = _rows(board, _latex, r"\textbf{{}}", r"\underline{{}}")
    lines = [
        rf"\begin{{tabular}}{{l{'c' * (len(head) - 1)}}}",
        r"\toprule",
        " & ".join(head) + r" \\",
        r"\midrule",
    ]
    lines += [" & ".join(row) + r" \\" for row in body]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _latex(text: str) -> str:
    special = {
        "\\": r"\textbackslash{}",
        "±": r"$\pm$",
        "–": "--",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
    return "".join(special.get(c, "\\" + c if c in "&%$#_{}" else c) for c in text)
