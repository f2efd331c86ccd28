"""The lengths of a training that follow from the number of training samples where they are `auto`.

A count of epochs means something else for a hundred rows than for a million. What trains a network
is the number of its steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from equipoise.methods import METHODS
from equipoise.registry import MethodEntry
from equipoise.settings import Settings, flat, settled
from equipoise.values import AUTO

STEPS = 2000
"""Steps after which networks of the default size have learned what small tables hold."""
FEWEST_EPOCHS = 10
MOST_EPOCHS = 100
SMALLEST_BATCH = 16
LARGEST_BATCH = 64
BATCHES = 8
"""Least number of batches of an epoch, where a batch need not be smaller than the smallest."""
HUGE_BATCH = 256
HUGE_BATCHES = 512
"""From so many batches in an epoch a batch grows, up to `HUGE_BATCH`, so that they stay as many."""
LEAST_PATIENCE = 5
PATIENT_FRACTION = 0.2
"""Fraction of the epochs that are waited for since the best one."""


@dataclass(frozen=True)
class Lengths:
    """How long a training is.

    Attributes:
        epochs: of each modality.
        batch_size: over all devices.
        patience: epochs to wait since the best one; 0 trains to the end.
    """

    epochs: int
    batch_size: int
    patience: int


def lengths_of(settings: Settings, rows: int) -> Lengths:
    """The lengths that some settings mean for a number of training samples."""
    batch = settings.batch_size
    if batch == AUTO:
        few = min(max(rows // BATCHES, SMALLEST_BATCH), LARGEST_BATCH)
        batch = min(max(few, rows // HUGE_BATCHES), HUGE_BATCH)
    batch = settled(batch)
    epochs = settings.epochs
    if epochs == AUTO:
        epochs = min(max(round(STEPS / -(-rows // batch)), FEWEST_EPOCHS), MOST_EPOCHS)
    epochs = settled(epochs)
    patience = settings.patience
    if patience == AUTO:
        patience = max(round(PATIENT_FRACTION * epochs), LEAST_PATIENCE)
    return Lengths(epochs, batch, settled(patience))


def settle(settings: Settings, rows: int) -> Settings:
    """The settings with numbers in place of `auto`, for a number of training samples."""
    lengths = lengths_of(settings, rows)
    return replace(
        settings,
        epochs=lengths.epochs,
        batch_size=lengths.batch_size,
        patience=lengths.patience,
    )


def describe_lengths(settings: Settings, rows: int) -> str:
    """Say how long a training is and how its weights move.

    Args:
        settings: with numbers in place of `auto`.
        rows: number of training samples.

    Returns:
        A text such as "up to 100 epochs of 8 batches of 16, until 20 are no better; adamw, learning
        rate 0.001; advised by the method: optimiser.name sgd".
    """
    lengths = lengths_of(settings, rows)
    steps = -(-rows // lengths.batch_size)
    most = "up to " if lengths.patience else ""
    until = f", until {lengths.patience} are no better" if lengths.patience else ""
    batches = "a batch" if steps == 1 else f"{steps:,} batches"
    text = f"{most}{lengths.epochs} epochs of {batches} of {lengths.batch_size}{until}"
    text += f"; {settings.optimiser.name}, learning rate {settings.optimiser.lr:g}"
    entry = cast(MethodEntry, METHODS[settings.method["name"]])
    values = flat(settings.to_dict())
    taken = [f"{name} {value}" for name, value in entry.advises.items() if values[name] == value]
    return f"{text}; as the method advises: {', '.join(taken)}" if taken else text
