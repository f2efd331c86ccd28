"""Pictures for pages and notebooks, drawn with plotly."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from equipoise.analysis.picture import (
    Bars,
    Grid,
    Line,
    Mark,
    Panel,
    Photo,
    Picture,
    Points,
    Shade,
)
from equipoise.report.figures import dress, line_colour, plain

DASHES = ("solid", "dash", "dot")
SYMBOLS = ("circle", "x", "square", "triangle-up", "diamond", "cross")
HEIGHT = 260
"""Of a row of panels, in pixels."""


def draw_page(picture: Picture) -> Any:
    """A plotly figure of a picture."""
    figure = make_subplots(
        picture.rows,
        picture.columns,
        subplot_titles=[plain(panel.title) for panel in picture.panels],
        horizontal_spacing=0.25 / picture.columns,
        vertical_spacing=0.3 / picture.rows,
    )
    seen: set[str] = set()
    for number, panel in enumerate(picture.panels):
        at = {"row": number // picture.columns + 1, "col": number % picture.columns + 1}
        for mark in panel.marks:
            _add(figure, mark, at, seen)
        _axes(figure, panel, at)
    dress(figure, 110 + HEIGHT * picture.rows)
    low, high = picture.scale
    diverging = any(isinstance(m, Grid) and m.diverging for p in picture.panels for m in p.marks)
    titles = [m.title for p in picture.panels for m in p.marks if isinstance(m, Grid)]
    if titles:
        colours = "RdBu_r" if diverging else "Viridis"
        figure.update_layout(
            coloraxis={
                "colorscale": colours,
                "cmin": low,
                "cmax": high,
                "colorbar": {"title": plain(titles[0])},
            }
        )
    figure.update_layout(title=plain(picture.title), barmode="group")
    return figure


def _axes(figure: Any, panel: Panel, at: dict[str, int]) -> None:
    shown = {} if not panel.bare else {"showticklabels": False, "showgrid": False}
    under = plain(panel.text or panel.x)
    figure.update_xaxes(title=under, type="log" if panel.log_x else None, **shown, **at)
    figure.update_yaxes(title=plain(panel.y), type="log" if panel.log_y else None, **shown, **at)


def _add(figure: Any, mark: Mark, at: dict[str, int], seen: set[str]) -> None:
    """Add one mark to a panel; a name enters the legend once."""
    name = getattr(mark, "name", "")
    legend = {
        "name": plain(name),
        "legendgroup": name,
        "showlegend": bool(name) and name not in seen,
    }
    seen.add(name)
    if isinstance(mark, Line):
        colour = line_colour(mark.colour)
        if mark.low is not None and mark.high is not None:
            edges = {"line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
            figure.add_scatter(x=mark.x, y=mark.low, mode="lines", **edges, **at)
            fill = {"fill": "tonexty", "fillcolor": _faint(colour), "mode": "lines"}
            figure.add_scatter(x=mark.x, y=mark.high, **fill, **edges, **at)
        mode = "lines+markers" if mark.points else "lines"
        style = {"color": colour, "dash": DASHES[mark.dash % len(DASHES)]}
        figure.add_scatter(x=mark.x, y=mark.y, mode=mode, line=style, **legend, **at)
    elif isinstance(mark, Points):
        marker: dict[str, Any] = {
            "color": line_colour(mark.colour),
            "symbol": SYMBOLS[mark.symbol % len(SYMBOLS)],
            "size": 4,
            "opacity": 0.7,
        }
        figure.add_scatter(x=mark.x, y=mark.y, mode="markers", marker=marker, **legend, **at)
    elif isinstance(mark, Bars):
        error = None
        if mark.low is not None and mark.high is not None:
            error = {
                "type": "data",
                "symmetric": False,
                "array": [h - v for h, v in zip(mark.high, mark.values, strict=True)],
                "arrayminus": [v - b for b, v in zip(mark.low, mark.values, strict=True)],
                "thickness": 1,
            }
        figure.add_bar(
            x=[plain(label) for label in mark.labels],
            y=mark.values,
            error_y=error,
            marker_color=line_colour(mark.colour),
            **legend,
            **at,
        )
    elif isinstance(mark, Grid):
        text = [[f"{v:.2f}" for v in row] for row in mark.values] if mark.write else None
        axes = {
            name: [plain(v) if isinstance(v, str) else v for v in values]
            for name, values in (("x", mark.x), ("y", mark.y))
        }
        kind = go.Contour if mark.levels else go.Heatmap
        panel = kind(z=mark.values, coloraxis="coloraxis", **axes)
        if text is not None:
            panel.update(text=text, texttemplate="%{text}")
        figure.add_trace(panel, **at)
        if isinstance(mark.y[0], str):
            figure.update_yaxes(autorange="reversed", **at)
    elif isinstance(mark, Shade):
        figure.add_vrect(
            x0=mark.start,
            x1=mark.end,
            fillcolor=line_colour(mark.colour),
            opacity=0.12,
            line_width=0,
            layer="below",
            **at,
        )
        if legend["showlegend"]:
            patch: dict[str, Any] = {"color": line_colour(mark.colour), "opacity": 0.3, "size": 12}
            figure.add_scatter(x=[None], y=[None], mode="markers", marker=patch, **legend, **at)
    elif isinstance(mark, Photo):
        figure.add_trace(go.Image(z=(255 * mark.pixels).round().astype("uint8")), **at)


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.2)"
