"""Rows that must not be learned from are poisoned: what is learned stays the same, in bits.

The tables hold a modality of every kind. All that is fitted before a training, all that a training
reads, and the weights in its end are compared.
"""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from PIL import Image
from safetensors.torch import load_file

import equipoise
from equipoise.data import load
from equipoise.portfolio import run as searching
from equipoise.portfolio.classical import Classical
from equipoise.settings import DataSettings
from portfolios import few
from videos import write_video

WORDS = ("so", "bright", "dark", "calm", "loud", "rain", "sun", "wind")
SPLITS = np.array(["train"] * 20 + ["validation"] * 10 + ["test"] * 10)
COUNTS = [f"n{k}" for k in range(9)]
MODALITIES = (
    "sound=wav:audio",
    "look=png:image",
    "clip=avi:video",
    "motion=flow:flow",
    "steps=steps:array",
    "point=point:vector",
    "numbers=a,b:vector",
    f"counts={','.join(COUNTS)}:vector",
    "said=text:text",
    "person=age,dose,job,smoker,seen,code:tabular",
)
VARIANTS = {
    "defaults": {},
    "holdout and gaps": {"holdout": 0.25, "missing": 0.3},
    "simulated gaps": {"missing": 0.3, "missing_regime": "simulated"},
    "all scales fitted, and augmented": {
        "holdout": 0.2,
        "options": {
            "sound": {"transform": "log-stft", "normalise": "fit", "mask_bands": 5},
            "look": {"normalise": "fit", "crop": [0.3, 1.0], "flip": True, "jitter": 0.5},
            "clip": {"normalise": "fit", "frames": 2, "candidates": 3, "flip": True},
            "motion": {"normalise": "fit"},
            "steps": {"mask": True},
            "point": {"normalise": "fit"},
            "said": {"minimum": 1, "size": 6},
            "person": {"rare": 2, "most": 2},
        },
    },
}


def cells(folder: Path, number: int, *, other: bool = False, longer: bool = False) -> dict:
    """The cells of a row, whose files are written; `other` content, that is `longer` and odd."""
    rng = np.random.default_rng([number, other, longer])
    name = f"{number}-{other:d}{longer:d}"
    scale = 40.0 if other else 1.0
    long = 3 if longer else 1
    wave = rng.normal(size=2400 * long) * 0.01 * min(scale, 20)
    soundfile.write(folder / f"{name}.wav", wave, 16000 if longer else 8000)
    pixels = rng.integers(150 * other, 150 + 100 * other, (14 * long, 12 * long, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{name}.png")
    write_video(folder / f"{name}.avi", frames=6 * long + number % 5, size=(32 * long, 32))
    arrays = {"flow": (9 * long, 2, 10, 10), "steps": (5 + number % 3 + 20 * longer, 3), "point": 4}
    for column, shape in arrays.items():
        np.save(folder / f"{column}{name}.npy", scale + scale * rng.normal(size=shape))
    words = [f"word{k}" for k in range(30)] if other else WORDS
    counts = rng.poisson(0.3, len(COUNTS)) * 5
    found = {
        "wav": f"{name}.wav",
        "png": f"{name}.png",
        "avi": f"{name}.avi",
        **{column: f"{column}{name}.npy" for column in arrays},
        "a": scale * rng.normal(),
        "b": scale + rng.normal(),
        **dict(zip(COUNTS, -counts if longer else counts * int(scale), strict=True)),
        "text": " ".join(rng.choice(words, 5 * long)),
        "age": int(rng.integers(20, 60) * scale),
        "dose": float(np.exp(rng.normal() * (3 if other else 1))) * scale,
        "job": rng.choice(["pilot", "nurse", "judge"] if other else ["cook", "smith", "clerk"]),
        "smoker": bool(rng.random() < 0.5),
        "seen": f"{1960 if other else 2020}-0{rng.integers(1, 9)}-1{rng.integers(10)}",
        "code": "many" if longer and number % 3 == 0 else int(rng.integers(9)),
        "weight": float(rng.random() + 0.5) * scale,
        # Classes of validation and test become as unequal as can be.
        "label": "ab"[0 if longer and number % 5 else number % 2],
        "split": SPLITS[number],
        "id": f"row {number}",
    }
    for column in ("age", "job", "dose"):
        if rng.random() < (0.5 if longer else 0.1):
            found[column] = None
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("poison")


@pytest.fixture(scope="module")
def clean(folder):
    return pd.DataFrame([cells(folder, k) for k in range(len(SPLITS))])


@pytest.fixture(scope="module")
def odd(folder):
    """Other content in every row, of other sizes, types and classes."""
    return pd.DataFrame([cells(folder, k, other=True, longer=True) for k in range(len(SPLITS))])


@pytest.fixture(scope="module")
def other(folder):
    """Other content in every row, of the same sizes and types."""
    return pd.DataFrame([cells(folder, k, other=True) for k in range(len(SPLITS))])


def poisoned(clean: pd.DataFrame, by: pd.DataFrame, *splits: str) -> pd.DataFrame:
    """The clean table, with rows of these splits from the other one."""
    return clean.where(~clean["split"].isin(splits), by)


@pytest.fixture
def given(folder):
    """Settings of the data of a frame."""

    def settings(frame: pd.DataFrame, **more) -> DataSettings:
        names = {"split": "split", "id": "id", "weight": "weight", "problems": "absent"}
        places = {"root": str(folder), "cache": str(folder / "cache")}
        return DataSettings(frame, **places, **names, modality=list(MODALITIES), **more)

    return settings


def difference(first, second, path: str = "all") -> str:
    """Where two nested values differ, in bits; "" where they do not."""
    if isinstance(first, torch.Tensor | np.ndarray):
        same = np.array_equal(first, second, equal_nan=True)
    elif isinstance(first, dict) and isinstance(second, dict):
        if first.keys() != second.keys():
            return path
        found = (difference(first[k], second[k], f"{path}.{k}") for k in first)
        return next(filter(None, found), "")
    else:
        same = first == second
    return "" if same else path


def read(part, epoch: int = 0) -> dict:
    """All that a table gives to a training."""
    batch = part.rows(np.arange(len(part)), epoch)
    return {
        "inputs": batch.inputs,
        "present": batch.present,
        "label": batch.label,
        "weight": batch.weight,
        "ids": part.ids,
        "specs": dict(part.specs),
        "classes": part.classes,
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_that_data_learn_follows_validation_or_test(clean, odd, given, variant):
    frames = [clean, poisoned(clean, odd, "validation", "test")]
    one, two = (load(given(frame, **VARIANTS[variant])) for frame in frames)
    assert not difference(one.preprocessing, two.preprocessing)
    for part in ("train", "holdout") if one.holdout is not None else ("train",):
        for epoch in (0, 1):
            found = [read(getattr(parts, part), epoch) for parts in (one, two)]
            assert not difference(*found, part)
    for part in ("validation", "test"):
        inputs = [read(getattr(parts, part))["inputs"] for parts in (one, two)]
        same = [m for m in inputs[0] if not difference(inputs[0][m], inputs[1][m])]
        assert not same, "no poison came in"


@pytest.mark.filterwarnings("ignore")
def test_training_rows_alone_are_augmented(clean, given):
    parts = load(given(clean, **VARIANTS["all scales fitted, and augmented"]))
    for part in (parts.validation, parts.test, parts.holdout):
        assert not difference(*(read(part, epoch) for epoch in (0, 1)))
    first, second = (read(parts.train, epoch)["inputs"] for epoch in (0, 1))
    moved = {m for m in first if difference(first[m], second[m])}
    assert moved == {"sound", "look", "clip"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("regime", ["strict", "simulated"])
def test_nothing_that_data_learn_follows_the_holdout_or_hidden_cells(clean, other, given, regime):
    options = {"holdout": 0.25, "missing": 0.5, "missing_regime": regime}
    one = load(given(clean, **options))
    frame = clean.set_index("id")
    by = other.set_index("id")
    frame.loc[list(one.holdout.ids)] = by.loc[list(one.holdout.ids)]
    for modality in MODALITIES:
        name, _, rest = modality.partition("=")
        hidden = np.flatnonzero(~one.train.present[name])
        assert len(hidden), name
        rows, columns = [one.train.ids[k] for k in hidden], rest.partition(":")[0].split(",")
        frame.loc[rows, columns] = by.loc[rows, columns]
    two = load(given(frame.reset_index(), **options))
    assert not difference(one.preprocessing, two.preprocessing)
    found = [read(parts.train) for parts in (one, two)]
    if regime == "strict":
        assert not difference(*found)
    assert difference(read(one.holdout)["inputs"], read(two.holdout)["inputs"])


QUICK = {"epochs": 2, "patience": 0, "width": 8, "label": "label", "device": "cpu", "verbose": 0}


@pytest.fixture
def train(folder, tmp_path):
    """Trains on vectors, texts and rows of a table, and returns the run."""

    def fit(frame, name, method, **more):
        modality = [m for m in MODALITIES if m.endswith((":vector", ":text", ":tabular"))]
        places = {"data.root": str(folder), "data.cache": str(folder / "cache")}
        columns = {"split": "split", "id": "id", "weight": "weight", "problems": "absent"}
        options = {**QUICK, **places, **columns, "modality": modality[1:], **more}
        return equipoise.fit(frame, method, out=tmp_path / name, **options)

    return fit


def ends(run) -> dict:
    """Model and method after the last epoch."""
    newest = sorted((run.folder / "checkpoints").glob("epoch-*"))[-1]
    return {n: load_file(newest / f"{n}.safetensors") for n in ("model", "method")}


TRAININGS = [
    ("balanced", {"class_weight": "balanced", "missing": 0.2}),
    ("mla", {"sampling": "balanced", "batch_size": 4}),
    ("lfm", {"class_weight": "balanced", "data.holdout": 0.3}),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("method", "more"), TRAININGS)
def test_no_weight_follows_validation_or_test(clean, odd, train, method, more):
    """Neither what these rows hold, nor their classes, weights or number."""
    frame = poisoned(clean, odd, "validation", "test")
    test = frame[frame["split"] == "test"]
    frame = pd.concat([frame, test.assign(id="again " + test["id"])]).iloc[1:-1]
    assert clean["split"].iloc[0] == "train"
    frame = pd.concat([clean.iloc[:1], frame])
    found = [train(t, n, method, **more) for n, t in (("one", clean), ("two", frame))]
    assert not difference(*(ends(run) for run in found))
    assert found[0].result["validation"] != found[1].result["validation"]


def test_lengths_follow_the_number_of_training_rows(clean, train):
    """Epochs, batch and patience of a training that leaves them open."""
    open_ones = dict.fromkeys(("epochs", "batch_size", "patience"), "auto")
    few = clean[clean["split"] != "train"]
    rows = [clean[clean["split"] == "train"]] * 12
    found = []
    for later in ([few], [few] * 9):
        frame = pd.concat([*rows, *later], ignore_index=True)
        frame["id"] = frame.index
        numbers = {"modality": ["numbers=a,b:vector"], "weight": None, **open_ones}
        run = train(frame, str(len(frame)), "joint", callbacks=[stop], **numbers)
        found.append({name: getattr(run.settings, name) for name in open_ones})
    assert found[0]["batch_size"] == 30
    assert found[0] == found[1]


def stop(line) -> bool:
    """A callback that ends a training after its first epoch."""
    return True


@pytest.mark.filterwarnings("ignore")
def test_nothing_that_is_chosen_or_calibrated_follows_test(clean, odd, train):
    more = {"calibration": "temperature", "select": "macro_f1", "patience": 1, "epochs": 4}
    frame = poisoned(clean, odd, "test")
    found = [train(t, n, "joint", **more).result for n, t in (("one", clean), ("two", frame))]
    assert found[0]["test"] != found[1]["test"]
    for result in found:
        result["temperature"].pop("log_loss")
        for name in ("test", "contribution", "cost", "command", "problems"):
            del result[name]
    assert not difference(*found)


@pytest.mark.filterwarnings("ignore")
def test_nothing_that_a_search_learns_follows_test(clean, odd, folder, tmp_path, monkeypatch):
    """Neither vocabularies and scales nor members and their weights."""
    monkeypatch.setattr(searching, "portfolio", few)
    kinds = (":image", ":text", ":tabular", "a,b:vector")
    found = []
    for name, frame in (("one", clean), ("two", poisoned(clean, odd, "test"))):
        run = equipoise.auto(
            frame,
            600,
            tmp_path / name,
            workers=1,
            verbose=0,
            modality=[m for m in MODALITIES if m.endswith(kinds)],
            label="label",
            split="split",
            width=8,
            problems="absent",
            **{"data.root": str(folder), "data.cache": str(folder / "cache")},
        )
        learned = {}
        for path in sorted(run.folder.rglob("*")):
            where = str(path.relative_to(run.folder))
            if path.suffix == ".safetensors":
                learned[where] = load_file(path)
            elif path.suffix == ".skops":
                learned[where] = joblib.hash(Classical.load(path.parent).estimator)
            elif path.suffix == ".npz" and "predictions" not in where:
                learned[where] = dict(np.load(path))
        members = [{k: v for k, v in m.items() if k != "seconds"} for m in run.result["members"]]
        validation = run.result["validation"]
        found.append({"learned": learned, "members": members, "validation": validation})
    assert {Path(name).suffix for name in learned} == {".safetensors", ".skops", ".npz"}
    assert not difference(*found)
