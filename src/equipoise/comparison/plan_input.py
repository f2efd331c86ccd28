"""Read the parts of a plan from what users write: methods, seeds, grids and bench files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from equipoise.comparison.plan import Changes, Plan
from equipoise.configuration.layers import PRESET, nest
from equipoise.errors import ConfigError
from equipoise.methods import METHODS
from equipoise.settings import parse_yaml, read_yaml

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


def plan_from(values: Mapping[str, Any], **above: Any) -> Plan:
    """A plan from the content of a bench file.

    Args:
        values: nested settings of all cells, and `methods`, `seeds`, `grid` and `chosen`.
        **above: `methods`, `seeds` or `grid` that take precedence where they are given.

    Raises:
        ConfigError: a part cannot be read.
    """
    shared = dict(values)
    own = {key: shared.pop(key, None) for key in ("methods", "seeds", "grid", "chosen")}
    own |= {key: value for key, value in above.items() if value}
    return Plan(
        methods=read_methods(own["methods"] or "all"),
        seeds=read_seeds(3 if own["seeds"] is None else own["seeds"]),
        shared=shared,
        grid=read_grid(own["grid"] or {}),
        chosen=own["chosen"] or {},
    )


def read_methods(value: str | Iterable[str] | Mapping[str, Any]) -> dict[str, Changes]:
    """{label: changes} from `all`, a comma-separated list, a list, or the mapping of a bench file.

    Raises:
        ConfigError: an item cannot be read, or two have the same label.
    """
    if isinstance(value, Mapping):
        return {str(label): nest(_as_changes(label, changes)) for label, changes in value.items()}
    items = [item.strip() for item in value.split(",")] if isinstance(value, str) else list(value)
    found: dict[str, Changes] = {}
    for item in METHODS.names() if items == ["all"] else items:
        label, changes = method_changes(item)
        if label in found:
            raise ConfigError(f"two methods are called {label!r}; tell them apart with label=name")
        found[label] = changes
    return found


def method_changes(item: str) -> tuple[str, Changes]:
    """(label, changes) of one item of `--methods`.

    An item is a name or a settings file, with or without `label=` before it. The data, preset and
    seed of a file are left out, because all methods of a comparison share them.

    Raises:
        ConfigError: unknown method, or unreadable file.
    """
    label, equals, what = item.partition("=")
    what = what if equals else item
    if what.endswith((".yaml", ".yml")):
        changes = nest(read_yaml(Path(what)))
        kept = {key: value for key, value in changes.items() if key not in ("data", PRESET, "seed")}
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
            f"methods.{label} must be a method or a mapping of settings, found {changes!r}"
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
        seeds = tuple(range(value)) if isinstance(value, int) else tuple(int(v) for v in value)
    except (TypeError, ValueError):
        raise ConfigError(
            f"seeds must be a number of seeds or a list such as 0,1,2, found {value!r}"
        ) from None
    if not seeds:
        raise ConfigError(f"seeds: {value!r} asks for none; 1 is seed 0 alone, 0,1,2 is a list")
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds must be different and at least 0, found {value!r}")
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
        raise ConfigError(f"grid: cannot read the values of {name!r}, found {values!r}") from None
