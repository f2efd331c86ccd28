"""Messages about a loss, a weight or a logit that is not finite."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from equipoise.settings import OptimiserSettings
from equipoise.training.position import Position

FIRST_CLIP = 1.0

WINDOW = 16
"""Losses on a device that are read together. A loss that is not finite is noticed so many steps
late at most; before an epoch ends and before a checkpoint is written all losses are judged."""


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
    """Checks losses late, when reading them does not make the processor wait for the device.

    On the CPU a loss is read at once and judged before the next one. On a device `WINDOW` losses
    are read together, while the device goes on.

    Args:
        advice: the end of the message.
    """

    def __init__(self, advice: str) -> None:
        self._advice = advice
        self._noted: list[tuple[Tensor, int, int, Tensor]] = []

    def note(self, loss: Tensor, position: Position, rows: Tensor) -> None:
        """Remember a loss, the position of the training, and the training rows of its batch."""
        self._noted.append((loss.detach(), position.epoch, position.step, rows))

    def due(self) -> str:
        """A message if a loss that it is time to judge is not finite, else ""."""
        if not self._noted:
            return ""
        on_device = self._noted[-1][0].device.type != "cpu"
        return "" if on_device and len(self._noted) < WINDOW else self.complaint()

    def complaint(self) -> str:
        """A message if a loss noted is not finite, else "". Each loss is judged once."""
        noted = self._noted
        self._noted = []
        if len(noted) > 1:
            values = torch.stack([loss.double() for loss, *_ in noted]).tolist()
        else:
            values = [float(loss) for loss, *_ in noted]
        for value, (_, epoch, step, rows) in zip(values, noted, strict=True):
            if not math.isfinite(value):
                return (
                    f"the loss is {value} in epoch {epoch}, step {step}, "
                    f"training rows {listed(rows.tolist())}; {self._advice}"
                )
        return ""


def weights_complaint(model: nn.Module, position: Position, advice: str) -> str:
    """A message that names the first parameter that is not finite; "" if all are finite."""
    broken = [n for n, p in model.named_parameters() if not bool(torch.isfinite(p).all())]
    if not broken:
        return ""
    return (
        f"parameter {broken[0]} is not finite in epoch {position.epoch}, after step "
        f"{position.step}; {advice}"
    )
