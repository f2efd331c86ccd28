"""`synthetic`: modalities whose best possible accuracy is known (see `equipoise.data.datasets.preparing.signals`)."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.datasets.preparing.signals import Sensor, best_accuracies, embed, signals
from equipoise.data.modality import ModalitySpec
from equipoise.data.table import splits as splitting
from equipoise.data.table.table import Splits, Table
from equipoise.errors import ConfigError, invalid

DEFAULT = {"easy": {"strength": 2.5}, "hard": {"strength": 2.0, "bends": 3}}


def load(
    *,
    seed: int = 0,
    validation: float = 0.15,
    test: float = 0.25,
    samples: int = 2000,
    classes: int = 4,
    redundancy: float = 0.0,
    modalities: Mapping[str, Mapping[str, Any]] | None = None,
) -> Splits:
    """Vectors with known best accuracy.

    Args:
        seed: of the draw and the splits.
        validation: share of the samples.
        test: share of the samples.
        samples: in all.
        classes: C.
        redundancy: correlation of the noise of two modalities.
        modalities: {name: {strength, bends, noise}}; an easy and a hard one by default.

    Returns:
        Splits whose `preprocessing["best_accuracy"]` holds the best possible accuracy per modality
        and fused.
    """
    sensors = parse(modalities or DEFAULT)
    check_counts(samples, classes)
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(samples) % classes)
    shown = signals(sensors, label, classes, redundancy, rng)
    arrays = {name: embed(shown[name], sensor, rng) for name, sensor in sensors.items()}
    split = splitting.draw(label, validation=validation, test=test, seed=seed)
    specs = {name: ModalitySpec(name, "vector", array.shape[1:]) for name, array in arrays.items()}
    whole = Table(
        specs,
        arrays,
        np.arange(samples),
        label,
        {m: np.ones(samples, dtype=bool) for m in specs},
        [f"class {k}" for k in range(classes)],
        [str(k) for k in range(samples)],
    )
    train, validating, testing = (
        whole.take(np.flatnonzero(split == name)) for name in splitting.NAMES
    )
    facts = {"best_accuracy": best_accuracies(sensors, classes, redundancy)}
    return Splits(train, validating, testing, name="synthetic", preprocessing=facts)


def prepare(
    out: Path,
    *,
    seed: int = 0,
    samples: int = 400,
    classes: int = 4,
    redundancy: float = 0.0,
    sound: float = 2.0,
    picture: float = 2.5,
) -> dict[str, float]:
    """Render a sound (wav) and a picture (png) per sample into an existing empty folder.

    `manifest.csv` lists them, and `dataset.json` says how to read it.

    Args:
        out: the folder.
        seed: of the draw.
        samples: rows of the manifest.
        classes: C.
        redundancy: correlation of the noise of sound and picture.
        sound: strength of the sound.
        picture: strength of the picture.

    Returns:
        The best possible accuracy per modality and fused, before the files' quantisation.
    """
    from equipoise.data.datasets.preparing import render

    sensors = {"sound": Sensor(sound), "picture": Sensor(picture)}
    check_counts(samples, classes)
    best = best_accuracies(sensors, classes, redundancy)
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(samples) % classes)
    shown = signals(sensors, label, classes, redundancy, rng)
    facts = {
        "name": "synthetic-files",
        "manifest": "manifest.csv",
        "modalities": ["sound=sound:audio", "picture=picture:image"],
        "label": "label",
        "id": "id",
        "options": {
            "sound": {"rate": render.RATE, "seconds": render.SECONDS},
            "picture": {"size": render.side(classes), "channels": 1, "normalise": "fit"},
        },
        "best_accuracy": best,
    }
    (out / "dataset.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    with (out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "sound", "picture", "label"])
        for row in range(samples):
            render.sound(shown["sound"][row], out / f"{row:05d}.wav", rng)
            render.picture(shown["picture"][row], out / f"{row:05d}.png")
            writer.writerow([row, f"{row:05d}.wav", f"{row:05d}.png", f"class {label[row]}"])
    return best


def check_counts(samples: int, classes: int) -> None:
    """Raises ConfigError where a class would have no sample, or there is nothing to tell apart."""
    if not (isinstance(classes, int) and classes >= 2):
        raise invalid("synthetic", "classes", "a whole number of at least 2", classes)
    if not (isinstance(samples, int) and samples >= classes):
        raise invalid(
            "synthetic", "samples", f"a whole number of at least one per class ({classes})", samples
        )


def parse(modalities: Mapping[str, Mapping[str, Any]]) -> dict[str, Sensor]:
    """Sensors from plain options.

    Raises:
        ConfigError: an option no sensor has, or a value it cannot take.
    """
    if not isinstance(modalities, Mapping):
        raise invalid("synthetic", "modalities", "settings of each modality by name", modalities)
    try:
        return {name: Sensor(**options) for name, options in modalities.items()}
    except TypeError as error:
        raise ConfigError(
            f"data.options.modalities: {error}; a modality has strength, bends and noise"
        ) from None
