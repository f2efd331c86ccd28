"""Settings given piece by piece: short names, dotted names and nested mappings, one above the
other.

At the bottom are the defaults, above them a preset where one is named, then all that the user says.
Flags, keywords of `equipoise.fit` and the entries of a bench file all become settings here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

from equipoise.configuration.presets import fitted_preset
from equipoise.settings import Settings

SHORT = {
    name: f"data.{name}"
    for name in (
        *("modality", "label", "split", "group", "id", "root"),
        *("missing", "missing_test", "missing_modality", "missing_exact", "missing_regime"),
        *("problems", "cache"),
    )
}
"""Names that may stand without `data.` before them."""

PRESET = "preset"
"""Key that names a preset. It is no setting: the settings it stands for are."""

Path = tuple[str, ...]


def nest(changes: Mapping[str, Any]) -> dict[str, Any]:
    """{"method": "mla", "method.alpha": 0.1, "label": "y"} → {"method": {"name": …, "alpha": …},
    "data": {…}}.

    The order does not matter: a name is read before the options below it.
    """
    named = [(tuple(SHORT.get(name, name).split(".")), value) for name, value in changes.items()]
    named.sort(key=lambda item: len(item[0]))
    trees = (
        reduce(lambda inner, key: {key: inner}, reversed(path), value) for path, value in named
    )
    return reduce(overlay, trees, {})


def overlay(base: Mapping[str, Any], changes: Mapping[str, Any], at: Path = ()) -> dict[str, Any]:
    """`base` with `changes` on top.

    A component of another name takes none of the old one's options, nor does another transform of a
    modality.
    """
    result = dict(base)
    for key, value in changes.items():
        path = (*at, key)
        old = _spelled_out(path, result.get(key))
        new = _spelled_out(path, value)
        if isinstance(old, Mapping) and isinstance(new, Mapping) and not _replaces(path, old, new):
            new = overlay(old, new, path)
        result[key] = new
    return result


def make_settings(layers: Iterable[Mapping[str, Any]]) -> Settings:
    """Settings from nested mappings on top of the defaults, each above the one before.

    Raises:
        ConfigError: unknown key or preset (with the nearest known ones), wrong type or value.
    """
    return Settings.from_dict(reduce(overlay, above_preset(layers), Settings().to_dict()))


def above_preset(layers: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The layers, on top of the preset that the last of them with a `preset` names, if any does.

    Raises:
        ConfigError: no such preset, or one for other modalities than the data have.
    """
    layers = list(layers)
    whole: dict[str, Any] = reduce(overlay, layers, {})
    own: list[Mapping[str, Any]] = [
        {k: v for k, v in layer.items() if k != PRESET} for layer in layers
    ]
    if whole.get(PRESET) is None:
        return own
    return [fitted_preset(whole[PRESET], whole.get("data") or {}), *own]


def _is_component(path: Path) -> bool:
    return path in (("method",), ("head",)) or (len(path) == 2 and path[0] == "encoder")


def _spelled_out(path: Path, value: Any) -> Any:
    """A bare name as a component, a bare source as data settings."""
    if _is_component(path) and isinstance(value, str):
        return {"name": value}
    if path == ("data",) and value is not None and not isinstance(value, Mapping):
        return {"source": value}
    return value


def _replaces(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    if len(path) == 3 and path[:2] == ("data", "options"):
        return "transform" in old and new.get("transform", old["transform"]) != old["transform"]
    return _is_component(path) and "name" in new and new["name"] != old.get("name")
