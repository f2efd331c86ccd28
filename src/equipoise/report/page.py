"""The report: one page that works from disk, with its tables as files beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import plotly.io
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from equipoise.comparison.rates import rate_folder
from equipoise.errors import RunError, printable
from equipoise.evaluation.statistics import Difference
from equipoise.report import figures, tables
from equipoise.report.board import Board
from equipoise.report.conclusion import conclude
from equipoise.report.records import (
    Failure,
    MethodRuns,
    difference,
    featured,
    modalities_of,
    read_levels,
    read_runs,
    results_of,
)


def write_report(
    runs: Sequence[Path], out: Path, *, title: str = "How well does each modality learn?"
) -> Path:
    """Compare runs on one page.

    Args:
        runs: run folders and folders of comparisons; or folders of sweeps over missing rates, which
            get a page for each rate and one that shows them all.
        out: folder of the report; an earlier report there is replaced, anything else is not.
        title: heading of the page.

    Returns:
        Path of `index.html`, beside which lie leaderboard.csv, leaderboard.md, leaderboard.tex and
        plotly.min.js.

    Raises:
        RunError: a folder cannot be read, or `out` cannot be written or holds something else.
    """
    out = Path(out)
    folders = [Path(run) for run in runs]
    levels = read_levels(folders)
    single = None if levels else read_runs(folders)
    if out.is_file() or (
        out.exists() and not (out / "leaderboard.csv").is_file() and any(out.iterdir())
    ):
        raise RunError(f"{out}: holds something other than a report; choose another folder")
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        (temporary / "plotly.min.js").write_text(plotly_script(), encoding="utf-8")
        if single is None:
            _write_sweep(temporary, levels, title)
        else:
            _write_page(temporary, *single, title)
        if out.exists():
            shutil.rmtree(out)
        os.replace(temporary, out)
    except OSError as error:
        raise RunError(
            f"{out}: cannot write the report ({error.strerror}); choose another folder"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out / "index.html"


def _write_page(
    folder: Path,
    groups: Sequence[MethodRuns],
    failures: Sequence[Failure],
    title: str,
    top: str = "",
) -> None:
    """Write the page and tables of one comparison; `top` leads to the folder of the script."""
    board = Board(results_of(groups))
    _write_tables(folder, board)
    drawn = featured(groups)
    page = _render(
        "page.html.j2",
        groups,
        title=title,
        top=top,
        failures=failures,
        columns=board.columns(),
        rows=board.rows(),
        repeats=board.repeats,
        groups=groups,
        drawn=[group.label for group in drawn],
        differences=_differences(groups),
        summary=conclude(groups),
        curves=[
            (part, html_of(figures.learning_curves(drawn, part)))
            for part in ("fused", *modalities_of(groups))
        ],
        contributions=html_of(figures.contributions(groups)),
        confusions=html_of(figures.confusions(drawn)),
        quantities=[(g.label, [html_of(f) for f in figures.quantities(g)]) for g in drawn],
        inputs=_inputs(groups),
        problems=max(int(run.result.get("problems", 0)) for group in groups for run in group.runs),
    )
    (folder / "index.html").write_text(page, encoding="utf-8")


def _write_sweep(
    folder: Path, levels: Mapping[float, tuple[list[MethodRuns], list[Failure]]], title: str
) -> None:
    """Write the page that shows all missing rates, and a page for each of them."""
    groups = {rate: found for rate, (found, _) in levels.items() if found}
    for rate, found in groups.items():
        below = rate_folder(folder, rate)
        below.mkdir()
        _write_page(below, found, levels[rate][1], f"{title} Missing rate {rate:g}", top="../")
    board = Board({rate: results_of(found) for rate, found in groups.items()})
    _write_tables(folder, board)
    first = next(iter(groups.values()))
    drawn = [group.label for group in featured(first)]
    page = _render(
        "sweep.html.j2",
        first,
        title=title,
        top="",
        failures=[(rate, failure) for rate, (_, failed) in levels.items() for failure in failed],
        board=board,
        columns=board.columns(),
        rows=board.rows(),
        drawn=drawn,
        pages=[rate_folder(Path(), rate).as_posix() + "/index.html" for rate in groups],
        absent=[board.absent(rate) for rate in board.rates],
        curves=[
            (part, html_of(figures.accuracy_by_rate(board, drawn, part)))
            for part in ("fused", *modalities_of(first))
        ],
    )
    (folder / "index.html").write_text(page, encoding="utf-8")


def _write_tables(folder: Path, board: Board) -> None:
    for ending, text in (
        ("csv", tables.to_csv(board)),
        ("md", tables.to_markdown(board)),
        ("tex", tables.to_latex(board)),
    ):
        (folder / f"leaderboard.{ending}").write_text(text, encoding="utf-8")


def _render(template: str, shown: Sequence[MethodRuns], **values: Any) -> str:
    """A page as HTML, with the facts that every page shows; all text from data is escaped."""
    loader = PackageLoader("equipoise.report")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=_shown,
    )
    first = shown[0].runs[0]
    return environment.get_template(template).render(
        data=first.result["data"],
        modalities=modalities_of(shown),
        classes=first.result["classes"],
        split=first.split,
        count=first.measured["count"],
        version=version("equipoise"),
        time=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **values,
    )


def _shown(value: Any) -> Any:
    """Escape the control characters of a text; markup of our own is left alone."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(value, keep="\n\t")
    return value


def _inputs(groups: Sequence[MethodRuns]) -> list[tuple[str, dict[str, str]]]:
    """The methods that read the modalities alike, and what they read; mostly one entry."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for group in groups:
        found.setdefault(tuple(group.runs[0].inputs().items()), []).append(group.label)
    return [(", ".join(labels), dict(read)) for read, labels in found.items() if read]


def _differences(groups: Sequence[MethodRuns]) -> dict[str, Difference | None]:
    """Fused accuracy against the first method, where there is another."""
    return {group.label: difference(group, groups[0]) for group in groups[1:]}


def html_of(figure: Any) -> Markup:
    """A figure as a piece of the page; plotly escapes what it embeds."""
    config = {"displayModeBar": False, "responsive": True}
    text = plotly.io.to_html(
        figure, full_html=False, include_plotlyjs=False, default_width="100%", config=config
    )
    return Markup(text)


def plotly_script() -> str:
    """The script that draws figures on a page."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
