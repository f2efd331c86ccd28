"""Predictions survive the disk, and a damaged file is named."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from equipoise.batch import Predictions
from equipoise.errors import RunError
from equipoise.evaluation.predictions import load_predictions, save_predictions, to_csv

CLASSES = ("plain", 'with "quotes", commas', "ünïcode <b>&")


def draw(names: tuple[str, ...], rows: int = 9) -> Predictions:
    rng = np.random.default_rng()
    return Predictions(
        index=rng.permutation(rows),
        label=rng.integers(-1, 3, rows),
        present={m: rng.random(rows) < 0.5 for m in names},
        logits={m: rng.standard_normal((rows, 3)).astype(np.float32) for m in names},
        fused=rng.standard_normal((rows, 3)).astype(np.float32),
        classes=CLASSES,
    )


@pytest.mark.parametrize("names", [("a",), ("b", "a"), ("x-ray", "a", "b_2")])
def test_round_trip(tmp_path: Path, names: tuple[str, ...]) -> None:
    given = draw(names)
    save_predictions(given, tmp_path / "p.npz")
    found = load_predictions(tmp_path / "p.npz")
    assert found.modalities == names
    assert found.classes == CLASSES
    for name in ("index", "label", "fused"):
        np.testing.assert_array_equal(getattr(found, name), getattr(given, name))
    for m in names:
        np.testing.assert_array_equal(found.present[m], given.present[m])
        np.testing.assert_array_equal(found.logits[m], given.logits[m])
        assert found.logits[m].dtype == np.float32
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]


def test_holds_what_the_format_says_and_nothing_else(tmp_path: Path) -> None:
    save_predictions(draw(("a", "b")), tmp_path / "p.npz")
    with np.load(tmp_path / "p.npz", allow_pickle=False) as stored:
        parts = {f"{part}/{m}" for part in ("present", "logits") for m in "ab"}
        assert set(stored.files) == {"index", "label", "classes", "fused"} | parts


@pytest.mark.parametrize(
    "damage", ["missing", "empty", "text", "half", "flipped", "array", "folder", "other"]
)
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "p.npz"
    save_predictions(draw(("a", "b")), path)
    content = path.read_bytes()
    path.unlink()
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("not an archive")
    elif damage == "half":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        middle = content.index(b"fused.npy") + 200
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])
    elif damage == "array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif damage == "folder":
        path.mkdir()
    elif damage == "other":
        np.savez(path, something=np.zeros(3))
    with pytest.raises(
        RunError, match=r"p\.npz: no readable predictions .*; train or evaluate again"
    ) as caught:
        load_predictions(path)
    assert "\n" not in str(caught.value)


def test_csv_has_a_row_per_sample_that_sums_to_one(tmp_path: Path) -> None:
    given = draw(("a", "b"))
    ids = [f"clip, {k}" for k in range(9)]
    (tmp_path / "p.csv").write_text(to_csv(given, ids), encoding="utf-8")
    with (tmp_path / "p.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ids
    for row, logits in zip(rows, given.fused, strict=True):
        probability = np.array([float(row[f"p_{name}"]) for name in CLASSES])
        assert probability.sum() == pytest.approx(1, abs=1e-5)
        assert row["prediction"] == CLASSES[int(logits.argmax())]
        assert float(row["confidence"]) == pytest.approx(probability.max())
        np.testing.assert_allclose(probability, np.exp(logits) / np.exp(logits).sum(), atol=1e-5)
