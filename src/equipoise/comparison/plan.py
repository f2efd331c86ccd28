"""The plan of a comparison: methods × seeds, under settings that all of them share.

It is written to the folder of the comparison as `bench.yaml`. Where the shared settings name
several missing rates, the plan is a sweep: one comparison at each rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import product
from pathlib import Path
from typing import Any

from equipoise.comparison.rates import rate_folder, read_rates
from equipoise.configuration.layers import above_preset, make_settings, nest, overlay
from equipoise.data.locate import is_built_in
from equipoise.errors import ConfigError, RunError, shown
from equipoise.methods import METHODS
from equipoise.settings import IN_MEMORY, Settings
from equipoise.yaml_text import dump_yaml

Changes = dict[str, Any]
"""Nested settings that are laid over others."""


SAME_DATA = ("source", "label", "split", "group", "id", "validation", "test", "seed")
"""The settings of the data that decide which samples a method is measured on."""


@dataclass(frozen=True)
class Cell:
    """One training of a comparison, or one trial of the search before it.

    Attributes:
        label: name of the method in tables and folders.
        seed: of the training.
        settings: complete.
        folder: of the run.
        fold: number of the fold that it is tested on; None where the plan has no folds.
        choice: number of the grid's choice that a trial tries; None for a cell of the comparison.
        trial: folder of the trial with the settings of this cell, where they were searched for.
    """

    label: str
    seed: int
    settings: Settings
    folder: Path
    choice: int | None = None
    trial: Path | None = None
    fold: int | None = None


@dataclass(frozen=True)
class Plan:
    """A comparison.

    Attributes:
        methods: {label: nested changes to the shared settings, with at least a `method`}.
        seeds: every method is trained with each of them.
        shared: nested settings of all cells; a preset among them is replaced by its settings.
            `data.missing` may be a list of rates, see `read_rates`.
        grid: {dotted setting: values}, tried for each method and chosen on validation.
        chosen: {label: {dotted setting: value}}, what the search chose.
        folds: every method and seed is trained once for each fold, which is its test split; 0 for
            one test split.
    """

    methods: Mapping[str, Changes]
    seeds: tuple[int, ...] = (0, 1, 2)
    shared: Changes = field(default_factory=dict)
    grid: Mapping[str, list[Any]] = field(default_factory=dict)
    chosen: Mapping[str, Changes] = field(default_factory=dict)
    folds: int = 0

    def __post_init__(self) -> None:
        # bench.yaml holds the settings themselves: a preset may change between two versions.
        shared: Changes = reduce(overlay, above_preset([self.shared]), {})
        object.__setattr__(self, "shared", shared)

    def check(self) -> None:
        """Refuse a wrong plan before any part of it runs.

        Raises:
            ConfigError: no methods or seeds, an unknown name, or a setting that no run would take.
        """
        for rate in self.rates:
            self.at(rate).check()
        if self.rates:
            return
        if not self.methods or not self.seeds:
            raise ConfigError("a comparison needs at least one method and one seed")
        source = (self.shared.get("data") or {}).get("source")
        if self.folds and is_built_in(source):
            raise ConfigError(
                f"{source}: a built-in data set draws its own splits; folds are for tables of "
                "your own"
            )
        if self.folds and self.grid:
            raise ConfigError(
                "folds: a grid would choose settings on samples that another fold is tested on; "
                "leave out one of the two"
            )
        for label in self.methods:
            self._check_method(label)
        self._check_same_data()

    def _check_same_data(self) -> None:
        """Refuse methods that would be measured on different samples."""
        first, *others = self.methods
        data = self.settings(first, self.seeds[0], {}).data
        for label in others:
            own = self.settings(label, self.seeds[0], {}).data
            for name in SAME_DATA:
                held = getattr(data, name)
                other = getattr(own, name)
                if held is not other and held != other:
                    raise ConfigError(
                        f"{first!r} and {label!r} have different data (data.{name} is "
                        f"{shown(held)} and {shown(other)}); methods are compared on the same "
                        "data: give it once for all, or compare in two commands"
                    )

    def _check_method(self, label: str) -> None:
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
        """The missing rates of a sweep; empty where all cells share one rate."""
        missing = (self.shared.get("data") or {}).get("missing")
        return read_rates(missing) if isinstance(missing, str | list | tuple) else ()

    def at(self, rate: float) -> Plan:
        """The comparison at one missing rate."""
        return replace(self, shared=overlay(self.shared, {"data": {"missing": rate}}))

    def levels(self, folder: Path) -> dict[Path, Plan]:
        """{folder: comparison}: one for each rate of a sweep, else only the plan itself."""
        return {rate_folder(folder, rate): self.at(rate) for rate in self.rates} or {folder: self}

    def settings(
        self,
        label: str,
        seed: int,
        choice: Mapping[str, Any] | None = None,
        fold: int | None = None,
    ) -> Settings:
        """Settings of one cell, with the chosen values of its method or with another `choice`."""
        choice = self.chosen.get(label, {}) if choice is None else choice
        own: Changes = {"seed": seed}
        if self.folds:
            own["data"] = {"folds": self.folds, "fold": fold or 0}
        return make_settings([self.shared, self.methods[label], nest(choice), own])

    def cells(self, folder: Path) -> Iterator[Cell]:
        """The cells in `folder`, seed by seed, so that every method has a first result early."""
        choices = self.choices()
        folds = range(self.folds) if self.folds else (None,)
        for seed, fold, label in product(self.seeds, folds, self.methods):
            trial = None
            if self.grid and self.chosen.get(label) in choices:
                trial = _trial_folder(folder, label, choices.index(self.chosen[label]), seed)
            name = f"seed-{seed}" if fold is None else f"seed-{seed}-fold-{fold}"
            place = folder / "cells" / label / name
            settings = self.settings(label, seed, fold=fold)
            yield Cell(label, seed, settings, place, trial=trial, fold=fold)

    def trials(self, folder: Path) -> Iterator[Cell]:
        """The trials in `folder`: every method with every choice and seed; none without a grid."""
        if not self.grid:
            return
        choices = enumerate(self.choices())
        for label, (number, choice), seed in product(self.methods, choices, self.seeds):
            place = _trial_folder(folder, label, number, seed)
            yield Cell(label, seed, self.settings(label, seed, choice), place, number)

    def choices(self) -> list[dict[str, Any]]:
        """All combinations of the grid; a single empty one without a grid."""
        return [
            dict(zip(self.grid, values, strict=True)) for values in product(*self.grid.values())
        ]

    def joined(self, earlier: Plan) -> Plan:
        """This plan together with an earlier one of the same folder.

        Methods, seeds and rates of both are kept. Where both name a method, this plan wins; that
        its settings agree with what was trained is checked cell by cell (`check_settings`).

        Raises:
            RunError: one is a sweep over missing rates and the other is not, or the folds differ.
        """
        if bool(self.rates) != bool(earlier.rates):
            held = (
                "a sweep over missing rates"
                if earlier.rates
                else "a comparison at one missing rate"
            )
            raise RunError(f"the folder holds {held} already; choose another --out")
        if self.folds != earlier.folds:
            made = f"over {earlier.folds} folds" if earlier.folds else "without folds"
            raise RunError(f"the folder holds a comparison {made} already; choose another --out")
        shared = self.shared
        if self.rates:
            rates = sorted({*earlier.rates, *self.rates})
            shared = overlay(shared, {"data": {"missing": rates}})
        return replace(
            self,
            shared=shared,
            methods={**earlier.methods, **self.methods},
            seeds=tuple(sorted({*earlier.seeds, *self.seeds})),
            grid=self.grid or earlier.grid,
            chosen={**earlier.chosen, **self.chosen},
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `bench.yaml` holds them; `plan_from` reads them back."""
        return {
            **_writable(self.shared),
            "methods": {label: dict(changes) for label, changes in self.methods.items()},
            "seeds": list(self.seeds),
            **({"folds": self.folds} if self.folds else {}),
            "grid": dict(self.grid),
            "chosen": {label: dict(choice) for label, choice in self.chosen.items()},
        }

    def to_yaml(self) -> str:
        """The text of a `bench.yaml`; `equipoise bench --config` repeats the comparison from it."""
        return dump_yaml(self.to_dict())

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


def _trial_folder(folder: Path, label: str, number: int, seed: int) -> Path:
    return folder / "search" / label / f"choice-{number}" / f"seed-{seed}"


def _writable(shared: Changes) -> Changes:
    """The shared settings as YAML can hold them; a DataFrame is only named."""
    data = shared.get("data")
    if not isinstance(data, dict) or isinstance(data.get("source", ""), str):
        return shared
    return {**shared, "data": {**data, "source": IN_MEMORY}}
