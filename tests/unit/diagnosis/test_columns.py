"""What columns look like, and the declarations that are suggested."""

import numpy as np
import pandas as pd
import pytest

import equipoise
from equipoise.data.tabular import read_sheet
from equipoise.diagnosis.columns import describe, looks_like_group, suggest

NOBODY = {"label": "label", "split": None, "group": None, "id": None}


@pytest.fixture
def table(rng):
    rows = 40
    return pd.DataFrame(
        {
            "key": [f"k{k}" for k in range(rows)],
            "wav": [f"{k}.wav#t=0,1" if k % 2 else None for k in range(rows)],
            "png": [f"{k}.png" for k in range(rows)],
            "said": [f"it is number {k % 7}" for k in range(rows)],
            "pulse_mean": rng.normal(size=rows),
            "pulse_max": rng.normal(size=rows),
            "age": rng.integers(20, 60, rows),
            "speaker": [f"p{k % 5}" for k in range(rows)],
            "part": np.resize(["train", "dev", "test"], rows),
            "nothing": [None] * rows,
            "emotion": np.resize(["glad", "sad"], rows),
        }
    )


def test_every_column_is_described(table, tmp_path):
    (tmp_path / "3.wav").touch()
    found = {column["column"]: column for column in describe(read_sheet(table), tmp_path)}
    assert {name: column["looks_like"] for name, column in found.items()} == {
        "key": "id",
        "wav": "audio",
        "png": "image",
        "said": "text",
        "pulse_mean": "number",
        "pulse_max": "number",
        "age": "number",
        "speaker": "category",
        "part": "split",
        "nothing": "empty",
        "emotion": "category",
    }
    assert found["wav"]["empty"] == 0.5
    assert found["wav"]["files_not_found"] == 19
    assert found["said"]["distinct"] == 7
    assert found["age"]["distinct"] == table["age"].nunique()


def test_suggestions_declare_the_table(table, tmp_path):
    columns = describe(read_sheet(table), tmp_path)
    found = suggest(columns, NOBODY)
    assert found == {
        "modality": [
            "wav=wav:audio",
            "png=png:image",
            "said=said:text",
            "pulse=pulse_mean,pulse_max:vector",
            "numbers=age:vector",
        ],
        "label": "emotion",
        "split": "part",
        "group": "speaker",
        "id": "key",
    }
    assert suggest(columns, {**NOBODY, "label": "said"})["label"] == "said"


def test_what_is_suggested_works(clean):
    clean["values"] = clean["id"].str.replace("s", "the number ")  # a name that no modality can have
    first = equipoise.doctor(clean)
    assert "advice" not in first
    second = equipoise.doctor(clean, **first["suggestion"])
    assert {"left", "right", "m_values"} <= set(second["strength"])
    assert second["balance"]["classes"]["ant"]["all"] == 100


@pytest.mark.parametrize("name", ["speaker", "Speaker_ID", "subject-nr", "sessions", "dialogue id", "patientID"])
def test_names_of_groups(name):
    assert looks_like_group(name)


@pytest.mark.parametrize("name", ["label", "personality", "website", "x0", "loudspeaker", "id"])
def test_names_that_only_look_alike(name):
    assert not looks_like_group(name)
