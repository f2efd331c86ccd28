"""UCI Multiple Features: text files and .mat file give the same digits, one array per view."""

import csv
import json

import numpy as np
import pytest
from scipy.io import savemat

from equipoise.data.datasets import multiple_features
from equipoise.errors import ConfigError, DataError

VIEWS = {"pix": 240, "fou": 76, "fac": 216, "zer": 47, "kar": 64, "mor": 6}


@pytest.fixture(scope="module")
def views():
    rng = np.random.default_rng()
    return {view: rng.integers(-50, 1000, (2000, features)) for view, features in VIEWS.items()}


@pytest.fixture(scope="module")
def folder(views, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mfeat")
    for view, array in views.items():
        lines = ["  " + "  ".join(map(str, row)) + " \n" for row in array.tolist()]
        (folder / f"mfeat-{view}").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def matlab(views, tmp_path_factory):
    path = tmp_path_factory.mktemp("tmc") / "handwritten_6views.mat"
    savemat(path, content(views))
    return path


def content(views):
    test = np.arange(2000) % 5 == 0
    found = {}
    for part, chosen in (("train", ~test), ("test", test)):
        found |= {
            f"x{k}_{part}": array[chosen].astype(float) for k, array in enumerate(views.values(), 1)
        }
        found[f"gt_{part}"] = (np.arange(2000) // 200 + 1)[chosen].astype(np.uint8)[:, None]
    return found


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def rows_of(out):
    return list(csv.DictReader((out / "manifest.csv").open()))


def features_of(out, row):
    parts = []
    for view in VIEWS:
        file, _, number = row[view].partition("#")
        parts.append(np.load(out / file, mmap_mode="r")[int(number)])
    return np.concatenate(parts)


def test_text_files(folder, views, out):
    facts = multiple_features.prepare(
        out, root=folder, seed=int(np.random.default_rng().integers(1000))
    )
    for split, count in (("train", 140), ("validation", 20), ("test", 40)):
        assert facts["splits"][split]["classes"] == {str(digit): count for digit in range(10)}
    assert facts["all"] == {"samples": 2000, "published": 2000}
    assert facts["notes"] == []
    whole = np.concatenate(list(views.values()), axis=1)
    rows = rows_of(out)
    assert len(rows) == 2000
    for k in np.random.default_rng().integers(0, 2000, 20):
        np.testing.assert_array_equal(features_of(out, rows[k]), whole[k])
        assert rows[k]["label"] == str(k // 200)
    modalities = json.loads((out / "dataset.json").read_text())["modalities"]
    assert modalities == [f"{view}={view}:vector" for view in VIEWS]


def test_the_split_of_the_matlab_file(matlab, views, out):
    facts = multiple_features.prepare(out, root=matlab, split="official")
    for split, count in (("train", 144), ("validation", 16), ("test", 40)):
        assert facts["splits"][split]["classes"] == {str(digit): count for digit in range(10)}
    place = {
        row.tobytes(): k
        for k, row in enumerate(np.concatenate(list(views.values()), axis=1).astype(np.float32))
    }
    for row in rows_of(out)[:: int(np.random.default_rng().integers(20, 60))]:
        k = place[features_of(out, row).tobytes()]
        assert row["label"] == str(k // 200)
        assert (row["split"] == "test") == (k % 5 == 0)


def test_the_matlab_file_can_be_split_at_random(matlab, out):
    facts = multiple_features.prepare(out, root=matlab)
    assert [found["samples"] for found in facts["splits"].values()] == [1400, 200, 400]
    assert len({row["split"] for row in rows_of(out)[1600:]}) == 3


@pytest.mark.parametrize("line", [" 1 2 3 4 5\n", " 1 2 3 4 5 x\n", " 1 2 3 4 5 nan\n"])
def test_a_damaged_line_is_named(tmp_path, line):
    (tmp_path / "mfeat-mor").write_text(" 1 2 3 4 5 6\n" + line)
    with pytest.raises(DataError, match=r"mfeat-mor line 2: expected 6 numbers, found '1 2 3 4 5"):
        multiple_features._read_text(tmp_path / "mfeat-mor", 6)


def test_too_few_lines(tmp_path):
    (tmp_path / "mfeat-mor").write_text(" 1 2 3 4 5 6\n" * 1999)
    with pytest.raises(
        DataError, match="mfeat-mor: expected 2000 lines, 200 of each digit, found 1999"
    ):
        multiple_features._read_text(tmp_path / "mfeat-mor", 6)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("x3_test", np.zeros((400, 215)), "'x3_test' should hold 400 × 216 finite numbers"),
        ("x6_train", np.full((1600, 6), np.inf), "'x6_train' should hold"),
        ("gt_train", np.zeros((1600, 1)), "'gt_train' should hold the classes 1 to 10"),
        ("gt_test", np.zeros((0, 0)), "'gt_test' should hold"),
    ],
)
def test_another_matlab_file_is_refused(views, tmp_path, out, key, value, message):
    savemat(tmp_path / "x.mat", {**content(views), key: value})
    with pytest.raises(DataError, match=message):
        multiple_features.prepare(out, root=tmp_path / "x.mat")


def test_what_cannot_be(folder, tmp_path, out):
    with pytest.raises(ConfigError, match="'random' or 'official', found 'paper'"):
        multiple_features.prepare(out, root=folder, split="paper")
    with pytest.raises(ConfigError, match="needs --root handwritten_6views"):
        multiple_features.prepare(out, root=folder, split="official")
    (tmp_path / "x.mat").write_bytes(b"no matlab file" * 20)
    with pytest.raises(DataError, match="not readable as a MATLAB file"):
        multiple_features.prepare(out, root=tmp_path / "x.mat")
    with pytest.raises(DataError, match="mfeat-pix: file not found"):
        multiple_features.prepare(out, root=tmp_path)
