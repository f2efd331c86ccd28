"""The page of a study, with its table as files beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from equipoise.errors import RunError, printable
from equipoise.files import replace_file
from equipoise.studies.table import Table


def write_page(table: Table, folder: Path) -> Path:
    """Write a table as a page, CSV, LaTeX and JSON.

    Args:
        table: to write.
        folder: made if need be; earlier files of these names are replaced.

    Returns:
        Path of `index.html`, beside which lie table.csv, table.tex and table.json.

    Raises:
        RunError: a file cannot be written.
    """
    texts = {
        "table.csv": table.to_csv(),
        "table.tex": table.to_latex(),
        "table.json": table.to_json(),
        "index.html": _page(table),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            replace_file(folder / name, text.encode())
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
        version=version("equipoise"),
        time=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _shown(value: Any) -> Any:
    """Escape the control characters of a text."""
    return printable(value, keep="\n\t") if type(value) is str else value
