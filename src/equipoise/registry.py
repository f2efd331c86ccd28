"""Registries of methods, heads, encoders and data sets.

A registry leads from the name of a component to its entry, which holds the facts about it. An entry
gives its class by import path, so that `equipoise list` imports neither torch nor the class.

Other packages add components through the entry points `equipoise.methods`, `.heads`, `.encoders`
and `.datasets`. Each leads to an entry (`MethodEntry`, `EncoderEntry` or `Entry`) of the same name.
An entry point that does not is left out, with a warning.
"""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from equipoise.checks import is_number
from equipoise.errors import ConfigError, invalid, suggest, unknown


@dataclass(frozen=True)
class Condition:
    """A condition on the value of an option, where a set of values cannot express it.

    Attributes:
        words: the end of the sentence "'option' is …".
        holds: returns True for a value that fulfils the condition.
    """

    words: str
    holds: Callable[[Any], bool]


POSITIVE = Condition("positive", lambda value: is_number(value) and value > 0)
NULL = Condition("null", lambda value: value is None)
GIVEN = Condition("given", lambda value: value is not None)

MOST_INTEGER = 2**63
"""The size from which no tensor can be multiplied by an integer."""

Effect = Mapping[str, tuple[str, Collection[object] | Condition]]
"""{option: (other option, values)}: the option has an effect only if the other option has one of
these values, or fulfils this condition."""


def refuse_without_effect(kind: Any, options: Mapping[str, object]) -> None:
    """Refuse an option that has no effect beside the values of the others.

    The class declares such options in a table, `effect: ClassVar[Effect]`. An option that the user
    did not give is not judged, nor is a flag given as false: it asks for nothing.

    Args:
        kind: the class of a component.
        options: the options that the user gave.

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
    """The facts about a component that are known without importing it.

    Attributes:
        name: of the component.
        target: import path of its class, "package.module:Class".
        summary: one line, shown by `equipoise list`.
        paper: authors, title and venue.
        year: of the paper.
        url: of the paper.
        code: URL of the authors' code.
        licence: of that code, or of the data.
    """

    name: str
    target: str
    summary: str
    paper: str = ""
    year: int | None = None
    url: str = ""
    code: str = ""
    licence: str = ""

    def load(self) -> Any:
        """The class or function itself."""
        module, _, attribute = self.target.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def parameters(self) -> dict[str, inspect.Parameter]:
        """The constructor's named parameters, for which the class is imported."""
        variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        parameters = inspect.signature(self.load()).parameters
        return {name: p for name, p in parameters.items() if p.kind not in variadic}


@dataclass(frozen=True)
class EncoderEntry(Entry):
    """The facts about an encoder.

    Attributes:
        kinds: of the modalities that it reads.
        inputs: one sample, in words.
        shape: of a sample, for which `width` and `size` hold.
        vocabulary: number of token ids, for which `size` holds; None if it reads no text.
        width: of the feature, with default options.
        size: number of parameters, with default options.
        needs: the extra that installs the packages it is built on; "" for none.
        pretrained: True if its authors published it with weights, which the option `weights` takes.
    """

    kinds: tuple[str, ...] = ()
    inputs: str = ""
    shape: tuple[int, ...] = ()
    vocabulary: int | None = None
    width: int = 0
    size: int = 0
    needs: str = ""
    pretrained: bool = False


@dataclass(frozen=True)
class MethodEntry(Entry):
    """The facts about a training method.

    Attributes:
        modalities: "any", or "2" where the published form has no generalisation.
        head: the head it is trained with unless another is asked for.
        needs_holdout: True if it estimates something on data it does not train on.
        forward_passes: of an encoder per minibatch, 1 for joint training; None if they depend on
            options, epochs or the number of modalities.
        backward_passes: likewise.
        memory: what a training holds beyond joint training, in words.
        neutral: options with which it gives the same weights as `neutral_of`, bit for bit; None if
            there are none.
        neutral_of: name of that method.
        ordered: True if the order of the modalities matters by design.
        advises: {dotted setting: value} that its authors rely on; holds where neither a preset nor
            the user gives another.
        left_out: why a comparison of all methods leaves it out, such as "equal to film"; "" for a
            method that is part of it.
    """

    modalities: str = "any"
    head: str = "concat"
    needs_holdout: bool = False
    forward_passes: float | None = 1.0
    backward_passes: float | None = 1.0
    memory: str = ""
    neutral: Mapping[str, object] | None = None
    neutral_of: str = "joint"
    ordered: bool = False
    advises: Mapping[str, Any] = field(default_factory=dict)
    left_out: str = ""

    @property
    def advice(self) -> str:
        """The settings that it advises, as they are shown."""
        return ", ".join(f"{name} {value}" for name, value in self.advises.items())

    @property
    def passes(self) -> str:
        """Forward and backward passes, as they are shown."""
        both = (self.forward_passes, self.backward_passes)
        return " / ".join("varies" if passes is None else f"{passes:g}" for passes in both)


class Registry:
    """The entries of one kind of component.

    Entry points of other packages are merged in on first use, not on import: reading them takes
    time, and a warning about one would come before the program has anything to say.

    Args:
        kind: of component, such as "method"; its plural names the entry points.
        entries: the library's own.
        entry: class of all entries.
        plural: of `kind`, where it is not formed by an s.
    """

    def __init__(
        self,
        kind: str,
        entries: Sequence[Entry],
        entry: type[Entry] = Entry,
        plural: str | None = None,
    ) -> None:
        self.kind = kind
        self.plural = plural or f"{kind}s"
        self.entry = entry
        self._own = {entry.name: entry for entry in entries}
        # Names of other packages that are left out, and why: the reason is given to whoever asks.
        self._broken: dict[str, str] = {}

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        merged = dict(self._own)
        for point in entry_points(group=f"equipoise.{self.plural}"):
            try:
                entry = _load_entry(point, self.kind, self.entry)
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
        """Register a component at run time, such as a class in a script or a test.

        Raises:
            ConfigError: it is not an entry of this kind; the class itself is not one, for example.
        """
        if not isinstance(entry, self.entry):
            raise invalid(self.plural, "entry", f"a {self.entry.__name__}", entry)
        self._entries[entry.name] = entry

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        # Settings may name anything, a list for example, before they are checked.
        return isinstance(name, str) and name in self._entries

    def __getitem__(self, name: str) -> Entry:
        """The entry of a name.

        Raises:
            ConfigError: the name is not registered; the message suggests similar names, or says
                what is wrong with the entry point of that name.
        """
        try:
            return self._entries[name]
        except KeyError:
            if name in self._broken:
                raise ConfigError(self._broken[name]) from None
            raise unknown(self.kind, name, self._entries) from None

    def names(self, pattern: str = "*") -> list[str]:
        """The names that match a wildcard pattern, in the order of registration."""
        return [name for name in self._entries if fnmatch(name, pattern)]

    def build(
        self, name: str, options: Mapping[str, object] | None = None, /, **given: object
    ) -> Any:
        """Construct a component.

        Args:
            name: of the component.
            options: arguments of the constructor that the user gave.
            given: arguments of the constructor that the library gives; users cannot set these.

        Raises:
            ConfigError: the name or an option is unknown, the constructor refuses a value, an
                option has no effect beside the others, or the class cannot be imported or lacks a
                hook.
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
        for option, value in options.items():
            if option not in known:
                raise ConfigError(
                    f"{self.kind} {name!r} has no option {option!r}{suggest(option, known)}"
                )
            if isinstance(value, int) and abs(value) >= MOST_INTEGER:
                raise invalid(kind.__name__, option, "an integer below 2**63 in size", value)
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


def _load_entry(point: EntryPoint, kind: str, wanted: type[Entry]) -> Entry:
    """Import the entry of an entry point.

    Args:
        point: of another package.
        kind: of component, for messages.
        wanted: class of the entry.

    Raises:
        ConfigError: it cannot be imported, is not such an entry, or has another name.
    """
    package = point.dist.name if point.dist else "an unknown package"
    whose = f"{kind} {point.name!r} of {package} (entry point {point.value})"
    try:
        entry = point.load()
    except Exception as error:  # importing another package's module may raise anything
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
