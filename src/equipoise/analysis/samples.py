"""Samples as panels: a picture, a film's frame, a spectrogram, a waveform, numbers or a text."""

from __future__ import annotations

from typing import Any

import numpy as np

from equipoise.analysis.picture import Line, Mark, Panel, Photo
from equipoise.batch import Input
from equipoise.data.table.table import Table


def sample_input(table: Table, modality: str, row: int) -> Input:
    """The input of one sample (1, …), as the network reads it without augmentation."""
    return table.rows(np.array([row])).inputs[modality]


def photo(block: np.ndarray) -> np.ndarray:
    """A picture (height, width, 3) in [0, 1] of a sample with two axes of space.

    Args:
        block: (channels, height, width), or (frames, channels, height, width), whose middle frame
            is shown. Three channels are colours; of others the mean is shown in grey.
    """
    if block.ndim == 4:
        block = block[len(block) // 2]
    colours = block if len(block) == 3 else np.repeat(block.mean(0, keepdims=True), 3, 0)
    low, high = float(colours.min()), float(colours.max())
    scaled: np.ndarray = (colours - low) / max(high - low, 1e-12)
    return scaled.transpose(1, 2, 0)


def is_spatial(kind: str, shape: tuple[int, ...]) -> bool:
    """True for samples with two axes of space, or of frequency and time."""
    return kind in ("image", "video", "flow", "audio") and len(shape) >= 3


def sample_panel(table: Table, modality: str, row: int, title: str) -> Panel:
    """A panel that shows one modality of a sample."""
    spec = table.specs[modality]
    if not table.present[modality][row]:
        return Panel([], title, bare=True, text="absent")
    if spec.vocabulary is not None:
        return Panel([], title, bare=True, text=str(table.original(modality, row)))
    value: Any = sample_input(table, modality, row)
    block = (value["values"] if isinstance(value, dict) else value)[0].float().numpy()
    if is_spatial(spec.kind, spec.shape):
        pixels = photo(block)
        # Low frequencies are the first rows of a spectrogram, and belong below.
        shown = pixels[::-1] if spec.kind == "audio" else pixels
        return Panel([Photo(shown)], title, bare=True)
    series = block.reshape(len(block), -1) if spec.kind == "array" else block.reshape(-1, 1)
    marks: list[Mark] = [
        Line(list(range(len(series))), column.tolist(), "", k)
        for k, column in enumerate(series.T[:8])
    ]
    return Panel(marks, title)
