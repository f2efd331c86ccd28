"""Figures of the report: finished runs in, plotly figures out."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from equipoise.errors import printable
from equipoise.report.board import Board
from equipoise.report.records import MethodRuns, confusion, modalities_of

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
"""Colours of Okabe and Ito, which people with colour-blindness can tell apart as well."""
DASHES = ("solid", "dash", "dot", "dashdot")


def line_colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def plain(text: str) -> str:
    """A user's name, escaped because plotly reads a few tags and entities in every text."""
    return escape(printable(text), quote=False)


def dress(figure: Any, height: int = 340) -> Any:
    """Give a figure the look of all figures; transparent, to suit light and dark pages."""
    figure.update_layout(
        height=height,
        margin={"l": 50, "r": 15, "t": 40, "b": 45},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(128,128,128,0.06)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#808080"},
        legend={"orientation": "h", "y": -0.28, "yanchor": "top"},
    )
    figure.update_xaxes(gridcolor="rgba(128,128,128,0.2)", zeroline=False)
    figure.update_yaxes(gridcolor="rgba(128,128,128,0.2)", zeroline=False)
    return figure


def learning_curves(groups: Sequence[MethodRuns], part: str) -> Any:
    """Validation accuracy over the epochs, mean over seeds, a line per method."""
    figure = go.Figure()
    for number, group in enumerate(groups):
        curves = [c for c in (_curve(run.epochs, part) for run in group.runs) if c]
        if not curves:
            continue
        length = min(map(len, curves))
        means = [100 * sum(curve[e] for curve in curves) / len(curves) for e in range(length)]
        # Methods that train in phases have more, shorter epochs: fractions make them comparable.
        fractions = [(e + 1) / length for e in range(length)]
        style = {"color": line_colour(number), "dash": DASHES[number % len(DASHES)]}
        figure.add_scatter(x=fractions, y=means, name=plain(group.label), mode="lines", line=style)
    figure.update_layout(title=f"{plain(part)}: accuracy on validation")
    figure.update_xaxes(title="fraction of the training", tickformat=".0%")
    figure.update_yaxes(title="accuracy, %", range=[0, 101])
    return dress(figure, height=320 + 20 * -(-len(groups) // 3))


def _curve(epochs: Sequence[dict[str, Any]], part: str) -> list[float]:
    found = []
    for line in epochs:
        metrics = line["validation"]
        of = metrics["fused"] if part == "fused" else metrics["modalities"].get(part, {})
        if of.get("accuracy") is not None:
            found.append(float(of["accuracy"]))
    return found


def accuracy_by_rate(board: Board, methods: Sequence[str], part: str) -> Any:
    """Accuracy at each missing rate, mean and standard deviation over seeds, a line per method."""
    figure = go.Figure()
    for number, method in enumerate(methods):
        scores = [(rate, board.score(method, part, rate=rate)) for rate in board.rates]
        known = [(rate, score) for rate, score in scores if score.mean is not None]
        figure.add_scatter(
            x=[rate for rate, _ in known],
            y=[100 * (score.mean or 0) for _, score in known],
            error_y={
                "array": [100 * (score.deviation or 0) for _, score in known],
                "thickness": 1,
            },
            name=plain(method),
            line={"color": line_colour(number), "dash": DASHES[number % len(DASHES)]},
        )
    figure.update_layout(title=f"{plain(part)}: accuracy by missing rate")
    figure.update_xaxes(title="missing rate")
    figure.update_yaxes(title="accuracy, %")
    return dress(figure, height=320 + 20 * -(-len(methods) // 3))


def contributions(groups: Sequence[MethodRuns]) -> Any:
    """The Shapley value of each modality for the fused accuracy, stacked."""
    figure = go.Figure()
    for number, modality in enumerate(modalities_of(groups)):
        values = [100 * group.contribution(modality) for group in groups]
        figure.add_bar(
            y=[plain(group.label) for group in groups],
            x=values,
            name=plain(modality),
            orientation="h",
            marker_color=line_colour(number),
            text=[f"{v:.1f}" for v in values],
        )
    figure.update_layout(
        title="contribution of each modality to the fused accuracy", barmode="relative"
    )
    figure.update_xaxes(title="points of accuracy above guessing")
    figure.update_yaxes(autorange="reversed")
    dress(figure, height=140 + 36 * len(groups))
    figure.update_layout(legend={"x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom"})
    return figure


def confusions(groups: Sequence[MethodRuns]) -> Any:
    """The fraction of each true class that is predicted as each class, a panel per method."""
    wide = min(3, len(groups))
    high = -(-len(groups) // wide)
    titles = [plain(g.label) for g in groups]
    figure = make_subplots(
        high, wide, subplot_titles=titles, vertical_spacing=0.28 / high, shared_yaxes=True
    )
    classes = [plain(str(name)) for name in groups[0].runs[0].result["classes"]]
    for number, group in enumerate(groups):
        counts = confusion(group)
        fractions = counts / counts.sum(1, keepdims=True).clip(min=1)
        panel = go.Heatmap(
            z=fractions, x=classes, y=classes, coloraxis="coloraxis", customdata=counts
        )
        panel.hovertemplate = "true %{y}, predicted %{x}: %{z:.1%} (%{customdata})<extra></extra>"
        figure.add_trace(panel, row=number // wide + 1, col=number % wide + 1)
    figure.update_layout(
        coloraxis={"colorscale": "Blues", "cmin": 0, "cmax": 1, "colorbar": {"tickformat": ".0%"}}
    )
    dress(figure, height=320 * high)
    figure.update_xaxes(title="predicted", type="category")
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_yaxes(title="true", col=1)
    return figure


def quantities(group: MethodRuns) -> list[Any]:
    """Quantities that the method logged, of its first seed.

    Numbers are shown as lines over the epochs, lists (spectra) as heat maps.
    """
    lines: dict[str, list[tuple[int, Any]]] = {}
    for epoch in group.runs[0].epochs:
        for name, value in epoch["method"].items():
            lines.setdefault(name, []).append((epoch["epoch"] + 1, value))
    figures = []
    scalars = {name: points for name, points in lines.items() if not isinstance(points[0][1], list)}
    if scalars:
        figure = go.Figure()
        for number, (name, points) in enumerate(scalars.items()):
            figure.add_scatter(
                x=[e for e, _ in points],
                y=[v for _, v in points],
                name=plain(name),
                line_color=line_colour(number),
            )
        figure.update_layout(
            title=plain(f"{group.label}: {', '.join(scalars)} over the epochs"),
            showlegend=len(scalars) > 1,
        )
        figure.update_xaxes(title="epoch")
        figures.append(dress(figure))
    figures += [
        _spectrum(group.label, name, p) for name, p in lines.items() if isinstance(p[0][1], list)
    ]
    return figures


def _spectrum(label: str, name: str, points: Sequence[tuple[int, list[float]]]) -> Any:
    """Quantiles of a spectrum (rows) over the epochs (columns)."""
    values = [list(row) for row in zip(*(value for _, value in points), strict=True)]
    quantiles = [round(100 * k / max(len(values) - 1, 1)) for k in range(len(values))]
    panel = go.Heatmap(
        z=values, x=[str(e) for e, _ in points], y=quantiles, colorscale="Viridis", zmin=0, zmax=1
    )
    panel.hovertemplate = "epoch %{x}, quantile %{y} %: %{z:.3f}<extra></extra>"
    figure = go.Figure(panel)
    figure.update_layout(title=plain(f"{label}: {name}, eigenvalues of the projection"))
    figure.update_xaxes(title="epoch", type="category")
    figure.update_yaxes(title="quantile, %")
    return dress(figure)
