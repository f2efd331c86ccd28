"""Training rows alone decide how data are read: kinds, splits and sizes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from equipoise.data import load
from equipoise.settings import DataSettings


def settings(folder: Path, frame: pd.DataFrame, **more) -> DataSettings:
    return DataSettings(frame, cache=str(folder / "cache"), root=str(folder), **more)


def sounds(folder: Path, count: int = 30, seconds: float = 0.5, rate: int = 8000) -> pd.DataFrame:
    """Noises of two loudnesses, a class each."""
    rng = np.random.default_rng(0)
    rows = []
    for row in range(count):
        loud = row % 2
        wave = rng.normal(size=int(rate * seconds)) * (0.2 if loud else 0.01)
        soundfile.write(folder / f"{row}.wav", wave, rate)
        rows.append({"wav": f"{row}.wav", "label": ["soft", "loud"][loud]})
    return pd.DataFrame(rows)


def test_a_bad_file_moves_no_other_row_into_another_split(tmp_path):
    frame = sounds(tmp_path)
    options = {"modality": ["sound=wav:audio"], "problems": "drop"}
    before = load(settings(tmp_path, frame, **options))
    gone = before.test.ids[0]
    (tmp_path / frame.wav[int(gone)]).write_bytes(b"no sound")
    after = load(settings(tmp_path, frame, **options))
    assert after.train.ids == before.train.ids
    assert after.validation.ids == before.validation.ids
    assert after.test.ids == before.test.ids[1:]


@pytest.mark.parametrize("given", [True, False])
def test_a_test_row_does_not_decide_the_kind_of_a_modality(tmp_path, given):
    frame = sounds(tmp_path)
    options = {"modality": ["sound=wav"], "problems": "absent"}
    if given:
        frame["split"] = ["test", "test", "validation", "validation", *["train"] * (len(frame) - 4)]
        options["split"] = "split"
    test_rows = [int(i) for i in load(settings(tmp_path, frame, **options)).test.ids]
    frame["other"] = 1.0
    frame.loc[test_rows, "wav"] = "clip.mp4"
    parts = load(
        settings(
            tmp_path,
            frame,
            modality=["sound=wav", "x=other"],
            **{k: v for k, v in options.items() if k != "modality"},
        )
    )
    assert parts.train.specs["sound"].kind == "audio"
    assert [int(i) for i in parts.test.ids] == test_rows
