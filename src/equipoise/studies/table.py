"""The table of a study in the paper's own layout: published, ours, difference."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, product

from equipoise import spreadsheet
from equipoise.analysis.record import Record
from equipoise.report.tables import escape_latex
from equipoise.studies.study import Number, Study

Key = tuple[str, str, str]
"""(data, variant title, measure title)"""
NONE = "–"


@dataclass(frozen=True)
class Cell:
    """One number of a table, published and measured.

    Attributes:
        published: by the paper; None where it prints none.
        ours: None where there is none.
        seeds: number of trainings behind ours.
        reason: why ours is missing, or is of fewer seeds than asked for; empty if it is whole.
    """

    published: Number | None
    ours: Number | None
    seeds: int
    reason: str = ""

    @property
    def difference(self) -> float | None:
        """Ours minus published, in points."""
        if self.published is None or self.ours is None:
            return None
        return self.ours.mean - self.published.mean

    def texts(self) -> tuple[str, str, str]:
        """Published, ours and difference, as a table shows them."""
        difference = NONE if self.difference is None else f"{self.difference:+.2f}"
        return (
            NONE if self.published is None else self.published.text(),
            NONE if self.ours is None else self.ours.text(),
            difference.replace("-", "−"),
        )


@dataclass(frozen=True)
class Table:
    """A filled table.

    Attributes:
        study: whose layout it has.
        cells: {(data, variant title, measure title): cell}.
        smoke: the numbers are those of miniatures, and mean nothing.
        failed: a training or an analysis ended in an error.
        records: {data: what the study's analysis found in its runs}.
        flaws: {data: why there is no record}.
    """

    study: Study
    cells: Mapping[Key, Cell]
    smoke: bool = False
    failed: bool = False
    records: Mapping[str, Record] = field(default_factory=dict)
    flaws: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The headings of each row, from the outermost axis."""
        return self._headings(self.study.rows)

    @property
    def columns(self) -> list[tuple[str, ...]]:
        """The headings of each column, from the outermost axis."""
        return self._headings(self.study.columns)

    def cell(self, row: Sequence[str], column: Sequence[str]) -> Cell | None:
        """The cell of a row and a column; None where a data set has no such measure."""
        place = dict(zip(self.study.rows, row, strict=True))
        place |= dict(zip(self.study.columns, column, strict=True))
        return self.cells.get((place["data"], place["variant"], place["measure"]))

    def texts(self, cell: Cell) -> tuple[str, ...]:
        """The texts of a cell; ours alone where the paper prints no number."""
        return cell.texts() if self.study.published else cell.texts()[1:2]

    def titles(self, axes: Sequence[str], headings: Sequence[str]) -> tuple[str, ...]:
        """The headings as the paper writes them: data sets have a title beside their key."""
        titles = {data.key: data.title for data in self.study.data}
        return tuple(
            titles[text] if axis == "data" else text
            for axis, text in zip(axes, headings, strict=True)
        )

    def header(self) -> list[list[tuple[str, int]]]:
        """A line of (title, columns that it spans) for each axis of the columns."""
        columns = self.columns
        lines = []
        for level, axis in enumerate(self.study.columns):
            spans = groupby(columns, key=lambda column: column[: level + 1])
            lines.append([(self.titles((axis,), key[-1:])[0], len(list(of))) for key, of in spans])
        return lines

    def reasons(self) -> dict[str, list[str]]:
        """{reason: the places it holds for} of the cells that are missing or not whole."""
        found: dict[str, list[str]] = {}
        titles = {data.key: data.title for data in self.study.data}
        for (data, variant, _), cell in self.cells.items():
            if cell.reason:
                places = found.setdefault(cell.reason, [])
                place = f"{variant} on {titles[data]}"
                if place not in places:
                    places.append(place)
        for data, reason in self.flaws.items():
            found.setdefault(reason, []).append(f"the figure of {titles[data]}")
        return found

    def _headings(self, axes: Sequence[str]) -> list[tuple[str, ...]]:
        """All combinations of an order of axes that have cells."""
        values = {
            "data": [data.key for data in self.study.data],
            "variant": [variant.title for variant in self.study.variants],
            "measure": list(
                dict.fromkeys(m.title for of in self.study.measures.values() for m in of)
            ),
        }
        headings = list(product(*(values[axis] for axis in axes)))
        if "data" not in axes or "measure" not in axes:
            return headings
        place = [dict(zip(axes, heading, strict=True)) for heading in headings]
        own = {data: [measure.title for measure in of] for data, of in self.study.measures.items()}
        kept = [at for at in place if at["measure"] in own[at["data"]]]
        if axes.index("data") < axes.index("measure"):
            # Each data set has its measures in an order of its own; a stable sort keeps the rest.
            kept.sort(key=lambda at: self._order(axes, values, own, at))
        return [tuple(at[axis] for axis in axes) for at in kept]

    @staticmethod
    def _order(
        axes: Sequence[str],
        values: Mapping[str, Sequence[str]],
        own: Mapping[str, Sequence[str]],
        at: Mapping[str, str],
    ) -> list[int]:
        """The place of a heading among all, axis by axis."""
        return [
            (own[at["data"]] if axis == "measure" else values[axis]).index(at[axis])
            for axis in axes
        ]

    def to_csv(self) -> str:
        """The paper's layout; each of its columns becomes four."""
        head = ["" for _ in self.study.rows]
        parts = ("published", "ours", "std", "difference")
        for column in self.columns:
            title = " ".join(self.titles(self.study.columns, column))
            head += [f"{title} {part}" for part in parts]
        lines: list[list[object]] = [list(head)]
        for row in self.rows:
            line: list[object] = list(self.titles(self.study.rows, row))
            for column in self.columns:
                line += _numbers(self.cell(row, column))
            lines.append(line)
        return spreadsheet.write(lines)

    def to_latex(self) -> str:
        """A booktabs table; a cell holds published / ours (difference)."""
        rows = len(self.study.rows)
        lines = [rf"\begin{{tabular}}{{{'l' * rows}{'c' * len(self.columns)}}}", r"\toprule"]
        for line in self.header():
            cells = [_latex_head(title, span) for title, span in line]
            lines.append(" & ".join([*[""] * rows, *cells]) + r" \\")
        lines.append(r"\midrule")
        for row in self.rows:
            texts = [escape_latex(text) for text in self.titles(self.study.rows, row)]
            texts += [self._latex(self.cell(row, column)) for column in self.columns]
            lines.append(" & ".join(texts) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])

    def _latex(self, cell: Cell | None) -> str:
        if cell is None:
            return ""
        texts = [escape_latex(text).replace("−", "$-$") for text in self.texts(cell)]
        head = " / ".join(texts[:2])
        return head if cell.difference is None else f"{head} ({texts[2]})"

    def to_json(self) -> str:
        """Every cell with its numbers and the reason why one is missing."""
        return json.dumps({"study": self.study.name, "cells": list(self.to_records())}, indent=1)

    def to_records(self) -> Iterator[dict[str, object]]:
        """A mapping for each cell."""
        for (data, variant, measure), cell in self.cells.items():
            published, published_std, ours, std, difference = _all_numbers(cell)
            yield {
                "data": data,
                "variant": variant,
                "measure": measure,
                "published": published,
                "published_std": published_std,
                "ours": ours,
                "std": std,
                "seeds": cell.seeds,
                "difference": difference,
                "reason": cell.reason,
            }


def _all_numbers(cell: Cell) -> tuple[float | None, ...]:
    numbers: list[float | None] = []
    for number in (cell.published, cell.ours):
        numbers += (None, None) if number is None else (number.mean, number.deviation)
    return (*numbers, cell.difference)


def _numbers(cell: Cell | None) -> list[str]:
    """Published, ours, its standard deviation and the difference, with two digits."""
    if cell is None:
        return [""] * 4
    published, _, ours, std, difference = _all_numbers(cell)
    values = (published, ours, std, difference)
    return ["" if value is None else f"{value:.2f}" for value in values]


def _latex_head(title: str, span: int) -> str:
    text = escape_latex(title)
    return text if span == 1 else rf"\multicolumn{{{span}}}{{c}}{{{text}}}"
