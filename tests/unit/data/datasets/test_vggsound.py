"""VGGSound: the table without header, names of every style, and videos that are gone."""

import numpy as np
import pytest

from equipoise.data.datasets.vggsound import prepare
from equipoise.errors import DataError

LABELS = ["bird chirping, tweeting", "people eating noodle"]
CLIPS = [
    (f"--{k:02d}_Q-4h{k:02d}g"[:11], k * 15, LABELS[k % 2], "test" if k >= 40 else "train")
    for k in range(50)
]
STYLES = ["video/{v}_{s:06d}.mp4", "video/{v}_{s}.mp4", "more/{v}_{s:06d}.webm", "{v}_{s}.mkv"]


@pytest.fixture
def table(root):
    lines = [
        f'{v},{s},"{c}",{split}\n' if "," in c else f"{v},{s},{c},{split}\n"
        for v, s, c, split in CLIPS
    ]
    (root / "vggsound.csv").write_text("".join(lines))
    return root / "vggsound.csv"


@pytest.fixture
def clips(touch):
    for k, (video, second, _, _) in enumerate(CLIPS):
        touch(STYLES[k % 4].format(v=video, s=second))
    touch("video/readme.txt", "video/other.mp4")


def test_every_style_of_name_is_found(table, clips, root, prepared):
    facts, rows = prepared(prepare, root=root)
    assert facts["left_out"] == {}
    for k, (video, second, label, _) in enumerate(CLIPS):
        row = rows[f"{video}_{second:06d}"]
        assert row["clip"] == STYLES[k % 4].format(v=video, s=second)
        assert (row["label"], row["group"]) == (label, video)


@pytest.mark.filterwarnings("ignore:no group of class:UserWarning")  # so few videos
def test_validation_is_part_of_the_official_training_list(table, clips, root, prepared, members):
    facts, rows = prepared(prepare, root=root, seed=int(np.random.default_rng().integers(1000)))
    found = members(rows, "group")
    assert found["test"] == {clip[0] for clip in CLIPS[40:]}
    assert len(found["validation"]) == 2
    assert not found["validation"] & found["train"]
    assert facts["splits"]["train"]["published"] == 183730
    assert facts["splits"]["test"]["published"] == 15446


def test_the_table_may_be_elsewhere(table, clips, root, tmp_path, prepared):
    elsewhere = table.rename(tmp_path / "table.csv")
    _, rows = prepared(prepare, root=root, splits=elsewhere)
    assert len(rows) == len(CLIPS)
    (tmp_path / "lists").mkdir()
    elsewhere.rename(tmp_path / "lists/vggsound.csv")
    assert len(prepared(prepare, root=root, splits=tmp_path / "lists")[1]) == len(CLIPS)


def test_gone_videos_are_counted(table, clips, root, prepared):
    (root / STYLES[1].format(v=CLIPS[45][0], s=CLIPS[45][1])).unlink()
    facts, rows = prepared(prepare, root=root)
    assert facts["left_out"] == {"clip file not found": 1}
    assert len(rows) == len(CLIPS) - 1


def test_linked_folders_are_followed(table, touch, root, tmp_path, prepared):
    store = tmp_path / "store"
    store.mkdir()
    for video, second, _, _ in CLIPS:
        (store / f"{video}_{second}.mp4").write_text(video)
    (root / "video").symlink_to(store)
    assert len(prepared(prepare, root=root)[1]) == len(CLIPS)


@pytest.mark.parametrize(
    "line",
    ["a,30,bowling", "a,half,bowling,train", "a,30,bowling,validation", "id,start,label,split"],
)
def test_a_wrong_line_is_shown(table, clips, root, prepared, line):
    table.write_text(table.read_text() + line + "\n")
    with pytest.raises(
        DataError, match=rf"vggsound\.csv line 51: expected '<video>,.*found '{line}'"
    ):
        prepared(prepare, root=root)


def test_a_wrong_root_says_so(table, root, tmp_path, prepared):
    with pytest.raises(
        DataError, match="nowhere: no such folder; give the folder of the VGGSound clips"
    ):
        prepared(prepare, root=tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"none of the 50 samples of vggsound is here"):
        prepared(prepare, root=root)
    table.unlink()
    with pytest.raises(
        DataError, match=r"vggsound\.csv: file not found; it comes with hche11/VGGSound"
    ):
        prepared(prepare, root=root)
