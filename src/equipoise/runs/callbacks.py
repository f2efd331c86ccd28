"""Callbacks: code of the user's own that a training calls, and that may stop it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from equipoise.errors import ConfigError


class Callback:
    """The base of a callback; override what you need.

    A training of several devices calls its callbacks in the first process only, and stops all.
    A training that is resumed calls them from the epoch with which it goes on.

    Example:
        >>> import equipoise
        >>> class Enough(equipoise.Callback):
        ...     def on_epoch(self, line):
        ...         return line["validation"]["fused"]["accuracy"] > 0.3
        >>> run = equipoise.fit("synthetic", epochs=50, width=8, callbacks=[Enough()])
        >>> run.result["epochs"] < 50
        True
    """

    def on_start(self, facts: dict[str, Any]) -> None:
        """Called before the first epoch.

        Args:
            facts: "folder", "label", "method", "seed"; "epochs", in all; "epoch", the first one;
                "rows" of each split; "classes"; and "inputs", a text for each modality that says
                what is read of it.
        """

    def on_epoch(self, line: dict[str, Any]) -> bool | None:
        """Called after each epoch, when its checkpoint is written.

        Args:
            line: of the epoch in `metrics.jsonl`.

        Returns:
            True to stop the training here. The best epoch so far is kept, as `patience` does.
        """
        return None

    def on_end(self, result: dict[str, Any]) -> None:
        """Called after the test.

        Args:
            result: content of `result.json`.
        """


OnEpoch = Callable[[dict[str, Any]], Any]
"""A function that stands for a callback with this `on_epoch`."""


class Callbacks(Callback):
    """Several callbacks as one.

    Args:
        members: callbacks, in the order in which they are called. An object may lack methods, and a
            function is an `on_epoch`.

    Raises:
        ConfigError: one of them has no such method.
    """

    def __init__(self, members: Iterable[Any] = ()) -> None:
        if not isinstance(members, Iterable) or isinstance(members, Callback):
            raise ConfigError(f"'callbacks' must be a list, found {type(members).__name__}")
        self.members = list(members)
        for member in self.members:
            known = any(hasattr(member, name) for name in ("on_start", "on_epoch", "on_end"))
            if isinstance(member, type) or not (known or callable(member)):
                found = member.__name__ if isinstance(member, type) else type(member).__name__
                raise ConfigError(
                    "a callback is a function, or an object with on_start, on_epoch or on_end; "
                    f"found {'the class ' * isinstance(member, type)}{found}"
                )

    def on_start(self, facts: dict[str, Any]) -> None:
        for member in self.members:
            if hasattr(member, "on_start"):
                member.on_start(facts)

    def on_epoch(self, line: dict[str, Any]) -> bool:
        stops = [self._called(member, line) for member in self.members]
        # `True` of NumPy too, but no other value: a function may return whatever it computes.
        return any(type(stop).__name__ in ("bool", "bool_") and bool(stop) for stop in stops)

    def on_end(self, result: dict[str, Any]) -> None:
        for member in self.members:
            if hasattr(member, "on_end"):
                member.on_end(result)

    def _called(self, member: Any, line: dict[str, Any]) -> Any:
        if hasattr(member, "on_epoch"):
            return member.on_epoch(line)
        # An object with other methods of a callback is none that is called itself.
        if hasattr(member, "on_start") or hasattr(member, "on_end"):
            return None
        return member(line)
