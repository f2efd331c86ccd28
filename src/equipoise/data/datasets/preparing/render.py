"""Numbers rendered as sounds and pictures, for synthetic data in real files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

RATE = 8000
"""Sampling rate of a sound in Hz."""
SECONDS = 0.25
"""Length of a sound."""
CELL = 4
"""Pixels along the side of a square of a picture."""


def _level(signal: np.ndarray) -> np.ndarray:
    """Map numbers into (0, 1) by a function that can be inverted."""
    level: np.ndarray = 1 / (1 + np.exp(-signal / 2))
    return level


def sound(signal: np.ndarray, path: Path, rng: np.random.Generator) -> None:
    """Write a chord with one tone per number, as loud as the number is large.

    Args:
        signal: (N,).
        path: of a 16-bit wav at 8 kHz.
        rng: of the phases of the tones.
    """
    time = np.arange(int(RATE * SECONDS)) / RATE
    frequency = np.geomspace(300, 3000, len(signal))
    phase = rng.uniform(0, 2 * np.pi, len(signal))
    tones = _level(signal)[:, None] * np.sin(2 * np.pi * frequency[:, None] * time + phase[:, None])
    soundfile.write(path, tones.sum(0) / len(signal), RATE, subtype="PCM_16")


def side(numbers: int) -> int:
    """Compute the side, in pixels, of a picture of that many numbers."""
    return math.ceil(math.sqrt(numbers)) * CELL


def picture(signal: np.ndarray, path: Path) -> None:
    """Write rows of grey squares, one per number.

    Args:
        signal: (N,).
        path: of an 8-bit png.
    """
    columns = side(len(signal)) // CELL
    grid = np.zeros(columns * columns)
    grid[: len(signal)] = _level(signal)
    pixels = np.kron(grid.reshape(columns, columns), np.ones((CELL, CELL)))
    Image.fromarray((pixels * 255).round().astype(np.uint8)).save(path)
