"""`iemocap`: 5,531 utterances of ten actors in dialogue, in four classes of emotion.

The modalities are audio, video and text.

## Download

`IEMOCAP_full_release`, from USC SAIL after a signed request. The features that `--features` reads
are linked from the README of `zeroQiaoba/GCNet`; with them the media are not needed, but
`EmoEvaluation` still is.

## Licence

That of USC SAIL: for research, no redistribution.

## Expected files

```text
IEMOCAP_full_release/
  Session1 … Session5/
    dialog/EmoEvaluation/Ses01F_impro01.txt
    dialog/transcriptions/Ses01F_impro01.txt
    dialog/avi/DivX/Ses01F_impro01.avi
    sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav
features/                                          (optional)
  wav2vec-large-c-UTT/Ses01F_impro01_F000.npy      audio, 512 numbers
  manet_UTT/Ses01F_impro01_F000/compress_F.npy     video, 1,024 numbers: the face of a person
  deberta-large-4-UTT/Ses01F_impro01_F000.npy      text, 1,024 numbers
```

```bash
equipoise prepare iemocap --root IEMOCAP_full_release --test_session 5 --out data/iemocap-5
equipoise prepare iemocap --root IEMOCAP_full_release --features features \\
    --out data/iemocap-features
equipoise prepare iemocap --root IEMOCAP_full_release --split paper --splits MLA/data \\
    --out data/iemocap-paper
```

`audio` is the wav of the utterance, `video` the seconds of the utterance in the avi of its
dialogue, and `text` its transcript. With `--features` the three modalities are GCNet's vectors of
the person who speaks; where the face was never found, `video` is absent.

The label is the consensus of the annotators, and *excited* counts as happy: 1,636 happy, 1,708
neutral, 1,084 sad and 1,103 angry. The other 4,508 utterances (frustrated, no consensus and rarer
emotions) are left out and counted.

## Splits

* `session` (default): session `--test_session` (5) is for testing, the session before it for
  validation (5 comes before 1), and the other three are for training. Each session has two actors
  who are in no other session. The sessions have 1,085, 1,023, 1,151, 1,031 and 1,241 utterances.
  Leave-one-session-out is five runs, with `--test_session` 1 to 5; GCNet's version of it has no
  validation session.
* `random`: utterances are drawn by class, 60 % for training, 20 % for validation and 20 % for
  testing.
* `paper`: MLA's lists in `--splits`, `my_train_iemo.txt` (3,318) and `my_test_iemo.txt` (1,107).
  MLA did not publish a third list; the 1,106 utterances that are in neither list are for validation
  here. All 151 dialogues and all actors are in training and in testing, so results say nothing
  about new speakers or dialogues.

## Known problems

* A dialogue without its file in `EmoEvaluation` is lost: compare the counts that `prepare` prints
  with the published ones. Utterances without a transcript have no text; `prepare` says how many
  there are, and in which files.
* The avi shows both persons side by side, not the speaker alone. MLA and GCNet crop the faces, but
  did not publish how.
* The letter after the session (`Ses01F`) says whose motion was captured; the last letter says who
  speaks.
* The evaluation files also have lines of single annotators, and the transcriptions have lines that
  are not utterances; neither are read. The files that begin with `._`, which macOS adds to some
  copies, are ignored.
* MLA's released loader computes a mean and a standard deviation for the audio of this data set, but
  does not apply them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from equipoise.data.datasets.preparing.counting import Total
from equipoise.data.datasets.preparing.lists import bad_line, numbered_lines, published_lists
from equipoise.data.datasets.preparing.writing import (
    Collection,
    Row,
    draw_splits,
    need_folder,
    write,
)
from equipoise.errors import DataError, invalid

EMOTIONS = {"ang": "angry", "hap": "happy", "exc": "happy", "neu": "neutral", "sad": "sad"}
SESSIONS = {1: 1_085, 2: 1_023, 3: 1_151, 4: 1_031, 5: 1_241}
"""{session: published utterances of the four classes}"""
LISTS = {"train": "my_train_iemo.txt", "test": "my_test_iemo.txt"}
PUBLISHED = {"train": 3_318, "validation": 1_106, "test": 1_107}
FEATURES = {"audio": "wav2vec-large-c-UTT", "video": "manet_UTT", "text": "deberta-large-4-UTT"}
"""{modality: folder of GCNet's features}"""
SHOWN = 3
"""Number of files that a note names."""
_TURN = re.compile(
    r"\[(?P<start>[\d.]+) - (?P<end>[\d.]+)\]\t(?P<id>Ses\w+)\t(?P<emotion>\w+)\t\[.*\]"
)
_LISTED = re.compile(r"(?P<id>Ses\w+)\.mp4 \[split\|sign\] .* \[split\|sign\] (?P<label>\w+)")
_SPOKEN = re.compile(r"(?P<id>Ses\w+) \[[\d.]+-[\d.]+\]: ?(?P<text>.*)")


class Turn(NamedTuple):
    """An utterance as the annotators judged it; times are in seconds of its dialogue."""

    session: int
    id: str
    emotion: str
    start: str
    end: str

    @property
    def dialogue(self) -> str:
        return self.id.rpartition("_")[0]

    @property
    def transcription(self) -> str:
        """Path of its transcript, relative to the download."""
        return f"Session{self.session}/dialog/transcriptions/{self.dialogue}.txt"


def prepare(
    out: Path,
    *,
    root: str | Path,
    splits: str | Path | None = None,
    split: str = "session",
    test_session: int = 5,
    features: str | Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Write `manifest.csv` and `dataset.json` into an existing empty folder.

    Args:
        out: the folder.
        root: `IEMOCAP_full_release`.
        splits: folder of MLA's lists, which `split="paper"` reads; null for any other split.
        split: "session" (held out), "random" (utterances held out) or "paper" (MLA's lists).
        test_session: 1 to 5, for `split="session"`.
        features: folder of GCNet's features, which are read instead of the media; null for the
            media.
        seed: of the draw, for `split="random"`.

    Returns:
        Facts about what was found, see `writing.write`.

    Raises:
        ConfigError: no such split policy or session, "paper" without lists, or lists without
            "paper".
        DataError: the download or a list is not as described above.
    """
    lists = published_lists("iemocap", split, ("session", "random", "paper"), splits)
    if test_session not in SESSIONS:
        raise invalid("iemocap", "test_session", "a session from 1 to 5", test_session)
    base = need_folder(root, "give IEMOCAP_full_release with --root")
    turns = [turn for session in SESSIONS for turn in _turns(base, session)]
    left_out = [
        (turn.id, f"emotion {turn.emotion}") for turn in turns if turn.emotion not in EMOTIONS
    ]
    turns = [turn for turn in turns if turn.emotion in EMOTIONS]
    if features is None:
        cells, notes = read_media(base, turns)
    else:
        cells, notes = read_vectors(Path(features), turns)
    rows: list[Row] = [
        {**cell, "label": EMOTIONS[t.emotion], "split": ""}
        for t, cell in zip(turns, cells, strict=True)
    ]
    left_out += [
        (row["id"], "no features") for row in rows if not any(row[name] for name in FEATURES)
    ]
    rows = [row for row in rows if any(row[name] for name in FEATURES)]
    published: Mapping[str, int] = {}
    if lists is not None:
        left_out += _published(lists, rows)
        published = PUBLISHED
    elif split == "random":
        draw_splits(rows, validation=0.2, test=0.2, seed=seed)
    else:
        published = _by_session(rows, test_session)
    kinds = ("audio", "video", "text") if features is None else ("vector",) * 3
    collection = Collection(
        "iemocap",
        [f"{name}={name}:{kind}" for name, kind in zip(FEATURES, kinds, strict=True)],
        rows,
        base,
        published=published,
        total=Total(sum(SESSIONS.values()), hint=_compare(turns)),
        left_out=left_out,
        notes=[
            *([] if split == "session" else ["the splits share all actors and dialogues"]),
            *notes,
        ],
    )
    return write(out, collection)


def _turns(base: Path, session: int) -> Iterator[Turn]:
    """Yield the utterances of a session; the lines of single annotators do not match."""
    for path in _text_files(base / f"Session{session}/dialog/EmoEvaluation"):
        for _, line in numbered_lines(path):
            match = _TURN.fullmatch(line.strip())
            if match:
                yield Turn(session, match["id"], match["emotion"], match["start"], match["end"])


def _text_files(folder: Path) -> list[Path]:
    """The text files of a folder of the download, without those that macOS adds."""
    need_folder(folder, "it comes with IEMOCAP_full_release")
    return sorted(path for path in folder.glob("*.txt") if not path.name.startswith("."))


def read_media(base: Path, turns: Sequence[Turn]) -> tuple[list[Row], list[str]]:
    """Make the cells of utterances that are read from the media.

    Returns:
        A row per utterance, with the text "" where there is no transcript; and a note on the
        missing transcripts, if there are any.
    """
    spoken = {}
    for session in SESSIONS:
        for path in _text_files(base / f"Session{session}/dialog/transcriptions"):
            matches = (_SPOKEN.fullmatch(line.strip()) for _, line in numbered_lines(path))
            spoken.update({match["id"]: match["text"].strip() for match in matches if match})
    rows = []
    for turn in turns:
        dialogue = f"Session{turn.session}/dialog/avi/DivX/{turn.dialogue}.avi"
        rows.append(
            {
                "id": turn.id,
                "audio": f"Session{turn.session}/sentences/wav/{turn.dialogue}/{turn.id}.wav",
                "video": f"{dialogue}#t={turn.start},{turn.end}",
                "text": spoken.get(turn.id, ""),
            }
        )
    return rows, _without_transcript(base, [turn for turn in turns if not spoken.get(turn.id)])


def _without_transcript(base: Path, turns: Sequence[Turn]) -> list[str]:
    """A note on utterances without a transcript, if there are any."""
    if not turns:
        return []
    files = sorted({turn.transcription for turn in turns})
    told = [
        f"{file} {'lacks lines' if (base / file).exists() else 'is missing'}"
        for file in files[:SHOWN]
    ]
    if len(files) > SHOWN:
        told.append(f"and {len(files) - SHOWN} more files")
    return [
        f"utterances without a transcript: {len(turns)} ({', '.join(told)}); their text is absent"
    ]


def read_vectors(folder: Path, turns: Sequence[Turn]) -> tuple[list[Row], list[str]]:
    """Make the cells of utterances that are read from GCNet's features.

    Returns:
        A row per utterance, with paths of files, "" where one is missing; and a note for each
        modality with missing files.
    """
    for name in FEATURES.values():
        need_folder(folder / name, "it is one of the three folders of GCNet's features")
    rows = []
    for turn in turns:
        speaker = turn.id.rpartition("_")[2][0]
        names = {
            "audio": f"{turn.id}.npy",
            "video": f"{turn.id}/compress_{speaker}.npy",
            "text": f"{turn.id}.npy",
        }
        row = {"id": turn.id}
        for modality, name in names.items():
            path = (folder / FEATURES[modality] / name).resolve()
            row[modality] = str(path) if path.exists() else ""
        rows.append(row)
    lacking = {modality: sum(not row[modality] for row in rows) for modality in FEATURES}
    if min(lacking.values()) == len(rows):
        raise DataError(f"{folder}: holds no features of the utterances of IEMOCAP")
    return rows, [
        f"utterances without features of {m}: {count}" for m, count in lacking.items() if count
    ]


def _compare(turns: Sequence[Turn]) -> str:
    """A hint at what is missing: the sessions with fewer or more utterances than published."""
    found = Counter(turn.session for turn in turns)
    told = [f"{found[s]:,} of {n:,} in Session{s}" for s, n in SESSIONS.items() if found[s] != n]
    if not told:
        return "features may be missing"
    return f"EmoEvaluation has {', '.join(told)}; dialogues may be missing"


def _by_session(rows: Sequence[Row], test: int) -> dict[str, int]:
    """Give every row the split of its session.

    Returns:
        {split: published number of utterances}.
    """
    split_of = dict.fromkeys(SESSIONS, "train") | {
        (test - 2) % len(SESSIONS) + 1: "validation",
        test: "test",
    }
    for row in rows:
        session = row["id"].removeprefix("Ses0")[0]
        row["split"] = split_of[int(session)]
        row["group"] = f"Session{session}"
    return {
        split: sum(n for s, n in SESSIONS.items() if split_of[s] == split)
        for split in split_of.values()
    }


def _published(folder: Path, rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Give every row the split of MLA's lists; a row in neither list is for validation.

    Returns:
        (id, reason) of the listed utterances without a row.
    """
    need_folder(folder, "give the folder of MLA's lists with --splits")
    label_of = {row["id"]: row["label"] for row in rows}
    split_of = {}
    for split, name in LISTS.items():
        for number, line in numbered_lines(
            folder / name, f"the lists are {' and '.join(LISTS.values())}"
        ):
            match = _LISTED.fullmatch(line.strip())
            if match is None:
                raise bad_line(
                    folder / name,
                    number,
                    line,
                    "'<utterance>.mp4 [split|sign] <text> [split|sign] <Name>'",
                )
            label = label_of.get(match["id"], match["label"].lower())
            if match["label"].lower() != label:
                raise bad_line(
                    folder / name,
                    number,
                    line,
                    f"{label!r}, as the annotators of {match['id']} say",
                )
            split_of[match["id"]] = split
    for row in rows:
        row["split"] = split_of.get(row["id"], "validation")
    return [
        (utterance, "listed, but not in the download")
        for utterance in split_of
        if utterance not in label_of
    ]
