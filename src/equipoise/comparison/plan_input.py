"""Read the parts of a plan from what users write: methods, seeds, grids and bench files."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from operator import index
from pathlib import Path
from typing import Any, cast

import yaml

from equipoise.comparison.plan import Changes, Plan
from equipoise.configuration.layers import PRESET, nest, overlay
from equipoise.errors import ConfigError, shown
from equipoise.methods import METHODS
from equipoise.registry import MethodEntry
from equipoise.settings import MOST_SEED, require_trust
from equipoise.yaml_text import parse_yaml, read_yaml

MOST_SEEDS = 1000
"""The largest number of seeds; more are a seed that was meant as such."""

HYPERPARAMETERS = (
    "method.*",
    "head",
    "head.*",
    "encoder.*",
    "width",
    "optimiser.*",
    "epochs",
    "batch_size",
    "patience",
    "data.holdout",
    "data.options.*.*",
)
"""The settings that a grid may hold: how a network is built and trained, and how an input is
transformed. It cannot hold what is compared (methods, seeds), nor the data that methods are
measured on, so that all choices are scored on the same validation samples."""


OWN_DATA = ("options", "holdout")
"""The settings of the data that a settings file among the methods keeps for its own label: how an
input is transformed. All others become settings of the whole comparison."""


def plan_from(
    values: Mapping[str, Any],
    *,
    methods: str | Iterable[str] | Mapping[str, Any] | None = None,
    seeds: str | int | Iterable[int] | None = None,
    grid: Iterable[str] | Mapping[str, Any] | None = None,
    folds: int | None = None,
    trust: bool = False,
) -> Plan:
    """A plan from the content of a bench file.

    Args:
        values: nested settings of all cells, and `methods`, `seeds`, `grid` and `chosen`.
        methods: take precedence over those of the file, as `seeds` and `grid` do.
        seeds: a list, or how many.
        grid: values to choose from.
        folds: number of folds; 0 for one test split.
        trust: settings files among the methods may import code.

    Raises:
        ConfigError: a part cannot be read, no method is named, settings files are for different
            data, or one imports code and is not trusted.
    """
    shared = dict(values)
    own = {key: shared.pop(key, None) for key in ("methods", "seeds", "grid", "chosen", "folds")}
    given = {"methods": methods, "seeds": seeds, "grid": grid, "folds": folds}
    own |= {key: value for key, value in given.items() if value is not None}
    chosen_seeds = read_seeds(3 if own["seeds"] is None else own["seeds"])
    if own["methods"] is None:
        raise ConfigError(_which_methods(len(chosen_seeds)))
    read = read_methods(own["methods"], trust=trust)
    if not isinstance(own["methods"], Mapping):
        read, shared = _share_data(read, shared)
    _check_presets(read, shared)
    if not isinstance(own["methods"], Mapping):
        _point_out_presets(read, shared)
    if not isinstance(own["chosen"] or {}, Mapping):
        raise ConfigError(f"'chosen' must be a mapping, found {shown(own['chosen'])}")
    return Plan(
        methods=read,
        seeds=chosen_seeds,
        shared=shared,
        grid=read_grid(own["grid"] or {}),
        chosen=own["chosen"] or {},
        folds=_read_folds(own["folds"]),
    )


def _read_folds(value: Any) -> int:
    """The number of folds; 0 for none.

    Raises:
        ConfigError: it is 1, negative or no integer.
    """
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0 or value == 1:
        raise ConfigError(f"folds must be 0 or an integer of at least 2, found {shown(value)}")
    return value


def _which_methods(seeds: int) -> str:
    """The refusal of a comparison that names no method: all of them are too many to start."""
    count = sum(not cast(MethodEntry, METHODS[name]).left_out for name in METHODS.names())
    return (
        "name the methods to compare: --methods joint,mla,lfm,mie for a first look; --methods all "
        f"for all {count} ({count * seeds} trainings with {seeds} seeds); or recipes, --methods "
        "recipes/crema-d/mie.yaml,recipes/crema-d/mla.yaml"
    )


def _share_data(
    methods: Mapping[str, Changes], shared: Changes
) -> tuple[dict[str, Changes], Changes]:
    """Move the data of settings files into the settings that all methods share.

    The user's own settings take precedence: a recipe says where its data usually are, and the user
    where they are on this machine.

    Raises:
        ConfigError: two files are for different data, and the user does not say which.
    """
    given = _as_mapping(shared.get("data"))
    found: dict[str, tuple[str, Any]] = {}
    left: dict[str, Changes] = {}
    for label, changes in methods.items():
        data = _as_mapping(changes.get("data"))
        for name in [name for name in data if name not in (*OWN_DATA, *given)]:
            first, value = found.setdefault(name, (label, data[name]))
            if value != data[name]:
                raise ConfigError(
                    f"{first!r} and {label!r} are for different data (data.{name} is "
                    f"{shown(value)} and {shown(data[name])}); methods are compared on the same "
                    f"data: give --data.{name} for all, or compare in two commands"
                )
        kept = {name: value for name, value in data.items() if name in OWN_DATA}
        rest = {name: value for name, value in changes.items() if name != "data"}
        left[label] = {**rest, "data": kept} if kept else rest
    moved = {name: value for name, (_, value) in found.items()}
    return left, overlay({"data": moved}, shared) if moved else shared


def _as_mapping(data: Any) -> Mapping[str, Any]:
    """The settings of the data, for which a user may write the bare source."""
    if data is None:
        return {}
    return data if isinstance(data, Mapping) else {"source": data}


def _check_presets(methods: Mapping[str, Changes], shared: Changes) -> None:
    """Refuse a method that has another preset than the comparison.

    Raises:
        ConfigError: there is one. One preset would be laid over the
            other, which makes the settings of neither.
    """
    common = shared.get(PRESET)
    for label, changes in methods.items():
        preset = changes.get(PRESET, common)
        if common is not None and preset not in (None, common):
            raise ConfigError(
                f"{label!r} has the preset {preset!r}, and the comparison has {common!r}; leave "
                "out --preset, or take the preset out of the file"
            )


def _point_out_presets(methods: Mapping[str, Changes], shared: Changes) -> None:
    """Warn where settings files among the methods do not all have one preset."""
    named = {label: c[PRESET] for label, c in methods.items() if c.get(PRESET) is not None}
    if len(set(named.values())) > 1:
        warnings.warn(
            "the methods have different presets, so that their inputs and encoders may differ: "
            + ", ".join(f"{label} {preset}" for label, preset in named.items()),
            stacklevel=2,
        )
    bare = [label for label in methods if label not in named]
    if named and bare and shared.get(PRESET) is None:
        label, preset = next(iter(named.items()))
        warnings.warn(
            f"{label!r} has the preset {preset!r} and {bare[0]!r} has none, so that their inputs "
            f"and encoders may differ; add --preset {preset} to compare them alike",
            stacklevel=2,
        )


def read_methods(
    value: str | Iterable[str] | Mapping[str, Any], *, trust: bool = False
) -> dict[str, Changes]:
    """{label: changes} from `all`, a comma-separated list, a list, or the mapping of a bench file.

    `all` leaves out methods whose rows would say nothing, and warns of it.

    Raises:
        ConfigError: an item cannot be read, or two have the same label.
    """
    if isinstance(value, Mapping):
        return {str(label): nest(_as_changes(label, changes)) for label, changes in value.items()}
    if isinstance(value, str):
        items = [item.strip() for item in value.split(",")]
    elif isinstance(value, Iterable):
        items = list(value)
    else:
        raise ConfigError(f"methods must be names or a mapping, found {shown(value)}")
    found: dict[str, Changes] = {}
    for item in _all_methods() if items == ["all"] else items:
        if not isinstance(item, str):
            raise ConfigError(f"methods: {shown(item)} is no name of a method")
        label, changes = method_changes(item, trust=trust)
        if label in found:
            raise ConfigError(f"two methods are called {label!r}; tell them apart with label=name")
        found[label] = changes
    return found


def _all_methods() -> list[str]:
    """The names that `all` stands for."""
    left_out = {name: cast(MethodEntry, METHODS[name]).left_out for name in METHODS.names()}
    reasons = ", ".join(f"{name} ({why})" for name, why in left_out.items() if why)
    if reasons:
        warnings.warn(f"all methods but {reasons}; name these to include them", stacklevel=3)
    return [name for name, why in left_out.items() if not why]


def method_changes(item: str, *, trust: bool = False) -> tuple[str, Changes]:
    """(label, changes) of one item of `--methods`.

    An item is a name or a settings file, with or without `label=` before it. The seed of a file is
    left out, because all methods of a comparison are trained with the same seeds.

    Raises:
        ConfigError: unknown method, unreadable file, or one that imports code and is not trusted.
    """
    label, equals, what = item.partition("=")
    what = what if equals else item
    if what.endswith((".yaml", ".yml")):
        values = read_yaml(Path(what))
        require_trust(values, what, trust)
        kept = {key: value for key, value in nest(values).items() if key != "seed"}
        return (label if equals else Path(what).stem), kept
    METHODS[what]  # refuses an unknown name
    return label, {"method": {"name": what}}


def _as_changes(label: str, changes: Any) -> Changes:
    """One entry of the `methods` mapping of a bench file."""
    if changes is None:
        return {"method": label}
    if isinstance(changes, str):
        return {"method": changes}
    if not isinstance(changes, Mapping):
        raise ConfigError(
            f"methods.{label} must be a method or a mapping of settings, found {shown(changes)}"
        )
    if "method" not in changes and label in METHODS:
        return {"method": label, **changes}
    return dict(changes)


def read_seeds(value: str | int | Iterable[int]) -> tuple[int, ...]:
    """Seeds from "0,1,2", a list, or their number.

    Raises:
        ConfigError: none of these, or an empty, repeated or negative seed.
    """
    try:
        if isinstance(value, str):
            value = [int(v) for v in value.split(",")] if "," in value else int(value)
        if isinstance(value, int) and value > MOST_SEEDS:
            raise ConfigError(
                f"seeds: {shown(value)} asks for that many trainings of each method, and "
                f"{MOST_SEEDS} is the most; a list such as 0,1,2 names the seeds themselves"
            )
        seeds = tuple(range(value)) if isinstance(value, int) else tuple(map(index, value))
    except (TypeError, ValueError):
        raise ConfigError(
            f"seeds must be a number of seeds or a list such as 0,1,2, found {shown(value)}"
        ) from None
    if not seeds:
        raise ConfigError(
            f"seeds: {shown(value)} asks for none; 1 is seed 0 alone, 0,1,2 is a list"
        )
    if min(seeds) < 0 or max(seeds) > MOST_SEED or len(set(seeds)) < len(seeds):
        raise ConfigError(
            f"seeds must be different, at least 0 and below 2**63, found {shown(value)}"
        )
    return seeds


def read_grid(items: Iterable[str] | Mapping[str, Any]) -> dict[str, list[Any]]:
    """{dotted setting: values} from a mapping or from items such as `optimiser.lr=0.01,0.1`.

    Raises:
        ConfigError: an item without values, a setting given twice, or one that is no
            hyperparameter.
    """
    if isinstance(items, Mapping):
        pairs = [(str(name), values) for name, values in items.items()]
    else:
        pairs = [_grid_item(item) for item in items]
    found: dict[str, list[Any]] = {}
    for name, values in pairs:
        if not isinstance(values, list) or not values:
            raise ConfigError(f"grid: {name!r} needs values, such as {name}=0.01,0.1")
        if name in found:
            raise ConfigError(
                f"grid: {name!r} is given twice; give all its values at once, {name}=0.01,0.1"
            )
        allowed = any(fnmatchcase(name, pattern) for pattern in HYPERPARAMETERS)
        if name == "method.name" or not allowed:
            raise ConfigError(
                f"grid: {name!r} is no hyperparameter; it takes {', '.join(HYPERPARAMETERS)}"
            )
        found[name] = values
    return found


def _grid_item(item: str) -> tuple[str, Any]:
    name, _, values = item.partition("=")
    try:
        return name, parse_yaml(f"[{values}]")
    except yaml.YAMLError:
        raise ConfigError(
            f"grid: cannot read the values of {name!r}, found {shown(values)}"
        ) from None
