"""The leaderboard: results of several methods and seeds, as mean ± standard deviation.

The report's page and tables, the terminal, `--json` and pandas all read a `Board`, so that each
number is computed in one place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from equipoise.evaluation.metrics import absent_fraction
from equipoise.evaluation.statistics import mean_and_std
from equipoise.settings import SMALLER_IS_BETTER

if TYPE_CHECKING:
    import pandas as pd

Result = Mapping[str, Any]
"""The content of a `result.json`."""

METRIC_TITLES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "mean_average_precision": "mAP",
    "auroc": "AUROC",
    "log_loss": "log-loss",
    "calibration_error": "calibration error",
}

GAP = "gap"
"""The largest difference between the accuracies of two modalities, beside the metrics above."""

OF_MODALITIES = ("accuracy", "macro_f1", "mean_average_precision")
"""The metrics of each modality that page and tables show."""


@dataclass(frozen=True)
class Score:
    """One number of the board.

    Attributes:
        mean: over seeds; None where nothing was measured.
        deviation: sample standard deviation over seeds; None with fewer than two.
        place: 1 for the best of its column, 2 for the second, else 0.
        percent: False for a log-loss, which is in nats.
    """

    mean: float | None = None
    deviation: float | None = None
    place: int = 0
    percent: bool = True

    def text(self) -> str:
        """In percent, as "81.2 ± 0.4"; a log-loss as "0.431 ± 0.012"."""
        if self.mean is None:
            return "–"
        mean = self._number(self.mean)
        return mean if self.deviation is None else f"{mean} ± {self._number(self.deviation)}"

    def _number(self, value: float) -> str:
        return f"{100 * value:.1f}" if self.percent else f"{value:.3f}"


@dataclass(frozen=True)
class BoardColumn:
    """The content of a column of the board.

    Attributes:
        title: heading.
        part: "fused" or a modality.
        metric: a key of `METRIC_TITLES`, or `GAP`.
        rate: missing rate, on the board of a sweep.
    """

    title: str
    part: str = "fused"
    metric: str = "accuracy"
    rate: float | None = None


class Board:
    """The results of one comparison, or of a sweep over missing rates, side by side.

    Results are those of the test split, or of validation where a run has no test samples.

    Args:
        results: of finished runs; for a sweep {missing rate: results}. Methods and modalities are
            shown in the order in which they first appear.
    """

    def __init__(self, results: Iterable[Result] | Mapping[float, Iterable[Result]]) -> None:
        self.rates: tuple[float, ...] = ()
        self._levels: dict[float | None, list[Result]]
        if isinstance(results, Mapping):
            self.rates = tuple(results)
            self._levels = {rate: list(found) for rate, found in results.items()}
        else:
            self._levels = {None: list(results)}
        self._rows: dict[tuple[float | None, str], list[Result]] = {}
        for rate, found in self._levels.items():
            for result in found:
                self._rows.setdefault((rate, result["label"]), []).append(result)
        self.methods = list(dict.fromkeys(label for _, label in self._rows))
        modalities = (m for found in self._rows.values() for m in found[0]["modalities"])
        self.modalities = list(dict.fromkeys(modalities))

    def seeds(self, method: str) -> int:
        """Number of seeds of a method's finished runs; in a sweep, at the rate with the most."""
        of_method = [found for (_, label), found in self._rows.items() if label == method]
        return max(len(found) // len(_folds(found)) for found in of_method)

    @property
    def repeats(self) -> str:
        """What means and standard deviations are taken over, in words."""
        folds = max(len(_folds(found)) for found in self._rows.values())
        return f"{folds} folds and all seeds" if folds > 1 else "seeds"

    def score(
        self,
        method: str,
        part: str = "fused",
        metric: str = "accuracy",
        *,
        rate: float | None = None,
        split: str | None = None,
    ) -> Score:
        """Mean and standard deviation over the seeds of a method.

        Args:
            method: label.
            part: "fused" or a modality.
            metric: a key of `METRIC_TITLES`, or `GAP`, which is of all modalities.
            rate: missing rate, on the board of a sweep.
            split: "validation"; the reported split by default.
        """
        values = []
        for result in self._rows.get((rate, method), []):
            measured = result[split] if split else reported(result)
            value = gap_of(measured) if metric == GAP else metrics_of(measured, part).get(metric)
            if value is not None:
                values.append(float(value))
        percent = metric != "log_loss"
        return Score(*mean_and_std(values), percent=percent) if values else Score()

    def absent(self, rate: float) -> float | None:
        """Mean fraction of (sample, modality) cells that are absent from the reported split."""
        found = self._levels[rate]
        return fmean(absent_fraction(reported(r)) or 0.0 for r in found) if found else None

    def columns(self) -> list[BoardColumn]:
        """The columns of page and tables.

        They are the accuracy of the fused prediction and of each modality with the gap between
        these, then the other metrics of both; of a sweep, the fused accuracy at each rate.
        """
        if self.rates:
            return [BoardColumn(f"missing {rate:g}", rate=rate) for rate in self.rates]
        fused = [
            BoardColumn(f"fused {title}", metric=metric) for metric, title in METRIC_TITLES.items()
        ]
        alone = [
            BoardColumn(f"{m} {METRIC_TITLES[metric]}", part=m, metric=metric)
            for metric in OF_MODALITIES
            for m in self.modalities
        ]
        gap = [BoardColumn("GAP", metric=GAP)] if len(self.modalities) > 1 else []
        columns = [*fused, *alone]
        # The sort keeps the order otherwise; what readers look for first is seen without scrolling.
        columns.sort(key=lambda column: column.metric != "accuracy")
        after = 1 + len(self.modalities)
        return [*columns[:after], *gap, *columns[after:]]

    def rows(self) -> dict[str, list[Score]]:
        """{method: a score for each of `columns`}, with places."""
        rows: dict[str, list[Score]] = {method: [] for method in self.methods}
        for column in self.columns():
            scores = [
                self.score(method, column.part, column.metric, rate=column.rate)
                for method in self.methods
            ]
            smaller = column.metric in SMALLER_IS_BETTER or column.metric == GAP
            places = _places([s.mean for s in scores], smaller)
            for method, score, place in zip(self.methods, scores, places, strict=True):
                rows[method].append(replace(score, place=place))
        return rows

    def to_json(self) -> list[Result] | dict[float, list[Result]]:
        """The results themselves: every number of the board can be computed from them."""
        if self.rates:
            return {rate: self._levels[rate] for rate in self.rates}
        return self._levels[None]

    def to_frame(self) -> pd.DataFrame:
        """Accuracy as a table: a row per method, or per method and missing rate.

        The columns are ("fused" or a modality, "mean" or "std"), and those of the gap between the
        modalities and of macro-F1 and mAP, as ("GAP", "mean") and ("fused mAP", "mean"). What was
        not measured is NaN.
        """
        import pandas as pd

        parts = ("fused", *self.modalities)
        named = {part: (part, "accuracy") for part in parts}
        if len(self.modalities) > 1:
            named["GAP"] = ("fused", GAP)
        for metric in OF_MODALITIES[1:]:
            named |= {f"{part} {METRIC_TITLES[metric]}": (part, metric) for part in parts}
        keys: list[Any] = []
        rows = []
        for rate, method in self._rows:
            keys.append((method, rate) if self.rates else method)
            scores = [self.score(method, *measure, rate=rate) for measure in named.values()]
            numbers = [number for score in scores for number in (score.mean, score.deviation)]
            rows.append([math.nan if number is None else number for number in numbers])
        columns = pd.MultiIndex.from_product([named, ("mean", "std")])
        if self.rates:
            index: pd.Index = pd.MultiIndex.from_tuples(keys, names=["method", "missing"])
        else:
            index = pd.Index(keys, name="method")
        return pd.DataFrame(rows, index=index, columns=columns)


def _folds(results: Iterable[Result]) -> set[int]:
    """The folds that some runs were tested on; a single one where there are none."""
    return {result.get("fold", 0) for result in results}


def reported(result: Result) -> Mapping[str, Any]:
    """The metrics of the test split, or of validation where the run has no test samples."""
    measured: Mapping[str, Any] = result.get("test", result["validation"])
    return measured


def metrics_of(measured: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    """Metrics of "fused" or of a modality; empty for a modality that the run did not have."""
    found: Mapping[str, Any]
    found = measured["fused"] if part == "fused" else measured["modalities"].get(part, {})
    return found


def gap_of(measured: Mapping[str, Any]) -> float | None:
    """The largest difference between the accuracies of two modalities.

    Args:
        measured: the metrics of a split.

    Returns:
        The difference; None where fewer than two modalities were measured.
    """
    found = [values.get("accuracy") for values in measured["modalities"].values()]
    known = [float(value) for value in found if value is not None]
    return max(known) - min(known) if len(known) > 1 else None


def _places(means: Sequence[float | None], lower_is_better: bool) -> list[int]:
    """1 for the best value, 2 for the second, 0 for the others; values that print alike tie."""
    printed = [None if m is None else round(100 * m, 1) for m in means]
    known = [m for m in printed if m is not None]
    if len(known) < 2:  # a single method has nothing to win
        return [0] * len(means)
    best = sorted(set(known), reverse=not lower_is_better)[:2]
    return [best.index(m) + 1 if m in best else 0 for m in printed]
