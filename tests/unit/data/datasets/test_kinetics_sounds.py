"""Kinetics-Sounds: 31 classes of the official tables, both published lists, names, substitutes."""

import json

import numpy as np
import pytest

from equipoise.data.datasets import kinetics_sounds
from equipoise.data.datasets.kinetics_sounds import CLASSES, prepare
from equipoise.errors import ConfigError, DataError

VIDEOS = {
    "train": [f"-{k:02d}_tr-_a{k:02d}" for k in range(20)],
    "val": [f"{k:02d}-val__b{k:02d}" for k in range(4)],
    "test": [f"_{k:02d}test-c{k:02d}" for k in range(4)],
}


def start(video):
    return int(video[-2:]) * 7


def label(video):
    return CLASSES[int(video[-2:]) % 4 + 9]


@pytest.fixture
def clips(touch):
    for folder, videos in VIDEOS.items():
        assert all(len(video) == 11 for video in videos)
        touch(*(f"{folder}/{v}_{start(v):06d}_{start(v) + 10:06d}.mp4" for v in videos))
    touch("train/0000000abab_000001_000011.mp4")


@pytest.fixture
def annotated(clips, root):
    (root / "annotations").mkdir()
    for folder, videos in VIDEOS.items():
        lines = ["label,youtube_id,time_start,time_end,split", "abseiling,0000000abab,1,11,train"]
        lines += [f'"{label(v)}",{v},{start(v)},{start(v) + 10},{folder}' for v in videos]
        (root / f"annotations/{folder}.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def lists(clips, tmp_path):
    folder = tmp_path / "lists"
    folder.mkdir()
    train = [
        f"{v}_{start(v):06d}_{start(v) + 10:06d},10,{CLASSES.index(label(v))}"
        for v in VIDEOS["train"]
    ]
    test = [f"{v}_{start(v)},10,{CLASSES.index(label(v))}" for v in VIDEOS["test"]]
    (folder / "my_train.txt").write_text("\n".join(train))
    (folder / "my_test.txt").write_text("\n".join(test))
    return folder


def add_json(folder, name="KS_train_val.json", test="testing"):
    subsets = {"train": "training", "val": "validation", "test": test}
    database = {
        f"{v}_{start(v):06d}_{start(v) + 10:06d}": {
            "subset": subsets[s],
            "label": label(v).replace(" ", "_"),
        }
        for s, videos in VIDEOS.items()
        for v in videos
    }
    (folder / name).write_text(json.dumps({"labels": [], "database": database}))


def test_the_official_tables_give_31_classes(annotated, root, prepared, members):
    facts, rows = prepared(prepare, root=root)
    found = members(rows, "group")
    assert found == {
        "train": {*VIDEOS["train"]},
        "validation": {*VIDEOS["val"]},
        "test": {*VIDEOS["test"]},
    }
    video = VIDEOS["train"][2]
    assert rows[f"{video}_000014"] == {
        "id": f"{video}_000014",
        "clip": f"train/{video}_000014_000024.mp4",
        "label": "playing drums",
        "split": "train",
        "group": video,
    }
    assert [facts["splits"][s]["published"] for s in ("train", "validation", "test")] == [20, 4, 4]
    assert facts["all"] == {"samples": 28, "published": 28}
    assert facts["notes"] == [
        "the annotation is incomplete: it names 28 clips of the 31 classes, "
        "the published lists 18,716"
    ]


def test_a_whole_annotation_is_not_remarked_upon(annotated, root, prepared, monkeypatch):
    monkeypatch.setattr(kinetics_sounds, "PUBLISHED", {"train": 18, "validation": 3, "test": 4})
    facts, _ = prepared(prepare, root=root)
    assert facts["notes"] == []


@pytest.mark.filterwarnings("ignore:no group of class:UserWarning")  # so few videos
def test_the_published_text_lists(lists, root, prepared, members):
    facts, rows = prepared(
        prepare,
        root=root,
        split="paper",
        splits=lists,
        seed=int(np.random.default_rng().integers(99)),
    )
    found = members(rows, "group")
    assert found["test"] == {*VIDEOS["test"]}
    assert found["train"] | found["validation"] == {*VIDEOS["train"]}
    assert len(found["validation"]) == 2
    assert all(row["label"] == label(row["group"]) for row in rows.values())
    assert {split: counted["published"] for split, counted in facts["splits"].items()} == {
        "train": 14799,
        "validation": None,
        "test": 2597,
    }


@pytest.mark.parametrize("as_file", [True, False])
def test_the_published_json_has_a_validation_part(lists, root, prepared, members, as_file):
    add_json(lists)
    given = lists / "KS_train_val.json" if as_file else lists
    facts, rows = prepared(prepare, root=root, split="paper", splits=given)
    assert members(rows, "group")["validation"] == {*VIDEOS["val"]}
    assert all(row["label"] == label(row["group"]) for row in rows.values())
    assert facts["splits"]["validation"]["published"] == 1320


@pytest.mark.parametrize("test", ["training", "validation"])
def test_a_json_without_test_clips_is_refused(clips, root, tmp_path, prepared, test):
    add_json(tmp_path, "KS.json", test)
    with pytest.raises(
        DataError, match=r"KS\.json: no entry is of .*'testing'.* give KS_train_val\.json instead"
    ):
        prepared(prepare, root=root, split="paper", splits=tmp_path / "KS.json")


def test_substitutes_stand_in_for_corrupted_files(annotated, root, touch, prepared):
    video = VIDEOS["train"][5]
    name = f"{video}_000035_000045.mp4"
    touch(f"replacement/replacement_for_corrupted_k400/{name}")
    _, rows = prepared(prepare, root=root)
    assert rows[f"{video}_000035"]["clip"] == f"replacement/replacement_for_corrupted_k400/{name}"


def test_gone_videos_are_counted(annotated, root, prepared):
    for video in VIDEOS["test"][:3]:
        next((root / "test").glob(f"{video}*")).unlink()
    facts, rows = prepared(prepare, root=root)
    assert facts["left_out"] == {"clip file not found": 3}
    assert (
        facts["notes"][-1]
        == "25 of the 28 published samples are here: 3 without a file (left_out.csv)"
    )
    assert facts["splits"]["test"]["samples"] == 1
    assert len(rows) == 25


def test_a_test_table_without_labels_is_refused(annotated, root, prepared):
    (root / "annotations/test.csv").write_text(
        "youtube_id,time_start,time_end,split\na,0,10,test\n"
    )
    with pytest.raises(
        DataError, match=r"test\.csv: no column 'label'; take the annotation of cvdfoundation"
    ):
        prepared(prepare, root=root)


def test_a_table_with_a_bad_second_is_refused(annotated, root, prepared):
    (root / "annotations/val.csv").write_text(
        f"label,youtube_id,time_start\nbowling,{VIDEOS['val'][0]},soon\n"
    )
    with pytest.raises(
        DataError, match=r"val\.csv line 2: expected an integer in time_start, found 'bowling,"
    ):
        prepared(prepare, root=root)


def test_a_wrong_root_says_so(root, tmp_path, prepared):
    with pytest.raises(DataError, match="give the folder of Kinetics-400 with --root"):
        prepared(prepare, root=tmp_path / "nowhere")
    with pytest.raises(
        DataError, match=r"train\.csv: file not found; it is an annotation of Kinetics-400"
    ):
        prepared(prepare, root=root)


@pytest.mark.parametrize(
    "line", ["short_1,10,3", "-00_tr-_a00_0,10,31", "-00_tr-_a00_0,10", "bowling,-00_tr-_a00_0"]
)
def test_a_wrong_line_is_shown(lists, root, prepared, line):
    (lists / "my_test.txt").write_text(f"\n{line}\n")
    with pytest.raises(
        DataError, match=rf"my_test\.txt line 2: expected '<video>_<start>.* found '{line}'"
    ):
        prepared(prepare, root=root, split="paper", splits=lists)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        '{"database": {"x": {"subset": "training", "label": "bowling"}}}',
        '{"database": {"x": 3}}',
    ],
)
def test_a_wrong_json_is_refused(clips, root, tmp_path, prepared, content):
    path = tmp_path / "KS_train_val.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"KS_train_val\.json: expected .*database"):
        prepared(prepare, root=root, split="paper", splits=path)


def test_paper_needs_its_lists(annotated, root, tmp_path, prepared):
    with pytest.raises(ConfigError, match="give them with --splits"):
        prepared(prepare, root=root, split="paper")
    with pytest.raises(
        DataError, match=r"my_train\.txt: file not found; the lists are .* or KS_train_val\.json"
    ):
        prepared(prepare, root=root, split="paper", splits=root)
