"""The digest of a run's data: other values, other digest; the same values, the same one."""

import os

import numpy as np
import pandas as pd
import pytest
import soundfile

from equipoise import data
from equipoise.configuration.layers import make_settings, nest
from equipoise.data.decoding.store import fingerprint
from equipoise.errors import RunError
from equipoise.runs.run import train
from equipoise.settings import DataSettings
from equipoise.training.checkpoint import Checkpoints


@pytest.fixture
def rng():
    return np.random.default_rng()


def changed(array, rng):
    """A copy with one value changed, in any place."""
    other = array.copy()
    place = np.unravel_index(rng.integers(array.size), array.shape)
    other[place] = (
        "another"
        if array.dtype == object
        else ~other[place]
        if array.dtype == bool
        else other[place] + 1
    )
    return other


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8", "bool", "object"])
def test_one_value_makes_another_fingerprint(rng, dtype):
    array = rng.integers(0, 2 if dtype == "bool" else 100, (40, 3)).astype(dtype)
    array = array.astype(str).astype(object) if dtype == "object" else array
    assert fingerprint(array) == fingerprint(array.copy()) == fingerprint(np.asfortranarray(array))
    assert fingerprint(array) != fingerprint(changed(array, rng))
    assert fingerprint(array) != fingerprint(array.reshape(3, 40))


def test_empty_arrays_and_unknown_stores_have_one_too():
    assert fingerprint(np.empty((0, 3))) != fingerprint(np.empty((0, 4)))
    assert fingerprint(range(3)) == b""


def test_a_mapped_file_is_known_by_its_change(tmp_path, rng):
    path = tmp_path / "a.npy"
    np.save(path, rng.normal(size=(20, 4)))
    before = fingerprint(np.load(path, mmap_mode="r"))
    assert fingerprint(np.load(path, mmap_mode="r")) == before
    facts = path.stat()
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 10**9))
    assert fingerprint(np.load(path, mmap_mode="r")) != before


def frame_of(rng):
    return pd.DataFrame(
        {
            "x": rng.normal(size=60),
            "y": rng.normal(size=60),
            "words": [f"number {k} of {rng.integers(9)}" for k in range(60)],
            "label": ["sad", "glad", "calm"] * 20,
        }
    )


@pytest.mark.parametrize(("column", "value"), [("x", 7.5), ("words", "something else was said")])
def test_a_changed_cell_is_other_data(rng, column, value):
    frame = frame_of(rng)
    given = {"modality": ["a=x,y", "b=words:text"], "seed": int(rng.integers(1000))}
    digest = data.load(DataSettings(frame, **given)).digest
    assert data.load(DataSettings(frame.copy(), **given)).digest == digest
    frame.loc[int(rng.integers(60)), column] = value
    assert data.load(DataSettings(frame, **given)).digest != digest


def test_a_changed_file_is_other_data(rng, tmp_path):
    frame = frame_of(rng).assign(clip=[f"{k}.wav" for k in range(60)])
    for name in frame["clip"]:
        soundfile.write(tmp_path / name, rng.uniform(-0.5, 0.5, 800), 8000)
    given = {
        "modality": ["a=x,y", "b=clip"],
        "root": str(tmp_path),
        "cache": str(tmp_path / "cache"),
        "options": {"b": {"seconds": 0.1}},
    }
    digest = data.load(DataSettings(frame, **given)).digest
    assert data.load(DataSettings(frame, **given)).digest == digest
    soundfile.write(tmp_path / "7.wav", rng.uniform(-0.5, 0.5, 1000), 8000)
    assert data.load(DataSettings(frame, **given)).digest != digest


def test_a_run_does_not_go_on_with_other_values(rng, tmp_path, monkeypatch):
    frame = frame_of(rng)
    settings = make_settings(
        [
            nest(
                {
                    "data": {"source": frame},
                    "modality": ["a=x", "b=y"],
                    "epochs": 2,
                    "method": "joint",
                }
            )
        ]
    )
    folder = tmp_path / "run"

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("equipoise.runs.run.finish", killed)
        with pytest.raises(KeyboardInterrupt):
            train(settings, folder)
    assert Checkpoints(folder / "checkpoints", {}).resumable()
    kept = float(frame.loc[5, "x"])
    frame.loc[5, "x"] = kept + 1
    with pytest.raises(RunError, match="data was"):
        train(settings, folder, resume=True)
    frame.loc[5, "x"] = kept
    assert train(settings, folder, resume=True).result["epochs"] == 2
