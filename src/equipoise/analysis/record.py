"""The record of an analysis: its numbers as a table, and its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.analysis.picture import Picture
from equipoise.errors import ConfigError, RunError, invalid
from equipoise.files import replace_file
from equipoise.progress import say

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("csv", "svg", "pdf", "png", "html")


@dataclass(frozen=True)
class Record:
    """The result of an analysis.

    Attributes:
        kind: name of the analysis.
        table: its numbers.
        picture: the description of its picture.
        details: {name: table} of what the picture shows beside these numbers.
    """

    kind: str
    table: pd.DataFrame
    picture: Picture
    details: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def to_frame(self, name: str | None = None) -> pd.DataFrame:
        """The numbers as a pandas table.

        Args:
            name: one of `details`; the main table by default.

        Raises:
            ConfigError: there is no such table.
        """
        if name is None:
            return self.table
        if name not in self.details:
            known = ", ".join(self.details) or "none"
            raise ConfigError(f"{self.kind}: no table {name!r}; there are {known}")
        return self.details[name]

    def figure(self) -> Any:
        """The picture as a plotly figure, for pages and notebooks."""
        from equipoise.analysis.page import draw_page

        return draw_page(self.picture)

    def draw(self) -> Any:
        """The picture as a matplotlib figure, as wide as a column or the text of a paper.

        Raises:
            ConfigError: matplotlib is not installed.
        """
        from equipoise.analysis.paper import draw_paper

        return draw_paper(self.picture)

    def save(
        self, folder: str | Path, formats: Sequence[str] = ("csv", "svg", "pdf")
    ) -> list[Path]:
        """Write the tables and the picture.

        Args:
            folder: made if it is not there; files of the same names are replaced.
            formats: "csv" for the tables; "svg", "pdf" and "png" for the picture, by matplotlib;
                "html" for an interactive page.

        Returns:
            The files. Without matplotlib the pictures are left out, and a line says so.

        Raises:
            ConfigError: an unknown format.
            RunError: a file cannot be written.
        """
        for name in formats:
            if name not in FORMATS:
                raise invalid("save", "formats", f"some of {', '.join(FORMATS)}", name)
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return list(self._write(folder, formats))
        except OSError as error:
            raise RunError(f"{folder}: cannot be written ({error.strerror or error})") from None

    def _write(self, folder: Path, formats: Sequence[str]) -> list[Path]:
        contents: dict[str, bytes] = {}
        if "csv" in formats:
            contents[f"{self.kind}.csv"] = self.table.to_csv(index=False).encode()
            for name, table in self.details.items():
                contents[f"{self.kind}-{name}.csv"] = table.to_csv(index=False).encode()
        if "html" in formats:
            page = self.figure().to_html(include_plotlyjs=True, full_html=True)
            contents[f"{self.kind}.html"] = page.encode()
        drawn = [name for name in formats if name in ("svg", "pdf", "png")]
        if drawn:
            from equipoise.analysis.paper import render

            try:
                pictures = render(self.draw(), drawn)
            except ConfigError as error:
                say(f"{error}; the picture is left out")
            else:
                contents |= {f"{self.kind}.{name}": file for name, file in pictures.items()}
        written = []
        for name, content in contents.items():
            replace_file(folder / name, content)
            written.append(folder / name)
        return written
