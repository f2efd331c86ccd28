"""The leaderboard as records, and as CSV, Markdown and LaTeX: best bold, second underlined."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from equipoise.report.records import Group

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
        return f"{100 * self.mean:.1f}" + ("" if self.deviation is None else f" ± {100 * self.deviation:.1f}")


@dataclass(frozen=True)
class Column:
    """A part ("fused" or a modality) under one metric."""

    part: str
    metric: str

    @property
    def title(self) -> str:
        return f"{self.part} {METRICS[self.metric]}"


def columns(groups: Sequence[Group]) -> list[Column]:
    """Fused under every metric, then each modality's accuracy."""
    modalities = list(dict.fromkeys(m for group in groups for m in group.modalities))
    return [*(Column("fused", metric) for metric in METRICS), *(Column(m, "accuracy") for m in modalities)]


def leaderboard(groups: Sequence[Group]) -> dict[str, list[Cell]]:
    """{label: cells in the order of `columns`}."""
    order = columns(groups)
    table: dict[str, list[Cell]] = {group.label: [] for group in groups}
    for column in order:
        summaries = [group.summary(column.part, column.metric) for group in groups]
        places = _places([s and s[0] for s in summaries], column.metric in LOWER_IS_BETTER)
        for group, summary, place in zip(groups, summaries, places, strict=True):
            mean, deviation = summary or (None, None)
            table[group.label].append(Cell(mean, deviation, place))
    return table


def _places(means: Sequence[float | None], lowest: bool) -> list[int]:
    """1 for the best and 2 for the second value (as printed), 0 for the others; nothing to win alone."""
    printed = [None if m is None else round(100 * m, 1) for m in means]
    ranking = sorted({m for m in printed if m is not None}, reverse=not lowest)
    if len([m for m in printed if m is not None]) < 2:
        return [0] * len(means)
    return [0 if m is None or ranking.index(m) > 1 else ranking.index(m) + 1 for m in printed]


def to_csv(groups: Sequence[Group]) -> str:
    """Means and standard deviations as fractions, a column each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    titles = [column.title for column in columns(groups)]
    writer.writerow(["method", "seeds", *(f"{t} {s}" for t in titles for s in ("mean", "std"))])
    seeds = {group.label: len(group.runs) for group in groups}
    for label, cells in leaderboard(groups).items():
        numbers = [_plain(value) for cell in cells for value in (cell.mean, cell.deviation)]
        writer.writerow([label, seeds[label], *numbers])
    return text.getvalue()


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _rows(groups: Sequence[Group], escape: Callable[[str], str], bold: str, underline: str) -> list[list[str]]:
    rows = [["method", *(escape(column.title) for column in columns(groups))]]
    for label, cells in leaderboard(groups).items():
        dressed = [{1: bold, 2: underline}.get(c.place, "{}").replace("{}", escape(c.text())) for c in cells]
        rows.append([escape(label), *dressed])
    return rows


def to_markdown(groups: Sequence[Group]) -> str:
    rows = _rows(groups, lambda text: text.replace("|", "\\|"), "**{}**", "<u>{}</u>")
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def to_latex(groups: Sequence[Group]) -> str:
    """A booktabs table."""
    head, *body = _rows(groups, _latex, r"\textbf{{}}", r"\underline{{}}")
    lines = [rf"\begin{{tabular}}{{l{'c' * (len(head) - 1)}}}", r"\toprule", " & ".join(head) + r" \\", r"\midrule"]
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
