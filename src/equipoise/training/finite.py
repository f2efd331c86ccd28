"""Messages about a loss or a weight that is not finite."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from equipoise.training.position import Position

ADVICE = "the last good checkpoint is kept: try a smaller 'optimiser.lr', or set 'optimiser.clip'"


class LossWatch:
    """Checks a loss one step late, when its value is known without waiting for the device."""

    def __init__(self) -> None:
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
        shown = ", ".join(str(int(r)) for r in rows[:8]) + (", …" if len(rows) > 8 else "")
        return (
            f"the loss is {float(loss)} in epoch {at.epoch}, step {at.step}, "
            f"training rows {shown}; {ADVICE}"
        )


def weights_complaint(model: nn.Module, step: int) -> str:
    """A message that names the first parameter that is not finite; "" if all are finite."""
    broken = [n for n, p in model.named_parameters() if not bool(torch.isfinite(p).all())]
    return f"parameter {broken[0]} is not finite after step {step}; {ADVICE}" if broken else ""
