"""CREMA-D: actors held apart, both published lists, dirty clips, and pointers instead of files."""

import re

import numpy as np
import pytest

from equipoise.data.datasets import crema_d
from equipoise.data.datasets.crema_d import prepare
from equipoise.errors import ConfigError, DataError

ACTORS = [str(actor) for actor in (1006, 1040, 1064, 1076, *range(1080, 1090))]
CODES = {
    "ANG": "Anger",
    "DIS": "Disgust",
    "FEA": "Fear",
    "HAP": "Happy",
    "NEU": "Neutral",
    "SAD": "Sad",
}


@pytest.fixture
def clips(touch):
    names = [f"{actor}_TIE_{code}_XX" for actor in ACTORS for code in CODES]
    names += [
        f"{actor}_IEO_{code}_{level}"
        for actor in ACTORS
        for code in ("ANG", "DIS")
        for level in ("MD", "HI")
    ]
    touch(
        *(f"AudioWAV/{name}.wav" for name in names), *(f"VideoFlash/{name}.flv" for name in names)
    )
    touch("README.md", "AudioWAV/notes.txt", "SentenceFilenames.csv")
    return names


@pytest.fixture
def lists(tmp_path, clips):
    """A published list in both formats; the actors are on both sides."""
    test = clips[::10]
    train = [clip for clip in clips if clip not in test]
    (tmp_path / "ogm").mkdir()
    (tmp_path / "mla").mkdir()
    for split, names in (("train", train), ("test", test)):
        lines = [f"{name},{name.split('_')[2]}\r\n" for name in names]
        (tmp_path / f"ogm/{split}.csv").write_bytes(b"\xef\xbb\xbf" + "".join(lines).encode())
        lines = [f"{name}.flv {CODES[name.split('_')[2]]}\n" for name in names]
        (tmp_path / f"mla/my_{split}_cre.txt").write_text("".join(lines))
    return tmp_path, set(train), set(test)


def test_no_actor_is_in_two_splits(clips, root, prepared, members):
    seed = int(np.random.default_rng().integers(1000))
    facts, rows = prepared(prepare, root=root, seed=seed)
    found = members(rows, "group")
    assert set().union(*found.values()) == set(ACTORS)
    assert [len(found[split]) for split in ("train", "validation", "test")] == [9, 2, 3]
    assert sum(map(len, found.values())) == len(ACTORS)
    assert facts["splits"]["test"]["published"] is None
    assert facts["all"] == {"samples": len(clips) - 4, "published": 7442}


def test_the_label_is_the_intended_emotion(clips, root, prepared):
    _, rows = prepared(prepare, root=root)
    assert rows["1040_TIE_FEA_XX"]["label"] == "fear"
    assert rows["1040_IEO_DIS_HI"] | {"split": ""} == {
        "id": "1040_IEO_DIS_HI",
        "audio": "AudioWAV/1040_IEO_DIS_HI.wav",
        "video": "VideoFlash/1040_IEO_DIS_HI.flv",
        "label": "disgust",
        "split": "",
        "group": "1040",
    }


@pytest.mark.parametrize("split", ["group", "random"])
def test_a_part_of_the_clips_is_told_beside_the_whole(clips, root, prepared, split):
    (root / f"AudioWAV/{clips[7]}.wav").unlink()
    facts, rows = prepared(prepare, root=root, split=split)
    assert facts["notes"] == [
        f"{len(rows)} of the 7,442 published samples are here: 1 without a file (left_out.csv); "
        "AudioWAV and VideoFlash should hold 7,442 files each"
    ]


@pytest.mark.parametrize("split", ["group", "random"])
def test_the_whole_but_for_its_unfit_clips_is_whole(clips, root, prepared, monkeypatch, split):
    monkeypatch.setattr(crema_d, "CLIPS", len(clips))
    monkeypatch.setattr(
        crema_d, "UNFIT", {clip: crema_d.UNFIT[clip] for clip in clips if clip in crema_d.UNFIT}
    )
    facts, rows = prepared(prepare, root=root, split=split)
    assert len(rows) == len(clips) - 4
    assert facts["notes"] == []


@pytest.mark.parametrize("split", ["group", "random"])
def test_unfit_clips_are_left_out(clips, root, prepared, split):
    facts, rows = prepared(prepare, root=root, split=split)
    dirty = {"1064_TIE_SAD_XX", "1064_IEO_DIS_MD", "1006_TIE_HAP_XX", "1006_TIE_NEU_XX"}
    assert set(clips) - set(rows) == dirty
    assert facts["left_out"] == {
        "wav is the same as that of another emotion": 2,
        "video has no duration": 1,
        "video is a recording of all emotions": 1,
    }


def test_random_draws_within_classes(clips, root, prepared):
    facts, rows = prepared(
        prepare, root=root, split="random", seed=int(np.random.default_rng().integers(1000))
    )
    assert "group" not in next(iter(rows.values()))
    for split in ("validation", "test"):
        assert set(facts["splits"][split]["classes"]) == {name.lower() for name in CODES.values()}


@pytest.mark.parametrize("whose", ["ogm", "mla"])
def test_published_lists_are_kept_as_they_are(lists, root, prepared, members, whose):
    folder, train, test = lists
    facts, rows = prepared(prepare, root=root, split="paper", splits=folder / whose)
    found = members(rows)
    assert found["test"] == test
    assert found["train"] | found["validation"] == train
    assert 0 < len(found["validation"]) < len(train) / 5
    assert facts["left_out"] == {}
    assert facts["splits"]["train"]["published"] == 6698
    assert facts["splits"]["test"]["published"] == 744
    assert any("new speakers" in note for note in facts["notes"])


def test_a_level_of_one_letter_is_found(clips, root, touch, prepared, tmp_path):
    touch("AudioWAV/1040_ITH_SAD_X.wav", "VideoFlash/1040_ITH_SAD_XX.flv")
    _, rows = prepared(prepare, root=root)
    assert rows["1040_ITH_SAD_XX"]["audio"] == "AudioWAV/1040_ITH_SAD_X.wav"


def test_a_clip_without_its_sound_is_counted(clips, root, prepared):
    (root / f"AudioWAV/{clips[7]}.wav").unlink()
    facts, rows = prepared(prepare, root=root)
    assert clips[7] not in rows
    assert facts["left_out"]["audio file not found"] == 1


def test_pointers_are_told_from_files(clips, root, prepared):
    for path in (root / "VideoFlash").iterdir():
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(DataError, match="LFS pointer"):
        prepared(prepare, root=root)


def test_a_wrong_root_says_so(root, tmp_path, prepared):
    with pytest.raises(
        DataError, match=r"nowhere: no such folder; give the CREMA-D download with --root"
    ):
        prepared(prepare, root=tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"AudioWAV: no such folder"):
        prepared(prepare, root=root)
    (root / "AudioWAV").mkdir()
    with pytest.raises(DataError, match=r"AudioWAV: no file is named <actor>_"):
        prepared(prepare, root=root)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1040_TIE_FEA_XX", "expected 'clip,EMO' or"),
        ("1040_TIE_FEA_XX,HAP", "expected fear, as"),
        ("clip.flv Fear", "expected 'clip,EMO' or"),
    ],
)
def test_a_wrong_line_is_shown(lists, root, prepared, line, reason):
    path = lists[0] / "ogm/test.csv"
    path.write_text(line + "\n")
    with pytest.raises(DataError, match=rf"test\.csv line 1: {reason}.* found '{re.escape(line)}'"):
        prepared(prepare, root=root, split="paper", splits=path.parent)


def test_lists_and_policy_belong_together(lists, root, tmp_path, prepared):
    with pytest.raises(ConfigError, match="give them with --splits"):
        prepared(prepare, root=root, split="paper")
    with pytest.raises(ConfigError, match="--split group would ignore it"):
        prepared(prepare, root=root, splits=lists[0] / "ogm")
    with pytest.raises(
        ConfigError, match="'split' must be one of group, random, paper, found 'actor'"
    ):
        prepared(prepare, root=root, split="actor")
    with pytest.raises(DataError, match=r"neither train\.csv nor my_train_cre\.txt is here"):
        prepared(prepare, root=root, split="paper", splits=root)
    (lists[0] / "ogm/test.csv").unlink()
    with pytest.raises(DataError, match=r"test\.csv: file not found; it belongs to train\.csv"):
        prepared(prepare, root=root, split="paper", splits=lists[0] / "ogm")
