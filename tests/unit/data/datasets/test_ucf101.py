"""UCF-101: official folds, groups held apart, a class of two spellings, pairs of flow folders."""

import numpy as np
import pytest

from equipoise.data.datasets.ucf101 import prepare
from equipoise.data.manifest.file_part import FilePart
from equipoise.errors import ConfigError, DataError

SPELLED = {
    "ApplyEyeMakeup": "ApplyEyeMakeup",
    "HandstandPushups": "HandStandPushups",
    "YoYo": "YoYo",
}
TESTED = {1: range(1, 8), 2: range(8, 15), 3: range(15, 22)}  # groups, as in the official lists


def clip(label, group):
    return f"v_{SPELLED[label]}_g{group:02d}_c01"


@pytest.fixture
def download(root, touch):
    (root / "ucfTrainTestlist").mkdir()
    (root / "ucfTrainTestlist/classInd.txt").write_bytes(
        b"1 ApplyEyeMakeup\r\n2 HandstandPushups\r\n3 YoYo\r\n"
    )
    for fold, tested in TESTED.items():
        train, test = "", ""
        for number, label in enumerate(SPELLED, 1):
            for group in range(1, 26):
                name = f"{label}/{clip(label, group)}.avi"
                if group in tested:
                    test += f"{name}\r\n"
                else:
                    train += f"{name} {number}\r\n"
        (root / f"ucfTrainTestlist/trainlist{fold:02d}.txt").write_bytes(train.encode())
        (root / f"ucfTrainTestlist/testlist{fold:02d}.txt").write_bytes(test.encode())
    touch(*(f"UCF-101/{label}/{clip(label, g)}.avi" for label in SPELLED for g in range(1, 26)))


@pytest.fixture
def flow(touch):
    """The flow archive spells the class as its folder."""
    for label in SPELLED:
        for group in range(1, 26):
            touch(*(f"tvl1_flow/{d}/v_{label}_g{group:02d}_c01/frame000001.jpg" for d in "uv"))


@pytest.mark.parametrize("fold", TESTED)
def test_groups_are_held_apart_in_every_class(download, root, prepared, members, fold):
    facts, rows = prepared(
        prepare, root=root, fold=fold, seed=int(np.random.default_rng().integers(1000))
    )
    found = members(rows, "group")
    assert found["test"] == {f"g{k:02d}" for k in TESTED[fold]}
    assert len(found["validation"]) == 2
    assert not found["train"] & (found["validation"] | found["test"])
    assert facts["splits"]["validation"]["classes"] == dict.fromkeys(SPELLED, 2)
    counts = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}[fold]
    assert (facts["splits"]["train"]["published"], facts["splits"]["test"]["published"]) == counts
    assert sum(counts) == 13320


def test_a_class_of_two_spellings_is_one_class(download, root, prepared):
    _, rows = prepared(prepare, root=root)
    row = rows["v_HandStandPushups_g09_c01"]
    assert row["label"] == "HandstandPushups"
    assert row["rgb"] == "UCF-101/HandstandPushups/v_HandStandPushups_g09_c01.avi"


def test_files_spelled_otherwise_are_found(download, root, prepared):
    for path in (root / "UCF-101/HandstandPushups").iterdir():
        path.rename(path.with_name(path.name.replace("HandStand", "Handstand")))
    facts, rows = prepared(prepare, root=root)
    assert facts["left_out"] == {}
    assert rows["v_HandStandPushups_g09_c01"]["rgb"].endswith("v_HandstandPushups_g09_c01.avi")


def test_without_flow_there_is_one_modality(download, root, prepared):
    assert "flow" not in next(iter(prepared(prepare, root=root)[1].values()))


def test_flow_is_a_pair_of_folders(download, flow, root, prepared):
    facts, rows = prepared(prepare, root=root)
    assert facts["left_out"] == {}
    cell = rows["v_HandStandPushups_g09_c01"]["flow"]
    assert cell == "tvl1_flow/{u,v}/v_HandstandPushups_g09_c01"
    folders = [part.path for part in FilePart.parse(cell, root).sides()]
    assert folders == [root / f"tvl1_flow/{d}/v_HandstandPushups_g09_c01" for d in "uv"]
    assert all((folder / "frame000001.jpg").is_file() for folder in folders)


@pytest.mark.parametrize("direction", ["u", "v"])
def test_half_a_flow_is_none(download, flow, root, prepared, direction):
    folder = root / f"tvl1_flow/{direction}/v_YoYo_g03_c01"
    folder.rename(root / "aside")
    facts, rows = prepared(prepare, root=root)
    assert "v_YoYo_g03_c01" not in rows
    assert facts["left_out"] == {"flow file not found": 1}


def test_missing_videos_are_counted(download, root, prepared):
    (root / "UCF-101/YoYo/v_YoYo_g03_c01.avi").unlink()
    facts, _ = prepared(prepare, root=root)
    assert facts["left_out"] == {"rgb file not found": 1}


@pytest.mark.parametrize("wrong", ["v_YoYo_g03_c01.avi 3", "YoYo/v_YoYo_c01.avi", "3 YoYo"])
def test_a_wrong_line_is_shown(download, root, prepared, wrong):
    with (root / "ucfTrainTestlist/trainlist01.txt").open("a") as file:
        file.write(wrong)
    with pytest.raises(
        DataError, match=rf"trainlist01\.txt line 55: expected '<Class>/v_.* found '{wrong}'"
    ):
        prepared(prepare, root=root)


def test_a_wrong_root_or_fold_says_so(download, root, tmp_path, prepared):
    with pytest.raises(DataError, match="give the folder that holds UCF-101 with --root"):
        prepared(prepare, root=tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"UCF-101: no such folder; it comes with UCF101\.rar"):
        prepared(prepare, root=tmp_path)
    with pytest.raises(ConfigError, match="'fold' must be 1, 2 or 3, found 4"):
        prepared(prepare, root=root, fold=4)
    (root / "ucfTrainTestlist/testlist02.txt").unlink()
    with pytest.raises(DataError, match=r"testlist02\.txt: file not found"):
        prepared(prepare, root=root, fold=2)
