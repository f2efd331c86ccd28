"""The entry of a component that is given by name, as an entry or as a class."""

from __future__ import annotations

import inspect
import sys

from equipoise.errors import ConfigError
from equipoise.registry import Entry, Registry


def registered(component: str | Entry | type, registry: Registry) -> Entry:
    """Find the entry of a component; an entry or a class is registered first.

    Args:
        component: registered name, entry, or class. The entry of a class has default facts, except
            for its name and place.
        registry: registry of its kind.

    Raises:
        ConfigError: an unknown name, an entry of another kind, or a class that other processes
            cannot import.
    """
    if isinstance(component, str):
        return registry[component]
    entry = component if isinstance(component, Entry) else _entry_of(component, registry)
    registry.add(entry)
    return entry


def _entry_of(kind: type, registry: Registry) -> Entry:
    place = kind.__module__
    name = kind.__name__
    prompt = place == "__main__" and not hasattr(sys.modules[place], "__file__")
    if prompt or getattr(sys.modules.get(place), name, None) is not kind:
        raise ConfigError(
            f"{registry.kind} {name}: other processes import it by its name, "
            "so define it at the top of a file"
        )
    return registry.entry(name, f"{place}:{name}", (inspect.getdoc(kind) or name).splitlines()[0])
