"""Pictures for papers, drawn with matplotlib at the width of a column or of the text."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from equipoise.analysis.picture import (
    Bars,
    Grid,
    Line,
    Panel,
    Photo,
    Picture,
    Points,
    Shade,
)
from equipoise.errors import ConfigError
from equipoise.report.figures import line_colour

COLUMN = 3.3
"""Inches of a column of a paper of two columns."""
TEXT = 6.8
"""Inches of both columns."""
PANEL_HEIGHT = 1.9
LEGEND_HEIGHT = 0.25
MOST_NAMES = 10
"""More names than these leave no room for the picture; the colours then stand for themselves."""
DASHES = ("-", "--", ":")
SYMBOLS = ("o", "x", "s", "^", "D", "+")
STYLE = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6,
    "figure.titlesize": 8,
    "axes.linewidth": 0.5,
    "lines.linewidth": 1.0,
    "lines.markersize": 3,
    "pdf.fonttype": 42,  # letters that editors and publishers can read
    "svg.hashsalt": "equipoise",  # the same picture is the same file
}


def draw_paper(picture: Picture) -> Any:
    """A matplotlib figure of a picture.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    matplotlib, figure_class = _import()
    single = picture.columns == 1
    width = COLUMN if single else TEXT
    with matplotlib.rc_context(STYLE):
        figure = figure_class(
            figsize=(width, PANEL_HEIGHT * picture.rows + LEGEND_HEIGHT), layout="constrained"
        )
        axes = figure.subplots(picture.rows, picture.columns, squeeze=False).ravel()
        shared: Any = None
        for panel, ax in zip(picture.panels, axes, strict=False):
            shared = _fill(ax, panel, picture.scale) or shared
        for ax in axes[len(picture.panels) :]:
            ax.set_axis_off()
        if shared is not None:
            image, title = shared
            figure.colorbar(image, ax=list(axes), shrink=0.8, label=_plain(title))
        if picture.title:
            figure.suptitle(_plain(picture.title))
        _add_legend(figure, axes)
    return figure


def render(figure: Any, formats: Sequence[str]) -> dict[str, bytes]:
    """{format: content of the file} of a matplotlib figure; the same figure is the same file."""
    matplotlib, _ = _import()
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    files = {}
    with matplotlib.rc_context(STYLE):
        for form in formats:
            buffer = io.BytesIO()
            figure.savefig(buffer, format=form, dpi=300, metadata=dates.get(form))
            files[form] = buffer.getvalue()
    return files


def _import() -> tuple[Any, Any]:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError(
            "drawing for papers needs matplotlib; pip install 'equipoise[figures]'"
        ) from None
    return matplotlib, Figure


def _plain(text: str) -> str:
    """A user's name, in which matplotlib would read a dollar sign as the start of a formula."""
    return text.replace("$", r"\$")


def _add_legend(figure: Any, axes: Any) -> None:
    """One legend below all panels, with each name once."""
    named: dict[str, Any] = {}
    for ax in axes:
        handles, names = ax.get_legend_handles_labels()
        for name, handle in zip(names, handles, strict=True):
            named.setdefault(name, handle)
    if 0 < len(named) <= MOST_NAMES:
        figure.legend(
            list(named.values()),
            list(named),
            loc="outside lower center",
            ncols=min(len(named), 3 if figure.get_figwidth() < TEXT else 6),
            frameon=False,
        )


def _fill(ax: Any, panel: Panel, scale: tuple[float, float]) -> tuple[Any, str] | None:
    """Draw the marks of a panel; the image and title of a grid, whose colour scale is shared."""
    found = None
    bars = [mark for mark in panel.marks if isinstance(mark, Bars)]
    for mark in panel.marks:
        name = _plain(getattr(mark, "name", "")) or None
        if isinstance(mark, Line):
            style = {
                "color": line_colour(mark.colour),
                "linestyle": DASHES[mark.dash % len(DASHES)],
            }
            ax.plot(mark.x, mark.y, label=name, marker="o" if mark.points else None, **style)
            if mark.low is not None and mark.high is not None:
                ax.fill_between(
                    mark.x, mark.low, mark.high, color=style["color"], alpha=0.2, linewidth=0
                )
        elif isinstance(mark, Points):
            ax.scatter(
                mark.x,
                mark.y,
                s=4,
                marker=SYMBOLS[mark.symbol % len(SYMBOLS)],
                color=line_colour(mark.colour),
                alpha=0.7,
                linewidths=0.5,
                label=name,
            )
        elif isinstance(mark, Bars):
            _bars(ax, mark, bars.index(mark), len(bars), name)
        elif isinstance(mark, Grid):
            found = _grid(ax, mark, scale), mark.title
        elif isinstance(mark, Shade):
            ax.axvspan(
                mark.start, mark.end, color=line_colour(mark.colour), alpha=0.12, lw=0, label=name
            )
        elif isinstance(mark, Photo):
            ax.imshow(mark.pixels, aspect="equal", interpolation="nearest")
    if panel.log_x:
        ax.set_xscale("log")
    if panel.log_y:
        ax.set_yscale("log")
    ax.set_title(_plain(panel.title))
    ax.set_xlabel(_plain(textwrap.fill(panel.text, 40) if panel.text else panel.x))
    ax.set_ylabel(_plain(panel.y))
    if panel.bare:
        ax.set_xticks([])
        ax.set_yticks([])
    return found


def _bars(ax: Any, mark: Bars, number: int, count: int, name: str | None) -> None:
    width = 0.8 / count
    places = np.arange(len(mark.labels)) + (number - (count - 1) / 2) * width
    errors = None
    if mark.low is not None and mark.high is not None:
        values = np.asarray(mark.values)
        errors = np.stack([values - np.asarray(mark.low), np.asarray(mark.high) - values])
    ax.bar(
        places,
        mark.values,
        width,
        color=line_colour(mark.colour),
        label=name,
        yerr=errors,
        error_kw={"elinewidth": 0.6},
    )
    ax.axhline(0, color="0.5", linewidth=0.5)
    ax.set_xticks(np.arange(len(mark.labels)), [_plain(label) for label in mark.labels])
    if sum(map(len, mark.labels)) > 30:
        ax.tick_params(axis="x", labelrotation=30)


def _grid(ax: Any, mark: Grid, scale: tuple[float, float]) -> Any:
    low, high = scale
    colours = "RdBu_r" if mark.diverging else "viridis"
    named = isinstance(mark.x[0], str)
    if named:
        image = ax.imshow(mark.values, cmap=colours, vmin=low, vmax=high, aspect="auto")
        ax.set_xticks(range(len(mark.x)), [_plain(str(v)) for v in mark.x], rotation=90)
        ax.set_yticks(range(len(mark.y)), [_plain(str(v)) for v in mark.y])
    else:
        image = ax.pcolormesh(
            mark.x, mark.y, mark.values, cmap=colours, vmin=low, vmax=high, rasterized=True
        )
    if mark.levels:
        levels = np.linspace(low, high, 12)[1:-1]
        ax.contour(mark.x, mark.y, mark.values, levels=levels, colors="white", linewidths=0.4)
    if mark.write:
        for (row, column), value in np.ndenumerate(mark.values):
            dark = abs(value - (low + high) / 2) > (high - low) / 4
            light = "white" if dark == mark.diverging else "black"
            ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=light, size=5)
    return image
