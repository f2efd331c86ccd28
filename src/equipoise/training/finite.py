"""Messages about a loss, a weight or a logit that is not finite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from equipoise.settings import OptimiserSettings
from equipoise.training.position import Position

FIRST_CLIP = 1.0


def remedy(settings: OptimiserSettings) -> str:
    """The end of a message: the settings to change, the first one to try first."""
    if settings.clip:
        return (
            f"train again with a smaller --optimiser.lr (now {settings.lr:g}), "
            f"or a smaller --optimiser.clip (now {settings.clip:g})"
        )
    return (
        f"train again with --optimiser.clip {FIRST_CLIP}, "
        f"or else with a smaller --optimiser.lr (now {settings.lr:g})"
    )


def listed(rows: Sequence[object], most: int = 8) -> str:
    """The first few of some rows, for a message."""
    return ", ".join(str(row) for row in rows[:most]) + (", …" if len(rows) > most else "")


class LossWatch:
    """Checks a loss one step late, when its value is known without waiting for the device.

    Args:
        advice: the end of the message.
    """

    def __init__(self, advice: str) -> None:
        self._advice = advice
        self._pending: tuple[Tensor, Position, Tensor] | None = None

    def note(self, loss: Tensor, position: Position, rows: Tensor) -> None:
        """Remember a loss, the position of the training, and the training rows of its batch."""
        # A copy: the training goes on, and changes its position, before the loss is looked at.
        self._pending = (loss.detach(), replace(position), rows)

    def complaint(self) -> str:
        """A message if the loss noted last is not finite, else "". Each loss is judged once."""
        if self._pending is None:
            return ""
        loss, at, rows = self._pending
        self._pending = None
        if bool(torch.isfinite(loss)):
            return ""
        return (
            f"the loss is {float(loss)} in epoch {at.epoch}, step {at.step}, "
            f"training rows {listed(rows.tolist())}; {self._advice}"
        )


def weights_complaint(model: nn.Module, position: Position, advice: str) -> str:
    """A message that names the first parameter that is not finite; "" if all are finite."""
    broken = [n for n, p in model.named_parameters() if not bool(torch.isfinite(p).all())]
    if not broken:
        return ""
    return (
        f"parameter {broken[0]} is not finite in epoch {position.epoch}, after step "
        f"{position.step}; {advice}"
    )
