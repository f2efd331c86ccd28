"""What users write, as the parts of a plan: methods, seeds, grids, bench files."""

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
    *(
        "method.*",
        "head",
        "head.*",
        "encoder.*",
        "width",
        "optimiser.*",
        "epochs",
        "batch_size",
        "patience",
    ),
    *("data.holdout", "data.options.*.*"),
)
"""What a grid may hold: how a network is built and trained, and how an input is transformed.
Neither what is compared (methods, seeds) nor what they are measured on, so that all choices are
scored on the same validation samples."""


def method_changes(item: str) -> tuple[str, Changes]:
    """(label, changes) of one item of `--methods`: a name, a settings file, or either after
    `label=`.

    A file's data, preset and seed are left out: a comparison is on the data, inputs and seeds of
    all.

    Raises:
        ConfigError: unknown method, or unreadable file.
    """
    label, equals, what = item.partition("=")
    what = what if equals else item
    if what.endswith((".yaml", ".yml")):
        changes = nest(read_yaml(Path(what)))
        kept = {key: value for key, value in changes.items() if key not in ("data", PRESET, "seed")}
        return (label if equals else Path(what).stem), kept
    METHODS[what]
    return label, {"method": {"name": what}}


def read_methods(value: str | Iterable[str] | Mapping[str, Any]) -> dict[str, Changes]:
    """{label: changes} from `all`, a comma-separated list, a list, or the mapping of a bench file.

    Raises:
        ConfigError: an item cannot be read, or two have the same label.
    """
    if isinstance(value, Mapping):
        return {str(label): nest(_mapping(label, changes)) for label, changes in value.items()}
    items = [item.strip() for item in value.split(",")] if isinstance(value, str) else list(value)
    found: dict[str, Changes] = {}
    for item in METHODS.names() if items == ["all"] else items:
        label, changes = method_changes(item)
        if label in found:
            raise ConfigError(f"two methods are called {label!r}; tell them apart with label=name")
        found[label] = changes
    return found


def read_seeds(value: str | int | Iterable[int]) -> tuple[int, ...]:
    """Seeds from "0,1,2", a list, or their number.

    Raises:
        ConfigError: neither of these.
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


def _mapping(label: str, changes: Any) -> Changes:
    if changes is None:
        return {"method": label}
    if isinstance(changes, str):
        return {"method": changes}
    if not isinstance(changes, Mapping):
        raise ConfigError(
            f"methods.{label} must be a method or a mapping of settings, found {changes!r}"
        )
    return (
        {"method": label, **changes}
        if "method" not in changes and label in METHODS
        else dict(changes)
    )


def plan_from(values: Mapping[str, Any], **above: Any) -> Plan:
    """A plan from the content of a bench file: settings shared by all cells, and `methods`, `seeds`
    and `grid`.

    Args:
        values: nested settings with the plan's own keys.
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


def read_grid(items: Iterable[str] | Mapping[str, Any]) -> dict[str, list[Any]]:
    """{dotted setting: values} from `name=value,value` items or a mapping.

    Raises:
        ConfigError: an item without values, a setting given twice, or one that is no
            hyperparameter.
    """
    pairs = (
        [(str(k), v) for k, v in items.items()]
        if isinstance(items, Mapping)
        else map(_grid_item, items)
    )
    found: dict[str, list[Any]] = {}
    for name, values in pairs:
        if not isinstance(values, list) or not values:
            raise ConfigError(f"grid: {name!r} needs values, such as {name}=0.01,0.1")
        if name in found:
            raise ConfigError(
                f"grid: {name!r} is given twice; give all its values at once, {name}=0.01,0.1"
            )
        if name == "method.name" or not any(
            fnmatchcase(name, pattern) for pattern in HYPERPARAMETERS
        ):
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
