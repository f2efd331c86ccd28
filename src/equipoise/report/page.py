"""The report: one page that works from disk, with its tables beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import plotly.io
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import equipoise
from equipoise.errors import RunError
from equipoise.evaluation.statistics import Difference
from equipoise.report import figures, tables
from equipoise.report.records import Group, difference, read_runs


def write_report(runs: Sequence[Path], out: Path, *, title: str = "How well does each modality learn?") -> Path:
    """Compare runs on one page.

    Args:
        runs: run folders, or folders of comparisons.
        out: folder of the report; an earlier report there is replaced, anything else is not.
        title: heading of the page.

    Returns:
        Path of `index.html`, beside which lie leaderboard.csv, leaderboard.md, leaderboard.tex and plotly.min.js.

    Raises:
        RunError: a folder cannot be read, or `out` cannot be written or holds something else.
    """
    out = Path(out)
    groups, failures = read_runs([Path(run) for run in runs])
    if out.is_file() or (out.exists() and not (out / "leaderboard.csv").is_file() and any(out.iterdir())):
        raise RunError(f"{out}: holds something other than a report; choose another folder")
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        for ending, text in (
            ("csv", tables.to_csv(groups)),
            ("md", tables.to_markdown(groups)),
            ("tex", tables.to_latex(groups)),
        ):
            (temporary / f"leaderboard.{ending}").write_text(text, encoding="utf-8")
        (temporary / "plotly.min.js").write_text(_plotly_script(), encoding="utf-8")
        page = render(groups, title=title, failures=failures)
        (temporary / "index.html").write_text(page, encoding="utf-8")
        if out.exists():
            shutil.rmtree(out)
        os.replace(temporary, out)
    except OSError as error:
        raise RunError(f"{out}: cannot write the report ({error.strerror}); choose another folder") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out / "index.html"


def render(groups: Sequence[Group], *, title: str, failures: Sequence[Any] = ()) -> str:
    """The page as HTML; everything that comes from data is escaped."""
    loader = PackageLoader("equipoise.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    modalities = list(dict.fromkeys(m for group in groups for m in group.modalities))
    first = groups[0].runs[0].result
    return environment.get_template("page.html.j2").render(
        title=title,
        groups=groups,
        failures=failures,
        modalities=modalities,
        columns=tables.columns(groups),
        leaderboard=tables.leaderboard(groups),
        differences=_differences(groups),
        summary=summary(groups, modalities),
        curves=[(part, _html(figures.learning_curves(groups, part))) for part in ("fused", *modalities)],
        contributions=_html(figures.contributions(groups)),
        confusions=_html(figures.confusions(groups)),
        quantities=[(g.label, [_html(f) for f in figures.quantities(g)]) for g in groups],
        data=first["data"],
        classes=first["classes"],
        split=groups[0].runs[0].split,
        count=groups[0].runs[0].measured["count"],
        problems=max(int(run.result.get("problems", 0)) for group in groups for run in group.runs),
        version=equipoise.__version__,
        time=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
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
        worst, finest = min(right, key=right.__getitem__), max(right, key=right.__getitem__)
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
    text = plotly.io.to_html(figure, full_html=False, include_plotlyjs=False, default_width="100%", config=config)
    return Markup(text)


def _plotly_script() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
