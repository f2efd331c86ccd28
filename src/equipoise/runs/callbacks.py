"""Callbacks: code of the user's own that a training or a search calls, and that may stop it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from equipoise.errors import ConfigError

METHODS = ("on_start", "on_epoch", "on_trial", "on_end")


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
            facts: "folder", "label", "method", "seed", "rows" of each split and "classes". Of a
                training also "epochs", in all; "epoch", the first one; "training", a text that says
                how long it is; and "inputs", a text for each modality that says what is read of it.
                Of a search also "time_limit".
        """

    def on_epoch(self, line: dict[str, Any]) -> bool | None:
        """Called after each epoch, when its checkpoint is written.

        Args:
            line: of the epoch in `metrics.jsonl`.

        Returns:
            True to stop the training here. The best epoch so far is kept, as `patience` does.
        """
        return None

    def on_trial(self, line: dict[str, Any]) -> bool | None:
        """Called after each trial of a search, see `equipoise.auto`.

        Args:
            line: "trials", that have ended; "text", what was found; "spent" and "left", seconds.

        Returns:
            True to try no more. The ensemble is then made of what was found.
        """
        return None

    def on_end(self, result: dict[str, Any]) -> None:
        """Called after the test.

        Args:
            result: content of `result.json`.
        """


OnEpoch = Callable[[dict[str, Any]], Any]
"""A function that stands for a callback with this `on_epoch` and `on_trial`."""


class Callbacks(Callback):
    """Several callbacks as one.

    Args:
        members: callbacks, in the order in which they are called. An object may lack methods, and a
            function is an `on_epoch` and an `on_trial`.

    Raises:
        ConfigError: one of them has no such method.
    """

    def __init__(self, members: Iterable[Any] = ()) -> None:
        if not isinstance(members, Iterable) or isinstance(members, Callback):
            raise ConfigError(f"'callbacks' must be a list, found {type(members).__name__}")
        self.members = list(members)
        for member in self.members:
            if isinstance(member, type) or not (_has_methods(member) or callable(member)):
                found = member.__name__ if isinstance(member, type) else type(member).__name__
                raise ConfigError(
                    f"a callback is a function, or an object with one of {', '.join(METHODS)}; "
                    f"found {'the class ' * isinstance(member, type)}{found}"
                )

    def on_start(self, facts: dict[str, Any]) -> None:
        for member in self.members:
            if hasattr(member, "on_start"):
                member.on_start(facts)

    def on_epoch(self, line: dict[str, Any]) -> bool:
        return self._stops("on_epoch", line)

    def on_trial(self, line: dict[str, Any]) -> bool:
        return self._stops("on_trial", line)

    def on_end(self, result: dict[str, Any]) -> None:
        for member in self.members:
            if hasattr(member, "on_end"):
                member.on_end(result)

    def _stops(self, name: str, line: dict[str, Any]) -> bool:
        answers = []
        for member in self.members:
            if hasattr(member, name):
                answers.append(getattr(member, name)(line))
            elif not _has_methods(member):
                answers.append(member(line))
        # `True` of NumPy too, but no other value: a function may return whatever it computes.
        return any(isinstance(answer, bool | np.bool_) and bool(answer) for answer in answers)


def _has_methods(member: Any) -> bool:
    """True for an object with methods of a callback, which is then not called itself."""
    return any(hasattr(member, name) for name in METHODS)
