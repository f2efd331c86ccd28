"""Numbers as sounds and pictures: synthetic signals as real files that go through the whole pipeline."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

RATE = 8000  # Hz
SECONDS = 0.25
CELL = 4  # pixels of a square's side


def _level(signal: np.ndarray) -> np.ndarray:
    """Into (0, 1), invertibly."""
    level: np.ndarray = 1 / (1 + np.exp(-signal / 2))
    return level


def sound(signal: np.ndarray, path: Path, rng: np.random.Generator) -> None:
    """A chord of one tone per number, as loud as the number is large; 16-bit wav at 8 kHz."""
    time = np.arange(int(RATE * SECONDS)) / RATE
    frequency = np.geomspace(300, 3000, len(signal))
    phase = rng.uniform(0, 2 * np.pi, len(signal))
    tones = _level(signal)[:, None] * np.sin(2 * np.pi * frequency[:, None] * time + phase[:, None])
    soundfile.write(path, tones.sum(0) / len(signal), RATE, subtype="PCM_16")


def side(numbers: int) -> int:
    """Pixels of the side of a picture of that many numbers."""
    return math.ceil(math.sqrt(numbers)) * CELL


def picture(signal: np.ndarray, path: Path) -> None:
    """Rows of grey squares, one per number; 8-bit png."""
    columns = side(len(signal)) // CELL
    grid = np.zeros(columns * columns)
    grid[: len(signal)] = _level(signal)
    pixels = np.kron(grid.reshape(columns, columns), np.ones((CELL, CELL)))
    Image.fromarray((pixels * 255).round().astype(np.uint8)).save(path)
