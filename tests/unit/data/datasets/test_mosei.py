"""CMU-MOSEI: the pickles of MulT and MMSA become one array per modality, scores become classes."""

import csv
import json
import pickle

import numpy as np
import pytest

from equipoise.data.datasets import mosei
from equipoise.errors import ConfigError, DataError

SCORES = [-3.0, -2.5, -1.0, -0.5, -1 / 3, 0.0, 0.5, 2 / 3, 1.5, 3.0]
SHAPES = {"text": (5, 3), "audio": (7, 4), "vision": (7, 2)}
COUNTS = {"train": 10, "valid": 4, "test": 6}


def mult(rng):
    parts = {}
    for split, count in COUNTS.items():
        part = {m: rng.normal(size=(count, *shape)) for m, shape in SHAPES.items()}
        part["audio"][0, 0, :2] = -np.inf, np.nan
        part["labels"] = np.array(SCORES[:count]).reshape(-1, 1, 1)
        part["id"] = np.array(
            [[f"{split}{k // 2}", f"{k}.5", f"{k + 1}.25"] for k in range(count)], dtype=object
        )
        parts[split] = part
    return parts


def mmsa(rng):
    parts = {}
    for split, part in mult(rng).items():
        arrays = {m: part[m].astype(np.float32) for m in SHAPES}
        ids = [f"{video}$_${k}" for k, (video, *_) in enumerate(part["id"])]
        more = {"raw_text": ["hi"] * len(ids), "audio_lengths": [7] * len(ids)}
        scores = {
            "regression_labels": part["labels"].ravel(),
            "classification_labels": np.zeros(len(ids)),
        }
        parts[split] = {**arrays, "id": ids, **more, **scores}
    return parts


def save(folder, parts):
    (folder / "mosei.pkl").write_bytes(pickle.dumps(parts))
    (folder / "out").mkdir(exist_ok=True)
    return parts


def prepare(folder, **options):
    facts = mosei.prepare(folder / "out", root=folder / "mosei.pkl", **options)
    return facts, list(csv.DictReader((folder / "out/manifest.csv").open()))


@pytest.mark.parametrize("packaging", [mult, mmsa])
def test_each_cell_picks_its_row(tmp_path, monkeypatch, packaging):
    monkeypatch.setattr(mosei, "CHUNK", 3)
    parts = save(tmp_path, packaging(np.random.default_rng()))
    facts, rows = prepare(tmp_path)
    assert {s: f["samples"] for s, f in facts["splits"].items()} == {
        "train": 10,
        "validation": 4,
        "test": 6,
    }
    names = {"train": "train", "validation": "valid", "test": "test"}
    for row in rows:
        split, _, place = row["id"].partition("-")
        assert split == row["split"]
        assert row["group"] == f"{names[split]}{int(place) // 2}"
        for m, shape in SHAPES.items():
            file, _, number = row[m].partition("#")
            stored = np.load(tmp_path / "out" / file, mmap_mode="r")
            assert stored.dtype == np.float32
            assert stored.shape == (20, *shape)
            given = parts[names[split]][m][int(place)].astype(np.float32)
            np.testing.assert_array_equal(
                stored[int(number)], np.where(np.isfinite(given), given, 0)
            )
    assert facts["notes"][0] == "6 numbers of audio that were not finite are 0"
    modalities = json.loads((tmp_path / "out/dataset.json").read_text())["modalities"]
    assert modalities == ["text=text:array", "audio=audio:array", "vision=vision:array"]


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (2, ["negative"] * 5 + ["non-negative"] * 5),
        (3, ["negative"] * 3 + ["neutral"] * 4 + ["positive"] * 3),
        (7, ["-3", "-2", "-1", "0", "0", "0", "0", "1", "2", "3"]),
    ],
)
def test_classes(tmp_path, classes, expected):
    save(tmp_path, mult(np.random.default_rng()))
    _, rows = prepare(tmp_path, classes=classes)
    assert [row["label"] for row in rows if row["split"] == "train"] == expected


def without(key):
    return lambda parts: parts["valid"].pop(key)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda parts: parts.pop("test"), "has no split 'test'"),
        (without("vision"), "'vision' of 'valid' is not an array of shape"),
        (without("id"), "has no 'id'"),
        (without("labels"), "expected a score from -3 to 3"),
        (
            lambda parts: parts["test"].update(labels=np.full((6, 1, 1), np.nan)),
            "expected a score from -3 to 3",
        ),
        (
            lambda parts: parts["train"].update(audio=np.zeros((9, 7, 4))),
            "different number of segments",
        ),
        (
            lambda parts: parts["train"].update(audio=np.zeros((10, 7, 5))),
            "'audio' has another shape in each split",
        ),
    ],
)
def test_another_packaging_is_refused(tmp_path, damage, message):
    parts = mult(np.random.default_rng())
    damage(parts)
    save(tmp_path, parts)
    with pytest.raises(DataError, match=rf"mosei\.pkl: .*{message}"):
        prepare(tmp_path)


def test_what_cannot_be(tmp_path):
    save(tmp_path, mult(np.random.default_rng()))
    with pytest.raises(ConfigError, match="2, 3 or 7, found 5"):
        prepare(tmp_path, classes=5)
    (tmp_path / "mosei.pkl").write_bytes(b"no pickle")
    with pytest.raises(DataError, match="not readable as a pickle of arrays"):
        prepare(tmp_path)
