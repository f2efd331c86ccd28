"""NVGesture: labels and windows of the lines, subjects held apart, names of lists, flow by line."""

import json

import numpy as np
import pytest

from equipoise.data.datasets.nvgesture import prepare
from equipoise.data.manifest.file_part import FilePart
from equipoise.errors import ConfigError, DataError

SUBJECTS = {"train": [1, 2, 3, 4, 6, 7, 11, 12, 15, 16, 17, 18], "test": [5, 8, 9, 13, 14, 20]}
NAMES = [
    "nvgesture_{}_correct_cvpr2016.lst",
    "nvgesture_{}_correct_cvpr2016_v2.lst",
    "nvgesture_{}_correct.lst",
]
CLASSES = (1, 2, 9, 25)


def line(folder, subject, label, first=138):
    windows = " ".join(f"{s}:sk_{s}:{first}:{first + 80}" for s in ("depth", "color"))
    place = f"path:./Video_data/class_{folder:02d}/subject{subject}_r0"
    return f"{place} {windows} duo_left:duo_left:161:254 label:{label} \n"


@pytest.fixture
def download(root, touch):
    for part, subjects in SUBJECTS.items():
        lines = [
            line(c, s, 2 if (c, s) in ((1, 4), (1, 14)) else c, 60 + s)
            for c in CLASSES
            for s in subjects
        ]
        (root / NAMES[0].format(part)).write_text("".join(lines))
        for c in CLASSES:
            for name in ("sk_color", "sk_depth", "duo_left"):
                touch(*(f"Video_data/class_{c:02d}/subject{s}_r0/{name}.avi" for s in subjects))


def test_no_subject_is_in_two_splits(download, root, prepared, members):
    facts, rows = prepared(prepare, root=root, seed=int(np.random.default_rng().integers(1000)))
    found = members(rows, "group")
    assert found["test"] == {f"subject{s}" for s in SUBJECTS["test"]}
    assert found["train"] | found["validation"] == {f"subject{s}" for s in SUBJECTS["train"]}
    assert len(found["validation"]) == 3
    assert not found["train"] & found["validation"]
    assert facts["splits"]["train"]["published"] == 1050
    assert facts["splits"]["test"]["published"] == 482


def test_subjects_may_be_drawn_anew(download, root, prepared, members):
    facts, rows = prepared(
        prepare, root=root, split="group", seed=int(np.random.default_rng().integers(1000))
    )
    found = members(rows, "group")
    assert {split: len(subjects) for split, subjects in found.items()} == {
        "train": 10,
        "validation": 2,
        "test": 6,
    }
    assert len(set().union(*found.values())) == 18
    assert facts["splits"]["test"]["published"] is None
    assert facts["all"]["published"] == 1532


def test_the_label_is_the_line_s_and_not_the_folder_s(download, root, prepared):
    _, rows = prepared(prepare, root=root)
    assert (
        rows["class_01/subject4_r0"]["label"]
        == rows["class_02/subject4_r0"]["label"]
        == "02 move hand"
    )
    assert rows["class_01/subject3_r0"]["label"] == "01 move hand"
    assert rows["class_25/subject14_r0"]["label"] == "25 okay"
    assert rows["class_09/subject14_r0"]["label"] == "09 click"


def test_windows_are_80_frames_of_colour_and_depth(download, root, prepared, tmp_path):
    _, rows = prepared(prepare, root=root)
    row = rows["class_09/subject13_r0"]
    for modality, name in (("rgb", "sk_color"), ("depth", "sk_depth")):
        part = FilePart.parse(row[modality], root)
        assert part.path == root / f"Video_data/class_09/subject13_r0/{name}.avi"
        assert (part.window.first, part.window.last) == (73, 153)
    assert json.loads((tmp_path / "out0/dataset.json").read_text())["options"] == {
        "depth": {"channels": 1}
    }


@pytest.mark.parametrize("name", NAMES[1:])
def test_lists_under_their_other_names_and_elsewhere(download, root, tmp_path, prepared, name):
    (tmp_path / "lists").mkdir()
    for part in SUBJECTS:
        (root / NAMES[0].format(part)).rename(tmp_path / "lists" / name.format(part))
    _, rows = prepared(prepare, root=root, splits=tmp_path / "lists")
    assert len(rows) == 72


def test_flow_is_numbered_by_line(download, root, tmp_path, prepared):
    flow = tmp_path / "flow"
    for part, subjects in SUBJECTS.items():
        (flow / part).mkdir(parents=True)
        for k in range(len(CLASSES) * len(subjects)):
            np.save(flow / part / f"{k}.npy", np.full(3, k))
    _, rows = prepared(prepare, root=root, flow=flow)
    assert rows["class_01/subject1_r0"]["flow"] == str(flow / "train/0.npy")
    assert rows["class_02/subject8_r0"]["flow"] == str(flow / "test/7.npy")
    (flow / "test/7.npy").unlink()
    facts, _ = prepared(prepare, root=root, flow=flow)
    assert facts["left_out"] == {"flow file not found": 1}
    with pytest.raises(DataError, match="nowhere: no such folder; the flow arrays belong there"):
        prepared(prepare, root=root, flow=tmp_path / "nowhere")


def test_a_missing_recording_is_counted(download, root, prepared):
    (root / "Video_data/class_02/subject8_r0/sk_depth.avi").unlink()
    facts, _ = prepared(prepare, root=root)
    assert facts["left_out"] == {"depth file not found": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        line(1, 5, 26),
        line(1, 5, 0),
        line(1, 5, 1).replace("color", "colour"),
        line(1, 5, 1).replace("path:", ""),
        line(1, 5, 1).replace(":138:218", ":138"),
        "Video_data\n",
    ],
)
def test_a_wrong_line_is_shown(download, root, prepared, wrong):
    with (root / NAMES[0].format("test")).open("a") as file:
        file.write(wrong)
    with pytest.raises(
        DataError,
        match=r"test_correct_cvpr2016\.lst line 25: expected 'path:.* found '.*Video_data",
    ):
        prepared(prepare, root=root)


def test_a_wrong_root_or_policy_says_so(download, root, tmp_path, prepared):
    with pytest.raises(DataError, match="give the NVGesture download with --root"):
        prepared(prepare, root=tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="'split' must be 'official' or 'group', found 'paper'"):
        prepared(prepare, root=root, split="paper")
    (root / NAMES[0].format("train")).unlink()
    with pytest.raises(
        DataError, match=r"nvgesture_train_correct_cvpr2016\.lst and .* are not here"
    ):
        prepared(prepare, root=root)
