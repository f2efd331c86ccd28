"""The page of a study, with its table as files beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from equipoise.errors import RunError, printable
from equipoise.files import replace_file
from equipoise.report.figures import DASHES, dress, line_colour, plain
from equipoise.report.page import html_of, plotly_script
from equipoise.studies.study import AXES
from equipoise.studies.table import Cell, Table


def write_page(table: Table, folder: Path) -> Path:
    """Write a table as a page, CSV, LaTeX and JSON.

    Args:
        table: to write.
        folder: made if need be; earlier files of these names are replaced.

    Returns:
        Path of `index.html`, beside which lie table.csv, table.tex and table.json. A figure has
        plotly.min.js, too, and for each data set a folder with what the analysis found.

    Raises:
        RunError: a file cannot be written.
    """
    texts = {
        "table.csv": table.to_csv(),
        "table.tex": table.to_latex(),
        "table.json": table.to_json(),
        "index.html": _page(table),
        **({"plotly.min.js": plotly_script()} if _is_figure(table) else {}),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            replace_file(folder / name, text.encode())
        for data, record in table.records.items():
            record.save(folder / data)
    except OSError as error:
        raise RunError(
            f"{folder}: cannot write the page ({error.strerror}); choose another --out"
        ) from None
    return folder / "index.html"


def _page(table: Table) -> str:
    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader("equipoise.studies"), PackageLoader("equipoise.report")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=_shown,
    )
    return environment.get_template("study.html.j2").render(
        table=table,
        study=table.study,
        is_figure=_is_figure(table),
        figure=html_of(draw(table)) if table.study.x else "",
        looks=[
            (data.title, html_of(table.records[data.key].figure()), data.key)
            for data in table.study.data
            if data.key in table.records
        ],
        version=version("equipoise"),
        time=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _is_figure(table: Table) -> bool:
    return table.study.x is not None or bool(table.records)


def draw(table: Table) -> go.Figure:
    """The numbers of a figure along its axis x, a line for each combination of the other axes."""
    study = table.study
    x = AXES.index(study.x or AXES[0])
    titles = {data.key: data.title for data in study.data}
    lines: dict[tuple[str, ...], dict[str, Cell]] = {}
    for key, cell in table.cells.items():
        named = [titles[key[0]], *key[1:]]
        at = named.pop(x)
        lines.setdefault(tuple(named), {})[at] = cell
    figure = go.Figure()
    for number, (names, cells) in enumerate(lines.items()):
        known = {at: cell.ours for at, cell in cells.items() if cell.ours is not None}
        if known:
            figure.add_scatter(
                # The titles are texts also where they look like numbers: points stand side by side.
                x=[plain(at) for at in known],
                y=[ours.mean for ours in known.values()],
                error_y={"array": [ours.deviation or 0 for ours in known.values()]},
                name=plain(", ".join(names)),
                mode="lines+markers",
                line={"color": line_colour(number), "dash": DASHES[number % len(DASHES)]},
            )
    figure.update_xaxes(type="category")
    figure.update_yaxes(title="%")
    return dress(figure, 420)


def _shown(value: Any) -> Any:
    """Escape the control characters of a text."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(value, keep="\n\t")
    return value
