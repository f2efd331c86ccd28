"""Pictures as descriptions: panels of marks, which a page and a paper draw each in its own way.

An analysis describes its picture once. `page.py` draws it with plotly and `paper.py` with
matplotlib, so that both show the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Line:
    """A line through points.

    Attributes:
        x: (n,).
        y: (n,).
        name: in the legend; "" for none.
        colour: number of its colour.
        dash: 0 for solid, 1 for dashed, 2 for dotted.
        low: (n,), lower edge of a band around it; None for no band.
        high: (n,), upper edge.
        points: mark the points.
    """

    x: Sequence[float]
    y: Sequence[float]
    name: str = ""
    colour: int = 0
    dash: int = 0
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    points: bool = False


@dataclass(frozen=True)
class Points:
    """Points of one group.

    Attributes:
        x: (n,).
        y: (n,).
        name: in the legend; "" for none.
        colour: number of their colour.
        symbol: number of their symbol.
    """

    x: Sequence[float]
    y: Sequence[float]
    name: str = ""
    colour: int = 0
    symbol: int = 0


@dataclass(frozen=True)
class Bars:
    """Bars, one for each label.

    Attributes:
        labels: (n,).
        values: (n,).
        name: in the legend; "" for none.
        colour: number of their colour.
        low: (n,), lower ends of their intervals; None for none.
        high: (n,), upper ends.
    """

    labels: Sequence[str]
    values: Sequence[float]
    name: str = ""
    colour: int = 0
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@dataclass(frozen=True)
class Grid:
    """Values on a grid, as colours. All grids of a picture share one colour scale.

    Attributes:
        values: (rows, columns).
        x: (columns,), numbers or labels.
        y: (rows,), numbers or labels.
        title: of the colour scale.
        diverging: colours for values around zero.
        levels: draw lines of equal value as well.
        write: write the values into the cells.
    """

    values: np.ndarray
    x: Sequence[float] | Sequence[str]
    y: Sequence[float] | Sequence[str]
    title: str = ""
    diverging: bool = False
    levels: bool = False
    write: bool = False


@dataclass(frozen=True)
class Shade:
    """A part of the horizontal axis behind everything else.

    Attributes:
        start: left end.
        end: right end.
        name: in the legend; "" for none.
        colour: number of its colour.
    """

    start: float
    end: float
    name: str = ""
    colour: int = 0


@dataclass(frozen=True)
class Photo:
    """A picture of a sample: float (height, width, 3) in [0, 1]."""

    pixels: np.ndarray


Mark = Line | Points | Bars | Grid | Shade | Photo


@dataclass(frozen=True)
class Panel:
    """One system of axes.

    Attributes:
        marks: what is drawn, from back to front.
        title: above it.
        x: title of the horizontal axis.
        y: title of the vertical axis.
        log_x: a logarithmic horizontal axis.
        log_y: a logarithmic vertical axis.
        bare: no ticks, as for photos and projections whose axes have no meaning.
        text: below a panel without axes, such as the text of a sample.
    """

    marks: Sequence[Mark]
    title: str = ""
    x: str = ""
    y: str = ""
    log_x: bool = False
    log_y: bool = False
    bare: bool = False
    text: str = ""


@dataclass(frozen=True)
class Picture:
    """Panels in rows.

    Attributes:
        panels: row by row.
        columns: panels in a row.
        title: above all of them.
    """

    panels: Sequence[Panel]
    columns: int = 1
    title: str = ""

    @property
    def rows(self) -> int:
        return -(-len(self.panels) // self.columns)

    @property
    def scale(self) -> tuple[float, float]:
        """The lowest and the highest value of all grids, symmetric about zero for diverging ones.

        It is (0, 1) without grids.
        """
        grids = [mark for panel in self.panels for mark in panel.marks if isinstance(mark, Grid)]
        values = [grid.values[np.isfinite(grid.values)] for grid in grids]
        known = np.concatenate([v.ravel() for v in values]) if values else np.empty(0)
        if not len(known):
            return 0.0, 1.0
        low, high = float(known.min()), float(known.max())
        if any(grid.diverging for grid in grids):
            most = max(abs(low), abs(high))
            low, high = -most, most
        return (low, high) if high > low else (low - 0.5, low + 0.5)
