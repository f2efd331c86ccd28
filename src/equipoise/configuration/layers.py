"""Combine layers of settings: a later layer overrides an earlier one.

The first layer holds the defaults, the next one what a method advises, then comes a preset if the
user names one, and then the settings of the user: files, then flags. Flags, keywords of
`equipoise.fit` and the entries of a bench file all become settings here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any, cast

from equipoise.configuration.presets import fitted_preset
from equipoise.errors import ConfigError, shown
from equipoise.methods import METHODS
from equipoise.registry import MethodEntry
from equipoise.settings import EVERY, SUITED, Settings

_WITHOUT_PREFIX = (
    "modality",
    "label",
    "split",
    "group",
    "id",
    "weight",
    "root",
    "missing",
    "missing_test",
    "missing_modality",
    "missing_exact",
    "missing_regime",
    "problems",
    "cache",
)
SHORT = {name: f"data.{name}" for name in _WITHOUT_PREFIX} | {"lr": "optimiser.lr"}
"""{short name: setting} for the settings that may be written without `data.` or `optimiser.`."""

PRESET = "preset"
"""Key that names a preset. It is replaced by the settings of the preset, and is none itself."""

DEEPEST = 20
"""The deepest nesting of settings; those of the library have four levels."""

KeyPath = tuple[str, ...]
"""Keys from the top of a nested mapping, such as ("optimiser", "lr")."""


def nest(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Turn dotted and short names into nested settings.

    {"method": "mla", "method.alpha": 0.1, "label": "y"} becomes {"method": {"name": "mla", "alpha":
    0.1}, "data": {"label": "y"}}, in whatever order the names are given.

    Raises:
        ConfigError: a name that is no text, or settings that are nested too deeply.
    """
    for name, value in changes.items():
        if not isinstance(name, str):
            raise ConfigError(f"the name of a setting must be a text, found {shown(name)}")
        if name.count(".") + _depth(value) > DEEPEST:
            raise ConfigError(f"{name[:40]!r}: settings are nested at most {DEEPEST} levels deep")
    named = [(tuple(SHORT.get(name, name).split(".")), value) for name, value in changes.items()]
    # A component before its options: the name of another component would drop them.
    named.sort(key=lambda item: len(item[0]))
    nested: dict[str, Any] = {}
    for path, value in named:
        tree = value
        for key in reversed(path):
            tree = {key: tree}
        nested = overlay(nested, tree)
    return nested


def overlay(
    base: Mapping[str, Any], changes: Mapping[str, Any], at: KeyPath = ()
) -> dict[str, Any]:
    """Lay nested changes over nested settings.

    A component of another name takes none of the options of the old one, and neither does another
    transform of a modality.

    Args:
        base: stays as it is.
        changes: override it.
        at: keys that lead to both, from the top of the settings.
    """
    result = dict(base)
    for key, value in changes.items():
        path = (*at, key)
        # Among encoders the later one wins (see `EVERY`), so it must stand behind the others.
        held = result.pop(key, None) if at == ("encoder",) else result.get(key)
        old = _spelled_out(path, held)
        new = _spelled_out(path, value)
        if isinstance(old, Mapping) and isinstance(new, Mapping) and not _replaces(path, old, new):
            new = overlay(old, new, path)
        result[key] = new
    return result


def make_settings(layers: Iterable[Mapping[str, Any]]) -> Settings:
    """Settings from nested mappings over the defaults; later ones override earlier ones.

    Raises:
        ConfigError: unknown key or preset (with the nearest known ones), wrong type or value.
    """
    own = above_preset(layers)
    whole: dict[str, Any] = reduce(overlay, own, {})
    return Settings.from_dict(reduce(overlay, own, defaults(*_named(whole))))


def defaults(method: str | None = None, optimiser: str | None = None) -> dict[str, Any]:
    """The settings, nested, that hold where the user gives none.

    A learning rate belongs to an optimiser. So another optimiser than the default one brings its
    own, and takes nothing of what a method advises for a third one.

    Args:
        method: name of the method; None for the default one.
        optimiser: name of the optimiser that the user or a preset gives; None for none.
    """
    found = Settings().to_dict()
    advised = _advice(found["method"]["name"] if method is None else method)
    if optimiser not in (None, advised.get("optimiser", {}).get("name", optimiser)):
        advised.pop("optimiser")
    chosen = advised.get("optimiser", {}).get("name", optimiser)
    return reduce(overlay, [{"optimiser": SUITED.get(chosen, {})}, advised], found)


def _named(layers: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The names of the method and of the optimiser among some settings; None for none."""
    method = _spelled_out(("method",), layers.get("method"))
    return _name(method), _name(layers.get("optimiser"))


def _name(of: object) -> str | None:
    """The name in a mapping; None for one that is no text, which is refused later."""
    name = of.get("name") if isinstance(of, Mapping) else None
    return name if isinstance(name, str) else None


def _advice(method: str) -> dict[str, Any]:
    """What a method advises, nested; nothing for an unknown one, which is refused later."""
    if method not in METHODS:
        return {}
    return nest(cast(MethodEntry, METHODS[method]).advises)


def above_preset(layers: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Put the preset that the layers name below all of them; the last name wins.

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


def _depth(value: Any) -> int:
    """Levels of mappings and lists, and one for the values; counted no further than it matters."""
    deepest = 0
    level = [value]
    while level and deepest <= DEEPEST:
        level = [held for outer in level for held in _held(outer)]
        deepest += 1
    return deepest


def _held(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def _is_component(path: KeyPath) -> bool:
    return path in (("method",), ("head",)) or (len(path) == 2 and path[0] == "encoder")


def _spelled_out(path: KeyPath, value: Any) -> Any:
    """The mapping that a bare name of a component, or a bare source of data, stands for."""
    if path == ("encoder",) and isinstance(value, str):
        return {EVERY: {"name": value}}
    if _is_component(path) and isinstance(value, str):
        return {"name": value}
    if path == ("data",) and value is not None and not isinstance(value, Mapping):
        return {"source": value}
    return value


def _replaces(path: KeyPath, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """True if the new mapping names another component or transform, so that old options go."""
    if len(path) == 3 and path[:2] == ("data", "options"):
        return "transform" in old and new.get("transform", old["transform"]) != old["transform"]
    return _is_component(path) and "name" in new and new["name"] != old.get("name")
