"""The rows that an epoch reads: each row of the training table once, or rows that a method drew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from equipoise.data.table.loader import Loader


class EpochLoader:
    """Holds the loader of the coming epochs, and saves and restores a method's choice of rows.

    Args:
        table: loader of the whole training table.

    Attributes:
        loader: the loader that epochs read at present.
    """

    def __init__(self, table: Loader) -> None:
        self._table = table
        self._drawn: dict[str, Any] = {}
        self.loader = table

    def draw(self, rows: Tensor, shown: Mapping[str, Tensor] | None, shuffle: bool) -> None:
        """Read these rows from now on; see `Context.resample`."""
        self.load_state_dict(
            {
                "rows": rows.cpu(),
                "shown": None if shown is None else {m: s.cpu() for m, s in shown.items()},
                "shuffle": shuffle,
            }
        )

    def state_dict(self) -> dict[str, Any]:
        """The rows drawn; empty while every row is read once."""
        return self._drawn

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._drawn = state
        # From the whole table each time: rows are numbers of its rows, not of an earlier drawing.
        self.loader = self._table
        if state:
            shown = state["shown"]
            self.loader = self._table.drawn(
                state["rows"].numpy(),
                None if shown is None else {m: s.numpy() for m, s in shown.items()},
                shuffle=state["shuffle"],
            )
