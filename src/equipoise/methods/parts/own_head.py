"""Methods that train a head of their own kind."""

from __future__ import annotations

from typing import Generic, TypeVar

from equipoise.errors import ConfigError
from equipoise.heads.base import Head
from equipoise.model import Model
from equipoise.training.context import Context
from equipoise.training.method import Method

H = TypeVar("H", bound=Head)


class OwnHead(Method, Generic[H]):
    """Base of a method that trains a head of its own kind, and refuses any other.

    Attributes:
        name: under which both the method and its head are registered.
        kind: class of the head.
    """

    name: str
    kind: type[H]

    def setup(self, ctx: Context) -> None:
        """Check the head.

        Raises:
            ConfigError: it is of another kind.
        """
        self.head(ctx.model)

    def head(self, model: Model) -> H:
        """The model's head.

        Raises:
            ConfigError: it is of another kind.
        """
        found = model.head
        if not isinstance(found, self.kind):
            raise ConfigError(
                f"method {self.name!r} trains a head made for it, and {type(found).__name__} is "
                f"another; use head {self.name!r}"
            )
        return found
