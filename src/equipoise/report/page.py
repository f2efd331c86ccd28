"""The report: one page that works from disk, with its tables beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import plotly.io
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import equipoise
from equipoise.comparison.rates import rate_folder
from equipoise.errors import RunError
from equipoise.evaluation.statistics import Difference
from equipoise.report import figures, tables
from equipoise.report.records import (
    Failure,
    Group,
    difference,
    featured,
    modalities_of,
    read_levels,
    read_runs,
)


def write_report(
    runs: Sequence[Path], out: Path, *, title: str = "How well does each modality learn?"
) -> Path:
    """Compare runs on one page.

    Args:
        runs: run folders, or folders of comparisons, or of sweeps over missing rates; the latter
            have a page for each rate below the one that shows them all.
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
        (temporary / "plotly.min.js").write_text(_plotly_script(), encoding="utf-8")
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
    folder: Path, groups: Sequence[Group], failures: Sequence[Failure], title: str, top: str = ""
) -> None:
    """Page and tables of one comparison; `top` leads to the folder of the script."""
    board = tables.leaderboard(groups)
    _write_tables(folder, board)
    drawn = featured(groups)
    page = _render(
        "page.html.j2",
        groups,
        title=title,
        top=top,
        failures=failures,
        board=board,
        groups=groups,
        drawn=[group.label for group in drawn],
        differences=_differences(groups),
        summary=summary(groups, modalities_of(groups)),
        curves=[
            (part, _html(figures.learning_curves(drawn, part)))
            for part in ("fused", *modalities_of(groups))
        ],
        contributions=_html(figures.contributions(groups)),
        confusions=_html(figures.confusions(drawn)),
        quantities=[(g.label, [_html(f) for f in figures.quantities(g)]) for g in drawn],
        problems=max(int(run.result.get("problems", 0)) for group in groups for run in group.runs),
    )
    (folder / "index.html").write_text(page, encoding="utf-8")


def _write_sweep(
    folder: Path, levels: Mapping[float, tuple[list[Group], list[Failure]]], title: str
) -> None:
    """The page that shows all missing rates, and below it one for each."""
    groups = {rate: found for rate, (found, _) in levels.items() if found}
    for rate, found in groups.items():
        below = rate_folder(folder, rate)
        below.mkdir()
        _write_page(below, found, levels[rate][1], f"{title} Missing rate {rate:g}", top="../")
    board = tables.rate_board(groups)
    _write_tables(folder, board)
    first = next(iter(groups.values()))
    few = {group.label for group in featured(first)}
    drawn = {
        rate: [group for group in found if group.label in few] for rate, found in groups.items()
    }
    page = _render(
        "sweep.html.j2",
        first,
        title=title,
        top="",
        failures=[(rate, failure) for rate, (_, failed) in levels.items() for failure in failed],
        board=board,
        drawn=[group.label for group in first if group.label in few],
        pages=[rate_folder(Path(), rate).as_posix() + "/index.html" for rate in groups],
        absent=[fmean(group.absent() for group in found) for found in groups.values()],
        curves=[
            (part, _html(figures.accuracy_by_rate(drawn, part)))
            for part in ("fused", *modalities_of(first))
        ],
    )
    (folder / "index.html").write_text(page, encoding="utf-8")


def _write_tables(folder: Path, board: tables.Board) -> None:
    for ending, text in (
        ("csv", tables.to_csv(board)),
        ("md", tables.to_markdown(board)),
        ("tex", tables.to_latex(board)),
    ):
        (folder / f"leaderboard.{ending}").write_text(text, encoding="utf-8")


def _render(template: str, shown: Sequence[Group], **values: Any) -> str:
    """A page as HTML, with the facts every page tells; everything that comes from data is escaped."""
    loader = PackageLoader("equipoise.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    first = shown[0].runs[0]
    return environment.get_template(template).render(
        data=first.result["data"],
        modalities=modalities_of(shown),
        classes=first.result["classes"],
        split=first.split,
        count=first.measured["count"],
        version=equipoise.__version__,
        time=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **values,
    )


def summary(groups: Sequence[Group], modalities: Sequence[str]) -> list[str]:
    """What was found, in plain words: who fuses best, and what each method reads out of the weakest modality."""
    fused = {g.label: s[0] for g in groups if (s := g.summary("fused"))}
    if not fused:
        return ["No sample has a label: there is nothing to compare."]
    best = max(fused, key=fused.__getitem__)
    sentences = [f"The best fused accuracy is {100 * fused[best]:.1f} %, by {best}."]
    reads = {m: {g.label: s[0] for g in groups if (s := g.summary(m))} for m in modalities}
    weakest = min(modalities, key=lambda m: min(reads[m].values(), default=1.0))
    if len(reads[weakest]) > 1:
        right = reads[weakest]
        worst = min(right, key=right.__getitem__)
        finest = max(right, key=right.__getitem__)
        sentences.append(
            f"The modality most at risk is {weakest}: read out of the network trained by {worst} it is right in "
            f"{100 * right[worst]:.1f} % of the samples, by {finest} in {100 * right[finest]:.1f} %."
        )
    if any(len(group.runs) == 1 for group in groups):
        sentences.append("A method with a single seed has no spread: its place may be luck.")
    return sentences


def _differences(groups: Sequence[Group]) -> dict[str, Difference | None]:
    """Fused accuracy against the first method, where there is another."""
    return {group.label: difference(group, groups[0]) for group in groups[1:]}


def _html(figure: Any) -> Markup:
    """A figure as a piece of the page; plotly escapes what it embeds."""
    config = {"displayModeBar": False, "responsive": True}
    text = plotly.io.to_html(
        figure, full_html=False, include_plotlyjs=False, default_width="100%", config=config
    )
    return Markup(text)


def _plotly_script() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
