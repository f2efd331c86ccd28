"""What users write, as the parts of a plan: methods, seeds, grids, bench files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from equipoise.benchmark.plan import Changes
from equipoise.errors import ConfigError
from equipoise.methods import METHODS
from equipoise.overrides import nest
from equipoise.settings import parse_yaml, read_yaml


def method_changes(item: str) -> tuple[str, Changes]:
    """(label, changes) of one item of `--methods`: a name, a settings file, or either after `label=`.

    Raises:
        ConfigError: unknown method, or unreadable file.
    """
    label, equals, what = item.partition("=")
    what = what if equals else item
    if what.endswith((".yaml", ".yml")):
        return (label if equals else Path(what).stem), nest(read_yaml(Path(what)))
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
        raise ConfigError(f"seeds must be a number of seeds or a list such as 0,1,2, found {value!r}") from None
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds must be different and at least 0, found {value!r}")
    return seeds


def _mapping(label: str, changes: Any) -> Changes:
    if changes is None:
        return {"method": label}
    if isinstance(changes, str):
        return {"method": changes}
    if not isinstance(changes, Mapping):
        raise ConfigError(f"methods.{label} must be a method or a mapping of settings, found {changes!r}")
    return {"method": label, **changes} if "method" not in changes and label in METHODS else dict(changes)


def split_plan(values: Mapping[str, Any]) -> tuple[Changes, Changes]:
    """(shared settings, the plan's own keys) of a bench file."""
    own = {key: values[key] for key in ("methods", "seeds", "grid", "chosen") if key in values}
    return {key: value for key, value in values.items() if key not in own}, own


def read_grid(items: Iterable[str] | Mapping[str, Any]) -> dict[str, list[Any]]:
    """{dotted setting: values} from `name=value,value` items or a mapping.

    Raises:
        ConfigError: an item without values.
    """
    if not isinstance(items, Mapping):
        pairs = [item.partition("=") for item in items]
        items = {name: parse_yaml(f"[{values}]") for name, _, values in pairs}
    for name, values in items.items():
        if not isinstance(values, list) or not values:
            raise ConfigError(f"grid: {name!r} needs values, such as {name}=0.01,0.1")
    return dict(items)
