"""What a comparison runs: methods × seeds under settings they share. It is written down as
`bench.yaml`.

Where the shared settings name several missing rates, the plan is a sweep: a comparison at each of
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from equipoise.comparison.rates import rate_folder, read_rates
from equipoise.configuration.layers import above_preset, make_settings, nest, overlay
from equipoise.errors import ConfigError, RunError
from equipoise.methods import METHODS
from equipoise.settings import IN_MEMORY, Settings

Changes = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One training of a comparison, or of the search before it.

    Attributes:
        choice: which of the grid's choices a training of the search tries; None for a cell of the
            comparison.
        trial: folder of the training of the search that the cell is, where its choice was searched
            for.
    """

    label: str
    seed: int
    settings: Settings
    folder: Path
    choice: int | None = None
    trial: Path | None = None


@dataclass(frozen=True)
class Plan:
    """A comparison.

    Attributes:
        methods: {label: nested changes to the shared settings, with at least a `method`}.
        seeds: every method is trained with each of them.
        shared: nested settings of all cells; a preset among them is spelled out. `data.missing` may
            be a list of rates, see `read_rates`.
        grid: {dotted setting: values}, tried for each method and chosen on validation.
        chosen: {label: {dotted setting: value}}, what the search chose.
    """

    methods: Mapping[str, Changes]
    seeds: tuple[int, ...] = (0, 1, 2)
    shared: Changes = field(default_factory=dict)
    grid: Mapping[str, list[Any]] = field(default_factory=dict)
    chosen: Mapping[str, Changes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shared: Changes = reduce(overlay, above_preset([self.shared]), {})
        object.__setattr__(self, "shared", shared)

    def check(self) -> None:
        """Refuse a plan before anything of it runs.

        Raises:
            ConfigError: no methods or seeds, an unknown name, or a setting that no run would take.
        """
        for rate in self.rates:
            self.at(rate).check()
        if self.rates:
            return
        if not self.methods or not self.seeds:
            raise ConfigError("a comparison needs at least one method and one seed")
        for label in self.methods:
            if not label or label.startswith(".") or "/" in label:
                raise ConfigError(
                    f"label {label!r}: it names a folder, so it cannot hold '/' nor start with '.'"
                )
            data = self.methods[label].get("data")
            source = data.get("source", "") if isinstance(data, Mapping) else data
            if not isinstance(source, str | None):
                raise ConfigError(
                    f"{label!r}: methods are compared on the same data; give them as 'data'"
                )
            for choice in self.choices():
                METHODS[self.settings(label, self.seeds[0], choice).method["name"]]

    @property
    def rates(self) -> tuple[float, ...]:
        """The missing rates of a sweep; none where all cells share one."""
        missing = (self.shared.get("data") or {}).get("missing")
        return read_rates(missing) if isinstance(missing, str | list | tuple) else ()

    def at(self, rate: float) -> Plan:
        """The comparison at one missing rate."""
        return replace(self, shared=overlay(self.shared, {"data": {"missing": rate}}))

    def levels(self, folder: Path) -> dict[Path, Plan]:
        """{folder: comparison}, one for each rate of a sweep; the plan itself if it is none."""
        return {rate_folder(folder, rate): self.at(rate) for rate in self.rates} or {folder: self}

    def settings(self, label: str, seed: int, choice: Mapping[str, Any] | None = None) -> Settings:
        """Settings of one cell, under what was chosen for its method or under another `choice`."""
        choice = self.chosen.get(label, {}) if choice is None else choice
        return make_settings([self.shared, self.methods[label], nest(choice), {"seed": seed}])

    def cells(self, folder: Path) -> Iterator[Cell]:
        """The cells in `folder`, seed by seed, so that every method has a first result early."""
        for seed, label in product(self.seeds, self.methods):
            place = folder / "cells" / label / f"seed-{seed}"
            choices = self.choices()
            searched = self.grid and self.chosen.get(label) in choices
            trial = (
                _trial(folder, label, choices.index(self.chosen[label]), seed) if searched else None
            )
            yield Cell(label, seed, self.settings(label, seed), place, trial=trial)

    def trials(self, folder: Path) -> Iterator[Cell]:
        """The trainings of the search in `folder`: every method under every choice; none without a grid."""
        if self.grid:
            for label, (number, choice), seed in product(
                self.methods, enumerate(self.choices()), self.seeds
            ):
                yield Cell(
                    label,
                    seed,
                    self.settings(label, seed, choice),
                    _trial(folder, label, number, seed),
                    number,
                )

    def choices(self) -> list[dict[str, Any]]:
        """All combinations of the grid; a single empty one without a grid."""
        return [
            dict(zip(self.grid, values, strict=True)) for values in product(*self.grid.values())
        ]

    def joined(self, earlier: Plan) -> Plan:
        """This plan and what else an earlier one put into the same folder.

        Raises:
            RunError: one of the two is a sweep over missing rates, the other is not.
        """
        if bool(self.rates) != bool(earlier.rates):
            held = (
                "a sweep over missing rates"
                if earlier.rates
                else "a comparison at one missing rate"
            )
            raise RunError(f"the folder holds {held} already; choose another --out")
        shared = self.shared
        if self.rates:
            shared = overlay(shared, {"data": {"missing": sorted({*earlier.rates, *self.rates})}})
        return replace(
            self,
            shared=shared,
            methods={**earlier.methods, **self.methods},
            seeds=tuple(sorted({*earlier.seeds, *self.seeds})),
            grid=self.grid or earlier.grid,
            chosen={**earlier.chosen, **self.chosen},
        )

    def to_yaml(self) -> str:
        """The text of a `bench.yaml`, from which `equipoise bench --config` repeats the comparison."""
        values = {
            **_named(self.shared),
            "methods": {label: dict(changes) for label, changes in self.methods.items()},
            "seeds": list(self.seeds),
            "grid": dict(self.grid),
            "chosen": {label: dict(choice) for label, choice in self.chosen.items()},
        }
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)

    def save(self, path: Path) -> None:
        """Write `bench.yaml`.

        Raises:
            RunError: it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.to_yaml(), encoding="utf-8")
        except OSError as error:
            raise RunError(
                f"{path}: cannot write the plan ({error.strerror}); choose another --out"
            ) from None


def _trial(folder: Path, label: str, number: int, seed: int) -> Path:
    return folder / "search" / label / f"choice-{number}" / f"seed-{seed}"


def _named(shared: Changes) -> Changes:
    """Data that were handed over in Python cannot be written down, only named."""
    data = shared.get("data")
    if not isinstance(data, dict) or isinstance(data.get("source", ""), str):
        return shared
    return {**shared, "data": {**data, "source": IN_MEMORY}}
