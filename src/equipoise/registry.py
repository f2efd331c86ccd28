"""Name → entry, for methods, heads, encoders and data sets. Facts about a component are data that
machines read.

An entry names its class by import path, so that listing (`equipoise list`) imports neither torch
nor the class. Packages add their own through the entry points `equipoise.methods`, `.heads`,
`.encoders` and `.datasets`; each leads to an entry (`MethodEntry`, `EncoderEntry` or `Entry`) of
its own name. One that does not is warned of and left out.
"""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, TypeVar

from equipoise.checks import is_number
from equipoise.errors import ConfigError, invalid, suggest, unknown


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
        raise ConfigError(
            f"{whose} cannot be loaded ({reason}); repair or uninstall {package}"
        ) from error
    if not isinstance(entry, wanted):
        found = (
            f"the class {entry.__name__}"
            if isinstance(entry, type)
            else f"an object of {type(entry).__name__}"
        )
        raise ConfigError(
            f"{whose} must lead to an object of {wanted.__name__}, and leads to {found}"
        )
    if entry.name != point.name:
        raise ConfigError(
            f"{whose} leads to an entry that is named {entry.name!r}; give both the same name"
        )
    return entry


@dataclass(frozen=True)
class Condition:
    """A condition on an option that a set of values cannot say.

    Attributes:
        words: completes "'option' is …".
        holds: True for a value that fulfils it.
    """

    words: str
    holds: Callable[[Any], bool]


POSITIVE = Condition("positive", lambda value: is_number(value) and value > 0)
NULL = Condition("null", lambda value: value is None)
GIVEN = Condition("given", lambda value: value is not None)

Effect = Mapping[str, tuple[str, Collection[object] | Condition]]
"""{option: (other option, values)}: the option has an effect only where the other has one of these
values, or fulfils the condition."""


def refuse_without_effect(kind: Any, options: Mapping[str, object]) -> None:
    """Refuse an option that the user gave and that has no effect beside the others.

    The class says so in a table, `effect: ClassVar[Effect]`. A flag given as false is no harm.

    Args:
        kind: the class of a component.
        options: those that the user gave.

    Raises:
        ConfigError: an option has no effect.
    """
    effect: Effect = getattr(kind, "effect", {})
    for option, (other, values) in effect.items():
        if option not in options or options[option] is False:
            continue
        value = options.get(other, inspect.signature(kind).parameters[other].default)
        if isinstance(values, Condition):
            acts = values.holds(value)
            words = values.words
        else:
            acts = value in values
            words = " or ".join(map(str, sorted(values, key=str))).lower()
        if not acts:
            raise invalid(
                kind.__name__, option, f"left out unless {other!r} is {words}", options[option]
            )


@dataclass(frozen=True)
class Entry:
    """What is known of one component before it is imported."""

    name: str
    target: str  # "package.module:Class"
    summary: str  # one line, shown by `equipoise list`
    paper: str = ""  # authors, title, venue
    year: int | None = None
    url: str = ""  # the paper
    code: str = ""  # the authors' code
    licence: str = ""  # of that code or of the data

    def load(self) -> Any:
        """The class or function itself."""
        module, _, attribute = self.target.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def parameters(self) -> dict[str, inspect.Parameter]:
        """The constructor's named parameters; the class is imported."""
        variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        return {
            n: p
            for n, p in inspect.signature(self.load()).parameters.items()
            if p.kind not in variadic
        }


@dataclass(frozen=True)
class EncoderEntry(Entry):
    """An encoder; width and size at default options, for samples of `shape` (a text of `vocabulary` ids)."""

    kinds: tuple[str, ...] = ()  # of modality it reads
    inputs: str = ""  # one sample, in words
    shape: tuple[int, ...] = ()
    vocabulary: int | None = None
    width: int = 0  # of the feature
    size: int = 0  # number of parameters
    needs: str = ""  # the extra that installs what it is built on


@dataclass(frozen=True)
class MethodEntry(Entry):
    """A training method. `cost` counts passes of every encoder per minibatch, relative to one for joint training."""

    modalities: str = "any"  # "any", or "2" where the published form has no generalisation
    head: str = "concat"  # the head it is trained with unless another is asked for
    needs_holdout: bool = False
    forward_passes: float | None = (
        1.0  # None where they depend on options, epochs or the number of modalities
    )
    backward_passes: float | None = 1.0
    memory: str = ""  # what a training holds beyond joint training's, in words
    neutral: Mapping[str, object] | None = (
        None  # options under which it equals `neutral_of` bit for bit
    )
    neutral_of: str = "joint"
    ordered: bool = False  # True where the order of the modalities matters by design

    @property
    def passes(self) -> str:
        """Forward / backward, as they are shown."""
        both = (self.forward_passes, self.backward_passes)
        return " / ".join("varies" if passes is None else f"{passes:g}" for passes in both)


class Registry:
    """The entries of one kind, with third-party entry points merged in on first use.

    Args:
        kind: of component.
        entries: the library's own.
        entry: class that every entry is of.
    """

    def __init__(self, kind: str, entries: Sequence[Entry], entry: type[Entry] = Entry) -> None:
        self.kind = kind
        self.entry = entry
        self._own = {entry.name: entry for entry in entries}
        self._broken: dict[
            str, str
        ] = {}  # third-party names, and why they are not among the entries

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        merged = dict(self._own)
        for point in entry_points(group=f"equipoise.{self.kind}s"):
            try:
                entry = load_entry(point, self.kind, self.entry)
            except ConfigError as error:
                self._broken[point.name] = str(error)
                warnings.warn(f"{error}; it is left out", stacklevel=1)
                continue
            if point.name in merged:
                warnings.warn(
                    f"{self.kind} {point.name!r} is replaced by {point.value}", stacklevel=1
                )
            merged[point.name] = entry
        return merged

    def add(self, entry: Entry) -> None:
        """Register at run time, for a class that lives in a script or a test.

        Raises:
            ConfigError: it is no entry of this kind, but the class itself, say.
        """
        if not isinstance(entry, self.entry):
            raise invalid(f"{self.kind}s", "entry", f"a {self.entry.__name__}", entry)
        self._entries[entry.name] = entry

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> Entry:
        """The entry of that name.

        Raises:
            ConfigError: nobody registered the name; the message suggests the nearest ones, or says
                what is wrong with the entry point of that name.
        """
        try:
            return self._entries[name]
        except KeyError:
            if name in self._broken:
                raise ConfigError(self._broken[name]) from None
            raise unknown(self.kind, name, self._entries) from None

    def names(self, pattern: str = "*") -> list[str]:
        """Registered names that match a wildcard pattern, in the order of registration."""
        return [name for name in self._entries if fnmatch(name, pattern)]

    def build(
        self, name: str, options: Mapping[str, object] | None = None, /, **given: object
    ) -> Any:
        """Construct the component; `given` comes from the library, `options` from the user.

        Raises:
            ConfigError: unknown name or option, a value the constructor refuses, or a class that
                cannot be imported or lacks a hook.
        """
        options = options or {}
        entry = self[name]
        try:
            kind = entry.load()
            known = set(entry.parameters()) - set(given)
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"{self.kind} {name!r}: {entry.target} cannot be imported ({error})"
            ) from error
        for option in options:
            if option not in known:
                raise ConfigError(
                    f"{self.kind} {name!r} has no option {option!r}{suggest(option, known)}"
                )
        refuse_without_effect(kind, options)
        if inspect.isabstract(kind):
            missing = ", ".join(sorted(kind.__abstractmethods__))
            raise ConfigError(f"{self.kind} {name!r}: {kind.__name__} does not define {missing}")
        try:
            return kind(**given, **options)
        except TypeError as error:
            raise ConfigError(
                f"{self.kind} {name!r}: an option has the wrong type ({error})"
            ) from error
