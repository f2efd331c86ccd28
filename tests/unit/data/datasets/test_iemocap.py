"""IEMOCAP: sessions held apart, excited counted as happy, MLA's lists, features for media."""

import numpy as np
import pytest

from equipoise.data.datasets import iemocap
from equipoise.data.datasets.iemocap import prepare
from equipoise.data.manifest.file_part import FilePart
from equipoise.errors import ConfigError, DataError

CODES = ["ang", "hap", "exc", "neu", "sad", "fru", "xxx"]
LABELS = {"ang": "angry", "hap": "happy", "exc": "happy", "neu": "neutral", "sad": "sad"}
HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
TURNS = {
    f"Ses0{s}F_{part}_{speaker}{k:03d}": (s, code, 6.2901 + k, 8.2357 + k)
    for s in range(1, 6)
    for part in ("impro01", "script01_1b")
    for speaker in "FM"
    for k, code in enumerate(CODES)
}
FOUR = {turn: LABELS[code] for turn, (_, code, _, _) in TURNS.items() if code in LABELS}


def dialogue(turn):
    return turn.rpartition("_")[0]


@pytest.fixture
def download(root, touch):
    """EmoEvaluation and transcriptions with all the lines that are no utterances."""
    for name in {dialogue(turn) for turn in TURNS}:
        session = f"Session{name[4]}"
        judged, spoken = HEADER, ""
        for turn, (_, code, start, end) in TURNS.items():
            if dialogue(turn) == name:
                judged += f"[{start:.4f} - {end:.4f}]\t{turn}\t{code}\t[2.5000, 2.5000, 2.5000]\n"
                judged += "C-E2:\tNeutral;\t()\nC-F1:\tNeutral;\t(curious)\n"
                judged += "A-E3:\tval 3; act 2; dom  2;\t()\n\n"
                spoken += f"{turn} [{start:08.4f}-{end:08.4f}]: I said [split] {turn}.\nM: Mm.\n"
        for folder, text in (("EmoEvaluation", judged), ("transcriptions", spoken)):
            touch(
                f"{session}/dialog/{folder}/{name}.txt", f"{session}/dialog/{folder}/._{name}.txt"
            )
            (root / f"{session}/dialog/{folder}/{name}.txt").write_text(text)
            (root / f"{session}/dialog/{folder}/._{name}.txt").write_bytes(b"\x00\x05\x16\x07\xff")
        touch(
            f"{session}/dialog/EmoEvaluation/Categorical/{name}_e1_cat.txt",
            f"{session}/dialog/avi/DivX/{name}.avi",
        )
    touch(*(f"Session{t[4]}/sentences/wav/{dialogue(t)}/{t}.wav" for t in TURNS))


@pytest.fixture
def lists(tmp_path):
    folder = tmp_path / "lists"
    folder.mkdir()
    names = [*FOUR]
    parts = {"train": names[::3], "test": names[1::3]}
    for part, turns in parts.items():
        lines = [
            f"{t}.mp4 [split|sign] I said {t}. [split|sign] {FOUR[t].title()}\n" for t in turns
        ]
        (folder / f"my_{part}_iemo.txt").write_text("".join(lines))
    return folder, {
        "train": {*parts["train"]},
        "validation": {*names[2::3]},
        "test": {*parts["test"]},
    }


@pytest.mark.parametrize("test_session", range(1, 6))
def test_sessions_are_held_apart(download, root, prepared, members, test_session):
    _, rows = prepared(prepare, root=root, test_session=test_session)
    found = members(rows, "group")
    assert found["test"] == {f"Session{test_session}"}
    assert found["validation"] == {f"Session{test_session - 1 or 5}"}
    assert len(found["train"]) == 3
    assert not found["train"] & (found["test"] | found["validation"])
    assert {row["group"][-1] == row["id"][4] for row in rows.values()} == {True}


@pytest.mark.parametrize("test_session", range(1, 6))
def test_sessions_are_counted_beside_the_published_ones(download, root, prepared, test_session):
    counts = {1: 1085, 2: 1023, 3: 1151, 4: 1031, 5: 1241}
    facts, _ = prepared(prepare, root=root, test_session=test_session)
    published = {split: found["published"] for split, found in facts["splits"].items()}
    assert published["test"] == counts[test_session]
    assert published["validation"] == counts[test_session - 1 or 5]
    assert sum(published.values()) == facts["all"]["published"] == sum(counts.values()) == 5531


@pytest.mark.parametrize("split", ["session", "random"])
def test_a_lost_dialogue_is_told_with_its_session(download, root, prepared, monkeypatch, split):
    monkeypatch.setattr(iemocap, "SESSIONS", dict.fromkeys(range(1, 6), 20))
    facts, _ = prepared(prepare, root=root, split=split)
    assert not [note for note in facts["notes"] if "published" in note]
    (root / "Session3/dialog/EmoEvaluation/Ses03F_impro01.txt").unlink()
    facts, _ = prepared(prepare, root=root, split=split)
    assert facts["notes"][-1] == (
        "90 of the 100 published samples are here: EmoEvaluation has 10 of 20 in Session3; "
        "dialogues may be missing"
    )


def test_utterances_without_a_transcript_are_counted_and_found(download, root, prepared):
    facts, _ = prepared(prepare, root=root)
    assert not [note for note in facts["notes"] if "transcript" in note]
    (root / "Session3/dialog/transcriptions/Ses03F_impro01.txt").unlink()
    path = root / "Session4/dialog/transcriptions/Ses04F_script01_1b.txt"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "_F000" not in line and "_M003" not in line))
    facts, rows = prepared(prepare, root=root)
    assert sum(not row["text"] for row in rows.values()) == 12
    assert facts["notes"][0] == (
        "utterances without a transcript: 12 "
        "(Session3/dialog/transcriptions/Ses03F_impro01.txt is missing, "
        "Session4/dialog/transcriptions/Ses04F_script01_1b.txt lacks lines); their text is absent"
    )
    for session in ("Session1", "Session2"):
        for path in (root / session / "dialog/transcriptions").glob("*.txt"):
            path.unlink()
    facts, _ = prepared(prepare, root=root)
    assert "utterances without a transcript: 52 (" in facts["notes"][0]
    assert "and 3 more files)" in facts["notes"][0]


def test_four_classes_and_what_is_left_out(download, root, prepared):
    facts, rows = prepared(prepare, root=root)
    assert {turn: row["label"] for turn, row in rows.items()} == FOUR
    assert facts["left_out"] == {"emotion fru": 20, "emotion xxx": 20}
    assert facts["splits"]["test"]["classes"] == {"angry": 4, "happy": 8, "neutral": 4, "sad": 4}


def test_a_row_is_an_utterance(download, root, prepared):
    _, rows = prepared(prepare, root=root)
    row = rows["Ses02F_script01_1b_M003"]
    assert row["audio"] == "Session2/sentences/wav/Ses02F_script01_1b/Ses02F_script01_1b_M003.wav"
    assert row["text"] == "I said [split] Ses02F_script01_1b_M003."
    part = FilePart.parse(row["video"], root)
    assert part.path == root / "Session2/dialog/avi/DivX/Ses02F_script01_1b.avi"
    assert (part.window.start, part.window.end) == (9.2901, 11.2357)


def test_published_lists_leave_the_rest_for_validation(download, lists, root, prepared, members):
    folder, expected = lists
    facts, rows = prepared(prepare, root=root, split="paper", splits=folder)
    assert members(rows) == expected
    assert "group" not in next(iter(rows.values()))
    assert [facts["splits"][s]["published"] for s in ("train", "validation", "test")] == [
        3318,
        1106,
        1107,
    ]
    assert facts["notes"][0] == "the splits share all actors and dialogues"


def test_a_listed_utterance_without_annotation_is_counted(download, lists, root, prepared):
    with (lists[0] / "my_test_iemo.txt").open("a") as file:
        file.write("Ses09F_impro01_F000.mp4 [split|sign] Hm. [split|sign] Sad\n")
    facts, _ = prepared(prepare, root=root, split="paper", splits=lists[0])
    assert facts["left_out"]["listed, but not in the download"] == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Ses01F_impro01_F000.mp4 Hm. Angry", r"'<utterance>\.mp4"),
        (
            "Ses01F_impro01_F000.mp4 [split|sign] Hm. [split|sign] Sad",
            "'angry', as the annotators of Ses01F_impro01_F000",
        ),
    ],
)
def test_a_wrong_line_is_shown(download, lists, root, prepared, line, reason):
    (lists[0] / "my_train_iemo.txt").write_text(f"{line}\n")
    with pytest.raises(
        DataError, match=rf"my_train_iemo\.txt line 1: expected {reason}.* found 'Ses01F_impro01"
    ):
        prepared(prepare, root=root, split="paper", splits=lists[0])


def test_random_draws_within_classes(download, root, prepared):
    facts, rows = prepared(
        prepare, root=root, split="random", seed=int(np.random.default_rng().integers(1000))
    )
    assert "group" not in next(iter(rows.values()))
    assert [facts["splits"][s]["samples"] for s in ("train", "validation", "test")] == [60, 20, 20]
    assert facts["splits"]["test"]["classes"] == {"angry": 4, "happy": 8, "neutral": 4, "sad": 4}


def test_features_are_those_of_the_speaker(download, root, tmp_path, prepared):
    features = tmp_path / "features"
    for turn in TURNS:
        for name in ("wav2vec-large-c-UTT", "deberta-large-4-UTT"):
            (features / name).mkdir(parents=True, exist_ok=True)
            np.save(features / name / f"{turn}.npy", np.ones(4))
        faces = features / "manet_UTT" / turn
        faces.mkdir(parents=True)
        np.save(faces / "compress_F.npy", np.ones(4))
    _, rows = prepared(prepare, root=root, features=features)
    row = rows["Ses01F_impro01_F000"]
    assert row["video"] == str(features / "manet_UTT/Ses01F_impro01_F000/compress_F.npy")
    assert row["audio"] == str(features / "wav2vec-large-c-UTT/Ses01F_impro01_F000.npy")
    assert row["text"] == str(features / "deberta-large-4-UTT/Ses01F_impro01_F000.npy")
    assert {row["video"] for turn, row in rows.items() if "_M" in turn} == {""}
    for path in features.rglob("*Ses04F_impro01_M003.npy"):
        path.unlink()
    facts, rows = prepared(prepare, root=root, features=features)
    assert facts["left_out"]["no features"] == 1
    assert "utterances without features of text: 1" in facts["notes"]
    assert "utterances without features of video: 50" in facts["notes"]
    assert "Ses04F_impro01_M003" not in rows
    for path in features.rglob("*.npy"):
        path.unlink()
    with pytest.raises(DataError, match="holds no features of the utterances"):
        prepared(prepare, root=root, features=features)


def test_a_missing_dialogue_is_counted(download, root, prepared):
    (root / "Session3/dialog/avi/DivX/Ses03F_impro01.avi").unlink()
    facts, _ = prepared(prepare, root=root)
    assert facts["left_out"]["video file not found"] == 10


def test_a_wrong_root_or_option_says_so(root, tmp_path, prepared):
    with pytest.raises(DataError, match="give IEMOCAP_full_release with --root"):
        prepared(prepare, root=tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"Session1/dialog/EmoEvaluation: no such folder"):
        prepared(prepare, root=root)
    with pytest.raises(ConfigError, match="'test_session' must be a session from 1 to 5, found 6"):
        prepared(prepare, root=root, test_session=6)
    with pytest.raises(ConfigError, match="'split' must be one of session, random, paper"):
        prepared(prepare, root=root, split="group")
