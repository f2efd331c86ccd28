"""Methods whose head is part of them."""

from __future__ import annotations

from typing import Generic, TypeVar

from equipoise.errors import ConfigError
from equipoise.heads.base import Head
from equipoise.model import Model
from equipoise.training.context import Context
from equipoise.training.method import Method

H = TypeVar("H", bound=Head)


class OwnHead(Method, Generic[H]):
    """Trains a head of its own kind, and refuses any other.

    Attributes:
        name: under which both the method and its head are registered.
        kind: of the head.
    """

    name: str
    kind: type[H]

    def setup(self, ctx: Context) -> None:
        """Raises ConfigError unless the head is the method's own."""
        self.head(ctx.model)

    def head(self, model: Model) -> H:
        """The model's head.

        Raises:
            ConfigError: it is of another kind.
        """
        found = model.head
        if not isinstance(found, self.kind):
            raise ConfigError(
                f"method {self.name!r} trains a head made for it, and {type(found).__name__} is another; "
                f"use head {self.name!r}"
            )
        return found
