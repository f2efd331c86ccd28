"""The end of every preparer: missing files, LFS pointers, counts, duplicates and drawn splits."""

import csv
import json

import numpy as np
import pytest

from equipoise.cli.output import print_preparation
from equipoise.data.datasets.preparing.counting import Total
from equipoise.data.datasets.preparing.writing import (
    Collection,
    carve_validation,
    draw_splits,
    write,
)
from equipoise.data.manifest.sheet import read_sheet
from equipoise.errors import DataError


@pytest.fixture
def root(tmp_path):
    (tmp_path / "clips").mkdir()
    for name, content in (("a", b"one"), ("b", b"two"), ("c", b"one"), ("d", b"another")):
        (tmp_path / "clips" / f"{name}.wav").write_bytes(content)
    (tmp_path / "out").mkdir()
    return tmp_path


def rows(*splits, label="x"):
    return [
        {"id": i, "sound": f"clips/{i}.wav", "words": f"Word  {i}", "label": label, "split": s}
        for i, s in zip("abcde", splits, strict=False)
    ]


def collect(root, found, **more):
    return Collection("set", ["sound=sound:audio", "words=words:text"], found, root=root, **more)


def test_the_manifest_holds_what_is_there(root):
    found = rows("train", "validation", "test", "train", "train")  # e.wav does not exist
    facts = write(
        root / "out", collect(root, found, published={"train": 3}, left_out=[("z", "no sound")])
    )
    kept = list(csv.DictReader((root / "out/manifest.csv").open()))
    assert [row["id"] for row in kept] == list("abcd")
    assert facts["splits"]["train"] == {"samples": 2, "published": 3, "classes": {"x": 2}}
    assert facts["left_out"] == {"no sound": 1, "sound file not found": 1}
    assert [r["id"] for r in csv.DictReader((root / "out/left_out.csv").open())] == ["z", "e"]
    description = json.loads((root / "out/dataset.json").read_text())
    assert description["root"] == str(root.resolve())
    assert "group" not in description


def test_the_whole_is_told_beside_what_was_published(root, capsys):
    found = rows("train", "validation", "test", "train", "train")  # e.wav does not exist
    facts = write(root / "out", collect(root, found, total=Total(7442, 10, "look into clips")))
    note = (
        "4 of the 7,442 published samples are here: 1 without a file (left_out.csv); "
        "look into clips"
    )
    assert facts["all"] == {"samples": 4, "published": 7442}
    assert facts["notes"] == [note]
    assert json.loads((root / "out/dataset.json").read_text())["facts"]["all"] == facts["all"]
    print_preparation("made", facts)
    printed = capsys.readouterr().out
    assert ["all", "4", "7442", "1"] in [line.split() for line in printed.splitlines()]
    assert f"note: {note}" in printed


@pytest.mark.parametrize(
    ("published", "unfit", "told"),
    [
        (5, 0, "4 of the 5 published samples are here: 1 without a file (left_out.csv)"),
        (14, 10, None),  # what is left out on purpose is not missing
        (4, 0, None),
        (3, 0, "4 samples are here, though 3 were published: this is another version"),
    ],
)
def test_a_difference_is_told_with_its_reason(root, published, unfit, told):
    found = rows("train", "validation", "test", "train", "train")
    facts = write(root / "out", collect(root, found, total=Total(published, unfit)))
    assert facts["notes"] == ([told] if told else [])


def test_published_splits_add_up_to_the_whole(root):
    found = rows("train", "validation", "test", "train")
    facts = write(root / "out", collect(root, found, published={"train": 3, "test": 2}))
    assert facts["all"] == {"samples": 4, "published": 5}
    assert facts["notes"] == [
        "4 of the 5 published samples are here: the download may be incomplete"
    ]


def test_nothing_published_is_nothing_told(root):
    facts = write(root / "out", collect(root, rows("train", "validation")))
    assert facts["all"] == {"samples": 2, "published": None}
    assert facts["notes"] == []


def test_copies_are_found_and_those_across_splits_counted(root):
    found = rows("train", "validation", "test", "train")
    found[2]["label"] = "y"
    found[3]["words"] = "word A"
    facts = write(root / "out", collect(root, found))
    assert facts["duplicates"] == {
        "sound": {"samples": 2, "across_splits": 2, "other_label": 2},
        "words": {"samples": 2, "across_splits": 0, "other_label": 0},
    }


def test_windows_of_one_file_are_different_samples(root):
    found = rows("train", "validation", "train")
    for row, window in zip(found, ("#0:8", "#8:16", "#0:8"), strict=True):
        row["sound"] = f"clips/d.wav{window}"
    assert write(root / "out", collect(root, found))["duplicates"]["sound"]["samples"] == 2


def test_nothing_there_names_an_example(root):
    found = [dict(row, sound="else/" + row["sound"]) for row in rows("train", "validation")]
    with pytest.raises(
        DataError, match=r"none of the 2 samples of set .* expected for example .*else/clips/a\.wav"
    ):
        write(root / "out", collect(root, found))


def test_a_pointer_stops_it(root):
    (root / "clips/a.wav").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match="LFS pointer"):
        write(root / "out", collect(root, rows("train", "validation")))


@pytest.mark.parametrize("split", ["train", "validation"])
def test_no_split_may_be_empty(root, split):
    with pytest.raises(DataError, match=f"no sample is left for the {split} split"):
        write(root / "out", collect(root, rows(*{"train", "validation", "test"} - {split})))


def test_validation_is_carved_from_train_by_whole_groups():
    seed = int(np.random.default_rng().integers(1000))
    drawn = [
        {"id": str(k), "label": "ab"[k % 2], "group": str(k // 4), "split": "train"}
        for k in range(80)
    ]
    drawn += [{"id": f"t{k}", "label": "a", "group": "0", "split": "test"} for k in range(5)]
    carve_validation(drawn, 0.2, seed)
    splits = {}
    for row in drawn[:80]:
        splits.setdefault(row["group"], set()).add(row["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert sum(found == {"validation"} for found in splits.values()) == 4
    assert all(row["split"] == "test" for row in drawn[80:])


def test_drawn_splits_keep_the_classes_in_proportion():
    seed = int(np.random.default_rng().integers(1000))
    drawn = [{"id": str(k), "label": "abc"[k % 3], "split": ""} for k in range(300)]
    draw_splits(drawn, validation=0.1, test=0.2, seed=seed)
    for split, percent in (("train", 70), ("validation", 10), ("test", 20)):
        assert [sum(r["split"] == split and r["label"] == c for r in drawn) for c in "abc"] == [
            percent
        ] * 3


def test_a_pair_in_a_cell_stands_for_two_files(root):
    for name in ("u/a.wav", "v/a.wav", "u/b.wav"):
        (root / "clips" / name).parent.mkdir(exist_ok=True)
        (root / "clips" / name).write_bytes(b"sound")
    found = rows("train", "validation", "test", "train")
    found[0]["sound"], found[3]["sound"] = "clips/{u,v}/a.wav", "clips/{u,v}/b.wav"
    assert write(root / "out", collect(root, found))["left_out"] == {"sound file not found": 1}


TWEETS = ["@you =1+1", "=HYPERLINK(1)", "'=quoted", "-5", "plain"]


def tweets(root):
    (root / "clips/e.wav").write_bytes(b"fifth")
    found = rows("train", "train", "train", "validation", "test")
    write(
        root / "out",
        collect(root, [{**r, "words": text} for r, text in zip(found, TWEETS, strict=True)]),
    )
    return root / "out/manifest.csv"


def test_no_spreadsheet_program_runs_the_texts_of_a_download(root, recwarn):
    path = tweets(root)
    assert [row["words"] for row in csv.DictReader(path.open())] == [
        "'@you =1+1",
        "'=HYPERLINK(1)",
        "''=quoted",
        "-5",
        "plain",
    ]
    assert read_sheet(path).table["words"].tolist() == TWEETS
    assert not [found for found in recwarn.list if found.category is UserWarning]


def test_a_manifest_of_version_0_1_is_read_as_it_stands(root, recwarn):
    path = tweets(root)
    told = json.loads((path.parent / "dataset.json").read_text())
    del told["protected"]
    (path.parent / "dataset.json").write_text(json.dumps(told))
    assert read_sheet(path).table["words"][0] == "'@you =1+1"
    assert not [found for found in recwarn.list if found.category is UserWarning]
