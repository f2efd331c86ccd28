"""Kinds of columns, and the declarations that are suggested."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import equipoise
from equipoise.data.manifest.sheet import read_sheet
from equipoise.diagnosis.columns import describe_columns, looks_like_group, suggest_declarations

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
    found = {column["column"]: column for column in describe_columns(read_sheet(table), tmp_path)}
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
    columns = describe_columns(read_sheet(table), tmp_path)
    found = suggest_declarations(columns, NOBODY)
    assert found == {
        "modality": [
            "wav=wav:audio",
            "png=png:image",
            "said=said:text",
            "pulse=pulse_mean,pulse_max:vector",
            "table=age:tabular",
        ],
        "label": "emotion",
        "split": "part",
        "group": "speaker",
        "id": "key",
    }
    assert suggest_declarations(columns, {**NOBODY, "label": "said"})["label"] == "said"


def test_what_is_suggested_works(clean):
    clean["values"] = clean["id"].str.replace(
        "s", "the number "
    )  # a name that no modality can have
    first = equipoise.doctor(clean)
    assert first["advice"] == []
    second = equipoise.doctor(clean, **first["suggestion"])
    assert {"left", "right", "m_values"} <= set(second["strength"])
    assert second["balance"]["classes"]["ant"]["all"] == 100


def suggested(frame, base=Path(), **named):
    return suggest_declarations(describe_columns(read_sheet(frame), base), {**NOBODY, **named})


@pytest.mark.parametrize("reader", [Path, pd.read_csv], ids=["file", "DataFrame"])
def test_the_index_that_pandas_writes_is_no_feature(clean, tmp_path, reader):
    clean.drop(columns="id").to_csv(
        tmp_path / "m.csv"
    )  # with its index, as a column without a name
    source = reader(tmp_path / "m.csv")
    found = equipoise.doctor(source)
    assert found["columns"][0]["looks_like"] == "id"
    assert found["suggestion"]["id"] is None
    assert "Unnamed" not in str(found["suggestion"])
    assert {m.partition("=")[0] for m in found["suggestion"]["modality"]} <= {
        "left",
        "right",
        "third",
    }
    assert equipoise.doctor(source, **found["suggestion"])["rows"] == len(clean)


def test_numbers_that_count_the_rows_are_ids(rng):
    first = int(rng.integers(-5, 1000))
    frame = pd.DataFrame(
        {"count": range(first, first + 9), "age": rng.normal(size=9), "label": list("abc") * 3}
    )
    assert suggested(frame)["modality"] == ["table=age:tabular"]
    assert suggested(frame)["id"] == "count"
    for other in (frame["count"] * 2, frame["count"] + 0.5, frame["count"][::-1].to_list()):
        assert suggested(frame.assign(count=other))["modality"] == ["table=count,age:tabular"]


def test_an_id_that_is_empty_in_places_is_not_proposed(rng):
    frame = pd.DataFrame(
        {"key": [None, *"abcdefgh"], "x": rng.normal(size=9), "label": list("abc") * 3}
    )
    assert suggested(frame)["id"] is None


@pytest.mark.parametrize(
    ("shape", "cell", "kind"),
    [
        ((7,), "a.npy", "vector"),
        ((5, 7), "a.npy", "array"),
        ((2, 5, 7), "a.npy", "array"),
        ((5, 7), "a.npy#2", "vector"),
        ((2, 5, 7), "a.npy#1", "array"),
    ],
)
def test_array_files_are_proposed_by_their_shape(rng, tmp_path, shape, cell, kind):
    np.save(tmp_path / "a.npy", rng.normal(size=shape))
    (tmp_path / "bad.npy").write_bytes(b"PK no array")
    frame = pd.DataFrame({"file": ["gone.npy", "bad.npy", *[cell] * 7], "label": list("abc") * 3})
    assert suggested(frame, tmp_path)["modality"] == [f"file=file:{kind}"]


@pytest.mark.parametrize(("groups", "expected"), [(2, None), (3, "speaker")])
def test_too_few_groups_to_split_are_not_proposed(groups, expected):
    frame = pd.DataFrame({"speaker": np.arange(12) % groups, "label": list("ab") * 6})
    assert suggested(frame)["group"] == expected


@pytest.mark.parametrize(
    "name", ["speaker", "Speaker_ID", "subject-nr", "sessions", "dialogue id", "patientID"]
)
def test_names_of_groups(name):
    assert looks_like_group(name)


@pytest.mark.parametrize("name", ["label", "personality", "website", "x0", "loudspeaker", "id"])
def test_names_that_only_look_alike(name):
    assert not looks_like_group(name)


def test_scattered_columns_are_one_tabular_modality(rng):
    rows = 60
    frame = pd.DataFrame(
        {
            "row_id": rng.permutation(rows),
            "age": rng.integers(20, 60, rows),
            "job": rng.choice(["cook", "smith", "clerk"], rows),
            "capital_gain": rng.normal(size=rows),
            "capital_loss": rng.normal(size=rows),
            "hired": [f"2020-01-{1 + k % 28:02d}" for k in range(rows)],
            "owner": rng.random(rows) < 0.5,
            "name": [f"name{k // 2 * 2 + k % 2 * (k > 9)}" for k in range(rows)],
            "patient": np.arange(rows) % 9,
            "hospital_site": np.arange(rows) % 4,
            **{f"v0_{k}": rng.normal(size=rows) for k in range(6)},
            **{f"gap{k}": np.where(rng.random(rows) < 0.1 * k, np.nan, 1.5) for k in range(4)},
            "outcome": rng.choice(["good", "bad"], rows),
        }
    )
    found = suggested(frame)
    assert found["modality"] == [
        "v0=v0_0,v0_1,v0_2,v0_3,v0_4,v0_5:vector",
        "gap=gap0,gap1,gap2,gap3:tabular",
        "table=age,job,capital_gain,capital_loss,hired,owner:tabular",
    ]
    assert (found["label"], found["group"], found["id"]) == ("outcome", "patient", "row_id")


def test_the_tabular_modality_has_a_name_of_its_own(rng):
    frame = pd.DataFrame(
        {
            **{f"table{k}": rng.normal(size=12) for k in range(5)},
            "age": rng.normal(size=12),
            "label": list("abc") * 4,
        }
    )
    assert suggested(frame)["modality"][1] == "table_2=age:tabular"


def test_among_equally_few_values_the_last_column_is_the_label():
    frame = pd.DataFrame({"sex": list("fm") * 6, "risk": list("aabb") * 3, "x": np.arange(12.0)})
    assert suggested(frame)["label"] == "risk"
