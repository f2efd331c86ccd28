"""Numbers as sounds and pictures: synthetic signals as real files that go through the whole pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

RATE = 8000


def _level(signal: np.ndarray) -> np.ndarray:
    """Into (0, 1), invertibly."""
    level: np.ndarray = 1 / (1 + np.exp(-signal / 2))
    return level


def sound(signal: np.ndarray, path: Path, rng: np.random.Generator, seconds: float = 0.25) -> None:
    """A chord of one tone per number, as loud as the number is large; 16-bit wav at 8 kHz."""
    time = np.arange(int(RATE * seconds)) / RATE
    frequency = np.geomspace(300, 3000, len(signal))
    phase = rng.uniform(0, 2 * np.pi, len(signal))
    tones = _level(signal)[:, None] * np.sin(2 * np.pi * frequency[:, None] * time + phase[:, None])
    soundfile.write(path, tones.sum(0) / len(signal), RATE, subtype="PCM_16")


def picture(signal: np.ndarray, path: Path, cell: int = 4) -> None:
    """A row of grey squares, one per number; 8-bit png."""
    columns = int(np.ceil(np.sqrt(len(signal))))
    grid = np.zeros(columns * columns)
    grid[: len(signal)] = _level(signal)
    pixels = np.kron(grid.reshape(columns, columns), np.ones((cell, cell)))
    Image.fromarray((pixels * 255).round().astype(np.uint8)).save(path)
