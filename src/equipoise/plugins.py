"""Entries of other packages, by entry point. What is wrong with one is one line that says whose it is."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Protocol, TypeVar

from equipoise.errors import ConfigError


class Named(Protocol):
    """What an entry has for certain."""

    @property
    def name(self) -> str: ...


E = TypeVar("E", bound=Named)


def load_entry(point: EntryPoint, kind: str, wanted: type[E]) -> E:
    """The entry that an entry point leads to.

    Args:
        point: of another package.
        kind: of component, for messages.
        wanted: class of the entry.

    Raises:
        ConfigError: it cannot be imported, is no such entry, or the two have different names.
    """
    package = point.dist.name if point.dist else "an unknown package"
    whose = f"{kind} {point.name!r} of {package} (entry point {point.value})"
    try:
        entry = point.load()
    except Exception as error:  # whatever someone else's module raises when it is imported
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ConfigError(f"{whose} cannot be loaded ({reason}); repair or uninstall {package}") from error
    if not isinstance(entry, wanted):
        found = f"the class {entry.__name__}" if isinstance(entry, type) else f"an object of {type(entry).__name__}"
        raise ConfigError(f"{whose} must lead to an object of {wanted.__name__}, and leads to {found}")
    if entry.name != point.name:
        raise ConfigError(f"{whose} leads to an entry that is named {entry.name!r}; give both the same name")
    return entry
