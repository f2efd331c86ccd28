"""Any finished run in use: that of a training, or that of a search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise import data
from equipoise.batch import Predictions
from equipoise.data.table.table import Splits, Table
from equipoise.errors import ConfigError
from equipoise.portfolio.blended import MEMBERS, Blended, read_recipe
from equipoise.runs.trained import Finished, Trained
from equipoise.settings import Settings

if TYPE_CHECKING:
    import pandas as pd


def open_run(
    folder: str | Path,
    *,
    trust: bool = False,
    frame: pd.DataFrame | None = None,
    head: Mapping[str, Any] | None = None,
) -> Finished:
    """Open a finished run of either kind.

    Args:
        folder: the run folder.
        trust: the settings of the run may import code.
        frame: the DataFrame that the run was made from, which no run folder holds.
        head: options of the head that replace those of a training, see `Trained`.

    Raises:
        ConfigError: the settings import code, and are not trusted, or the run does not fit `head`.
        RunError: no finished run there, or its files are damaged or do not belong together.
    """
    if not (Path(folder) / MEMBERS).is_file():
        return Trained(folder, trust=trust, frame=frame, head=head)
    if head:
        raise ConfigError(f"{folder}: a search has no head that could be exchanged")
    return Searched(folder, trust=trust, frame=frame)


class Searched(Finished):
    """The ensemble of a finished search."""

    def _stored_digests(self) -> Mapping[str, Any] | None:
        return read_recipe(self.folder)[1]

    def _build(self) -> None:
        self.blended = Blended.load(self.folder, self.settings, self.specs, self.classes)

    def _load_splits(self, settings: Settings) -> Splits:
        splits: Splits = data.load(settings.data, 0.0)
        return splits

    def predict(self, table: Table) -> Predictions:
        """The logarithms of the probabilities of every row, fused and per modality."""
        return self.blended.predict(table)

    def evaluate(
        self,
        source: Any = None,
        *,
        split: str | None = None,
        missing: float | None = None,
        problems: str | None = None,
        allow_absent: bool = False,
    ) -> dict[str, Any]:
        """Measure the ensemble, as `Finished.evaluate` does.

        The members were fitted to the validation rows in the end, so the metrics of these are
        those that the search found before.
        """
        if source is None and split == "validation":
            if missing is not None:
                raise ConfigError(
                    "evaluate: the members of a search are fitted to the validation rows in the "
                    "end, so that cells of these cannot be hidden; take the test split"
                )
            found: dict[str, Any] = self.run.result["validation"]
            return found
        return super().evaluate(
            source, split=split, missing=missing, problems=problems, allow_absent=allow_absent
        )
