"""Rows of numbers, booleans, dates and categories as vectors, learned from the training rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from equipoise.checks import choice, integer, require
from equipoise.data.manifest.cells import TYPES, is_type

CUT = 8.0
"""Largest absolute value of a standardised number."""
SKEWED = 1.0
"""Absolute skewness from which a logarithm is tried."""
NORMALISE = ("auto", "fit", "none")
LARGEST = float(np.finfo(np.float32).max)
_DAY = 86_400.0


@dataclass(frozen=True)
class Tabular:
    """Columns of a table as one vector.

    A number is standardised by median and quartiles of the training rows, after a logarithm (of
    the absolute value, with its sign) where that makes it less skewed, and cut at ±8. A gap is the
    median, with an input that says so. A boolean is the number 0 or 1. A date is a number, and a
    point on the circle of the year, the week and the day where these differ between rows. A
    category is an input for each value; of very many values, the less frequent share inputs. Rare
    values and values of new data share one, and a gap has its own, where the training rows have
    such values.

    Attributes:
        types: {column: number, boolean, category, date, or a format such as "date %d.%m.%Y"};
            columns that are left out follow the training rows.
        rare: training rows that a value of a category needs for an input of its own.
        most: largest number of values of a category that have an input of their own.
        shared: number of inputs that the values beyond these share.
        normalise: auto (numbers and booleans as above), fit (by mean and standard deviation of the
            training rows, uncut) or none (as they are; a gap is 0). Dates are always as above.
    """

    types: Mapping[str, str] = field(default_factory=dict)
    rare: int = 5
    most: int = 1000
    shared: int = 64
    normalise: str = "auto"
    follows: ClassVar = frozenset({"types"})
    kind: ClassVar[str] = "tabular"

    def __post_init__(self) -> None:
        named = isinstance(self.types, Mapping) and all(map(is_type, self.types.values()))
        expected = f"a type for each column: {', '.join(TYPES)}, or date and a format"
        require(
            self.kind,
            ("types", named, expected, self.types),
            integer("rare", self.rare, 1),
            integer("most", self.most, 1),
            integer("shared", self.shared, 1),
            choice("normalise", self.normalise, NORMALISE),
        )

    def learn(self, block: np.ndarray) -> dict[str, Any]:
        """Learn how columns become inputs.

        Args:
            block: float64 (n, number of columns), training rows as `CellColumn.numbers` reads them.

        Returns:
            Plain values, from which `Inputs` is made.
        """
        learned: dict[str, Any] = {"numbers": {}, "parts": {}, "vocabulary": {}}
        learned["limit"] = CUT if self.normalise == "auto" else LARGEST
        for values, (column, kind) in zip(_tame(block).T, self.types.items(), strict=True):
            known = values[~np.isnan(values)]
            gaps = len(known) < len(values) or not len(known)
            if kind == "category":
                learned["vocabulary"][column] = self._values(known, gaps=gaps)
                continue
            # Seconds since 1970 are of no use to a network.
            normalise = "auto" if kind.startswith("date") else self.normalise
            learned["numbers"][column] = {**_spread(known, normalise), "gaps": gaps}
            if kind.startswith("date"):
                learned["parts"][column] = [
                    name for name, turn in _TURNS.items() if len(np.unique(turn(known))) > 1
                ]
        return learned

    def _values(self, known: np.ndarray, *, gaps: bool) -> dict[str, Any]:
        """The values of a category that are not rare, as ascending codes, and their inputs."""
        values, counts = np.unique(known, return_counts=True)
        frequent = counts >= self.rare
        kept, counts = values[frequent], counts[frequent]
        places = np.arange(len(kept))
        if len(kept) > self.most:
            by_count = np.argsort(-counts, kind="stable")
            places[np.sort(by_count[: self.most])] = np.arange(self.most)
            beyond = by_count[self.most :]
            places[beyond] = self.most + np.arange(len(beyond)) % self.shared
        return {
            "codes": kept.tolist(),
            "places": places.tolist(),
            "others": len(kept) < len(values),
            "gaps": gaps,
        }

    def remarks(self, learned: Mapping[str, Any]) -> list[str]:
        """A text for each category of so many values that some share inputs."""
        return [
            f"{column}: {len(facts['codes']):,} values, {self.most:,} with an input each, "
            f"the others share {max(facts['places']) + 1 - self.most}"
            for column, facts in learned["vocabulary"].items()
            if len(facts["codes"]) > self.most
        ]


class Inputs:
    """The function that turns rows into vectors.

    Args:
        types: {column: type} in the order of the columns.
        learned: as `Tabular.learn` returns it.

    Attributes:
        width: of a vector.
    """

    def __init__(self, types: Mapping[str, str], learned: Mapping[str, Any]) -> None:
        place = {column: number for number, column in enumerate(types)}
        numbers = learned["numbers"]
        # Runs of earlier versions name no limit.
        self._limit = learned.get("limit", CUT)
        self._numbers = [place[column] for column in numbers]
        self._unit, self._median, self._scale = (
            np.array([facts[name] for facts in numbers.values()], dtype=np.float64)
            for name in ("unit", "median", "scale")
        )
        self._gaps = [place[column] for column, facts in numbers.items() if facts["gaps"]]
        self._turns = [
            (place[column], _TURNS[part])
            for column, parts in learned["parts"].items()
            for part in parts
        ]
        self._categories = [
            (place[column], _OneHot(**facts)) for column, facts in learned["vocabulary"].items()
        ]
        self.width = (
            len(self._numbers)
            + len(self._gaps)
            + 2 * len(self._turns)
            + sum(one_hot.width for _, one_hot in self._categories)
        )

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """float64 (B, number of columns) → float32 (B, width)."""
        block = _tame(block)
        numbers = (_logarithm(block[:, self._numbers], self._unit) - self._median) / self._scale
        parts = [
            # A gap is the median, or the mean, which are 0 here.
            np.nan_to_num(np.clip(numbers, -self._limit, self._limit)),
            np.isnan(block[:, self._gaps]),
        ]
        for place, turn in self._turns:
            angle = 2 * np.pi * turn(block[:, place])
            parts.append(np.nan_to_num(np.stack([np.sin(angle), np.cos(angle)], axis=1)))
        parts += [one_hot(block[:, place]) for place, one_hot in self._categories]
        return np.concatenate(parts, axis=1, dtype=np.float32)


class _OneHot:
    """Inputs for the known values of a category, then one for the others and one for gaps.

    A value without an input is all zeros.
    """

    def __init__(
        self,
        codes: Sequence[float],
        others: bool,
        gaps: bool,
        places: Sequence[int] | None = None,
    ) -> None:
        self.codes = np.array(codes, dtype=np.float64)
        # Runs of earlier versions give each value its own input, in the order of the codes.
        self.places = np.arange(len(codes)) if places is None else np.array(places, dtype=np.int64)
        self.others = others
        inputs = int(self.places.max(initial=-1)) + 1
        self.width = inputs + others + gaps
        # Values without an input count in a last place that is dropped.
        self._other = inputs if others else self.width
        self._gap = self.width - 1 if gaps else self.width

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """(B,) codes → float32 (B, width)."""
        chosen = np.full(len(values), self._other)
        if len(self.codes):
            near = np.searchsorted(self.codes, values).clip(max=len(self.codes) - 1)
            known = self.codes[near] == values
            chosen[known] = self.places[near[known]]
        chosen[np.isnan(values)] = self._gap
        block = np.zeros((len(values), self.width + 1), dtype=np.float32)
        block[np.arange(len(values)), chosen] = 1.0
        return block[:, : self.width]


def _tame(values: np.ndarray) -> np.ndarray:
    """Numbers near the limits of floating point, brought to where no quotient overflows."""
    values = np.clip(values, -1e150, 1e150)
    return np.where(np.abs(values) < 1e-150, 0.0, values)


def _spread(known: np.ndarray, normalise: str) -> dict[str, float]:
    """Unit of the logarithm (0 for none), median, and a scale that outliers do not move.

    With `fit`, mean and standard deviation stand in their places.
    """
    if normalise == "none" or not len(known):
        return {"unit": 0.0, "median": 0.0, "scale": 1.0}
    if normalise == "fit":
        size = np.abs(known).max() or 1.0  # so that no square overflows
        mean, deviation = (known / size).mean(), (known / size).std()
        if deviation <= np.finfo(np.float32).eps * abs(mean):
            deviation = 1.0 / size  # a constant column
        return {"unit": 0.0, "median": float(mean * size), "scale": float(deviation * size)}
    unit = _unit(known)
    values = _logarithm(known, unit)
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    # The quartiles of a normal distribution are 1.349 standard deviations apart. Where more than
    # half of the rows have the same value they are equal.
    scale = (high - low) / 1.349
    if scale <= np.finfo(np.float32).eps * abs(median):
        scale = values.std()
    if scale <= np.finfo(np.float32).eps * np.abs(values).max():
        scale = 1.0  # a constant column
    return {"unit": unit, "median": float(median), "scale": float(scale)}


def _unit(known: np.ndarray) -> float:
    """The unit in which a skewed number's logarithm is taken; 0 where it stays as it is."""
    sizes = np.abs(known[known != 0])
    if not len(sizes) or abs(_skewness(known)) <= SKEWED:
        return 0.0
    unit = float(np.quantile(sizes, 0.1))
    better = abs(_skewness(_logarithm(known, unit))) < abs(_skewness(known))
    return unit if better else 0.0


def _skewness(values: np.ndarray) -> float:
    """The skewness without the outermost hundredths, so that no single outlier decides it."""
    kept = values.clip(*np.quantile(values, [0.01, 0.99]))
    scaled = kept / (np.abs(kept).max() or 1.0)  # so that no power overflows
    centred = scaled - scaled.mean()
    deviation = centred.std()
    return 0.0 if deviation == 0 else float((centred**3).mean() / deviation**3)


def _logarithm(values: np.ndarray, unit: np.ndarray | float) -> np.ndarray:
    """sign(x) · log(1 + |x| / unit); x itself where the unit is 0."""
    taken = np.greater(unit, 0)
    logged = np.sign(values) * np.log1p(np.abs(values) / np.where(taken, unit, 1.0))
    return np.where(taken, logged, values)


def _year(seconds: np.ndarray) -> np.ndarray:
    days = np.floor(seconds / _DAY).astype("timedelta64[D]") + np.datetime64(0, "D")
    since = (days - days.astype("datetime64[Y]")).astype(np.float64)
    return np.where(np.isnan(seconds), np.nan, since / 366)


def _week(seconds: np.ndarray) -> np.ndarray:
    return np.floor(seconds / _DAY) % 7 / 7


def _day(seconds: np.ndarray) -> np.ndarray:
    return seconds % _DAY / _DAY


_TURNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "year": _year,
    "week": _week,
    "day": _day,
}
"""{name: seconds since 1970 to the fraction of the circle}"""
