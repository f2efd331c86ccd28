"""Clean data in which defects can be planted."""

import numpy as np
import pandas as pd
import pytest

import equipoise

CLASSES = ("ant", "bee", "cat")
SPLITS = np.repeat(["train", "validation", "test"], [180, 60, 60])
NAMES = ("left", "right", "third")


@pytest.fixture
def rng():
    return np.random.default_rng()


@pytest.fixture(params=[2, 3], ids=["two modalities", "three modalities"])
def modalities(request):
    return NAMES[: request.param]


@pytest.fixture
def clean(rng, modalities):
    """300 rows of three classes; in each modality one of three numbers stands out per class."""
    label = np.arange(len(SPLITS)) % len(CLASSES)
    numbers = {
        f"{m}{k}": rng.normal(size=len(SPLITS)) + 9 * (label == k)
        for m in modalities
        for k in range(len(CLASSES))
    }
    ids = [f"s{k:03d}" for k in range(len(SPLITS))]
    return pd.DataFrame(
        {"id": ids, **numbers, "label": [CLASSES[k] for k in label], "split": SPLITS}
    )


@pytest.fixture
def doctor(modalities):
    """Diagnoses a table like `clean`; `more` declares further modalities."""

    def look(frame, *more, **settings):
        declared = [f"{m}={m}*:vector" for m in modalities]
        return equipoise.doctor(
            frame, modality=[*declared, *more], **{"split": "split", "id": "id", **settings}
        )

    return look


@pytest.fixture
def told():
    """Texts of a report's advice on a topic."""

    def choose(report, topic, level=None):
        chosen = [
            f for f in report["advice"] if f["topic"] == topic and level in (None, f["level"])
        ]
        return [finding["text"] for finding in chosen]

    return choose
