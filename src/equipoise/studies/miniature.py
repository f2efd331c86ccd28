"""Miniatures of the data sets of the studies: a few samples of the same modalities.

A smoke test runs the real files of a study on them. Their classes differ in pitch, brightness or
words, so that there is something to learn; numbers on them mean nothing else.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from equipoise.configuration.presets import read_preset
from equipoise.data.datasets.preparing.writing import Collection, write
from equipoise.studies.study import StudyData

CLASSES = 3
COUNTS = {"train": 36, "validation": 12, "test": 12}
RATE = 8000
KINDS = {
    "audio": "audio",
    "video": "video",
    "rgb": "video",
    "depth": "video",
    "flow": "flow",
    "image": "image",
    "text": "text",
}
"""{modality: kind} in the folders that `prepare` makes."""

INPUTS: dict[str, dict[str, Any]] = {
    "audio": {
        "transform": "log-mel",
        "rate": RATE,
        "seconds": 0.2,
        "mels": 16,
        "window": 256,
        "hop": 64,
    },
    "video": {"transform": "frames", "frames": 2, "size": 16},
    "flow": {"transform": "flow", "frames": 2, "size": 16},
    "image": {"transform": "picture", "size": 16},
    "text": {"transform": "words", "length": 6},
    "vector": {"transform": "vector"},
}
"""{kind: how a miniature is read}"""

ENCODERS: dict[str, dict[str, Any]] = {
    **{kind: {"name": "small_cnn"} for kind in ("audio", "video", "flow", "image")},
    "text": {"name": "textcnn", "embedding": 8, "filters": 8},
    "vector": {"name": "mlp", "hidden": [16]},
}
"""{kind: the network that reads it}"""


def kinds_of(data: StudyData) -> dict[str, str]:
    """{modality: kind} of a data set; those that the preset reads as vectors are vectors."""
    options = {} if data.preset is None else read_preset(data.preset)["data"]["options"]
    return {
        m: "vector" if options.get(m, {}).get("transform") == "vector" else KINDS[m]
        for m in data.modalities
    }


def tiny_settings(data: StudyData) -> dict[str, Any]:
    """Nested settings, in place of the preset's, that train on a miniature in a second."""
    kinds = kinds_of(data)
    return {
        "data": {"options": {m: dict(INPUTS[kind]) for m, kind in kinds.items()}},
        "encoder": {m: dict(ENCODERS[kind]) for m, kind in kinds.items()},
        "width": 16,
        "optimiser": {"name": "sgd", "lr": 0.01, "momentum": 0.9},
        "epochs": 2,
        "batch_size": 12,
    }


def make_miniature(data: StudyData, folder: Path) -> None:
    """Write a miniature in the layout of a prepared folder, unless it is there."""
    if folder.exists():
        return
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True)
    try:
        _write(data, temporary)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(data: StudyData, folder: Path) -> None:
    rng = np.random.default_rng(0)
    kinds = kinds_of(data)
    rows = []
    for split, count in COUNTS.items():
        for number in range(count):
            label = number % CLASSES
            row = {"id": f"{split}-{number}", "label": f"class {label}", "split": split}
            for modality, kind in kinds.items():
                path = folder / modality / f"{split}-{number}"
                path.parent.mkdir(exist_ok=True)
                row[modality] = WRITERS[kind](path, label, rng)
                if kind != "text":
                    row[modality] = str(Path(row[modality]).relative_to(folder))
            rows.append(row)
    declared = [f"{m}={m}:{kind}" for m, kind in kinds.items()]
    write(folder, Collection(data.set, declared, rows))


def _sound(path: Path, label: int, rng: np.random.Generator) -> str:
    time = np.arange(RATE // 5) / RATE
    tone = 0.2 * np.sin(2 * np.pi * 400 * (label + 1) * time)
    soundfile.write(f"{path}.wav", tone + 0.1 * rng.standard_normal(len(time)), RATE)
    return f"{path}.wav"


def _picture(path: Path, label: int, rng: np.random.Generator) -> str:
    noise = rng.integers(0, 96, (16, 16, 3))
    Image.fromarray((noise + 64 * label).astype(np.uint8)).save(f"{path}.png")
    return f"{path}.png"


def _frames(path: Path, label: int, rng: np.random.Generator) -> str:
    path.mkdir()
    for number in range(3):
        _picture(path / f"{number}", label, rng)
    return str(path)


def _words(path: Path, label: int, rng: np.random.Generator) -> str:
    return " ".join(f"word{w}" for w in (label, *rng.integers(CLASSES, 12, 4)))


def _flow(path: Path, label: int, rng: np.random.Generator) -> str:
    np.save(f"{path}.npy", (label + rng.standard_normal((16, 16, 2, 3))).astype(np.float32))
    return f"{path}.npy"


def _vector(path: Path, label: int, rng: np.random.Generator) -> str:
    values = rng.standard_normal(16)
    values[label] += 2
    np.save(f"{path}.npy", values.astype(np.float32))
    return f"{path}.npy"


WRITERS: dict[str, Callable[[Path, int, np.random.Generator], str]] = {
    "audio": _sound,
    "video": _frames,
    "flow": _flow,
    "image": _picture,
    "text": _words,
    "vector": _vector,
}
"""{kind: function that writes one sample and returns its cell}"""
