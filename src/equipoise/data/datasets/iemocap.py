"""`iemocap`: 5,531 utterances of ten actors in dialogue, in four classes of emotion (audio, video,
text).

## What to download

`IEMOCAP_full_release`, from USC SAIL after a signed request. The features that `--features` reads
are linked from the README of `zeroQiaoba/GCNet`; they do without the media, but not without
`EmoEvaluation`.

## Licence

That of USC SAIL: research, no redistribution.

## What prepare expects

```text
IEMOCAP_full_release/
  Session1 … Session5/
    dialog/EmoEvaluation/Ses01F_impro01.txt
    dialog/transcriptions/Ses01F_impro01.txt
    dialog/avi/DivX/Ses01F_impro01.avi
    sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav
features/                                          (optional)
  wav2vec-large-c-UTT/Ses01F_impro01_F000.npy      audio, 512 numbers
  manet_UTT/Ses01F_impro01_F000/compress_F.npy     video, 1,024 numbers: the face of each person seen
  deberta-large-4-UTT/Ses01F_impro01_F000.npy      text, 1,024 numbers
```

```bash
equipoise prepare iemocap --root IEMOCAP_full_release --test_session 5 --out data/iemocap-5
equipoise prepare iemocap --root IEMOCAP_full_release --features features \\
    --out data/iemocap-features
equipoise prepare iemocap --root IEMOCAP_full_release --split paper --splits MLA/data \\
    --out data/iemocap-paper
```

`audio` is the utterance's wav, `video` the utterance's seconds of the dialogue's avi, `text` the
transcript. With `--features`, the three modalities are GCNet's vectors instead, those of the person
who speaks; where the face was never found, `video` is absent.

The label is the consensus of the annotators, of which *excited* counts as happy: 1,636 happy, 1,708
neutral, 1,084 sad and 1,103 angry. The other 4,508 utterances (frustrated, no consensus and rarer
ones) are left out and counted.

## Splits

* `session` (default): session `--test_session` (5) is for testing, the session before it for
  validation (5 comes before 1), three for training. Each session has two actors who are in no
  other. Utterances per session: 1,085, 1,023, 1,151, 1,031 and 1,241. Leave-one-session-out is five
  runs, `--test_session` 1 to 5; GCNet's own has no validation session.
* `random`: utterances are drawn by class, 60 % for training, 20 % for validation and 20 % for
  testing.
* `paper`: MLA's lists in `--splits`, `my_train_iemo.txt` (3,318) and `my_test_iemo.txt` (1,107).
  MLA's third part was not published; it is the 1,106 utterances that are in neither list, and is
  for validation here. All 151 dialogues and all actors are on both sides: results say nothing of
  new speakers or dialogues.

## Known problems

* A dialogue without its file of `EmoEvaluation` is lost: compare the counts with the published
  ones, which prepare prints. Utterances without a transcript have no text; prepare says how many,
  and in which files.
* The avi shows both persons side by side and not the speaker alone; MLA's and GCNet's cropping of
  faces is not published with the data.
* The letter after the session (`Ses01F`) is whose motion was captured, not who speaks; the last
  letter is.
* Evaluation files continue with lines of single annotators, which are not read, and some copies
  hold macOS files that begin with `._`, which are passed over. Some lines of the transcriptions are
  no utterances.
* MLA's released loader computes a mean and deviation for the audio of this data set without
  applying them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from equipoise.data.datasets.preparing.counting import Whole
from equipoise.data.datasets.preparing.lists import numbered_lines
from equipoise.data.datasets.preparing.policies import bad_line, published_lists
from equipoise.data.datasets.preparing.writing import (
    Collection,
    Row,
    draw_splits,
    need_folder,
    write,
)
from equipoise.errors import DataError, invalid

FEATURES = {"audio": "wav2vec-large-c-UTT", "video": "manet_UTT", "text": "deberta-large-4-UTT"}
_SPOKEN = re.compile(r"(?P<id>Ses\w+) \[[\d.]+-[\d.]+\]: ?(?P<text>.*)")
SHOWN = 3  # files that a note names


class Turn(NamedTuple):
    """An utterance as the annotators judged it; times in seconds of its dialogue."""

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
        """Where its transcript stands, below the download."""
        return f"Session{self.session}/dialog/transcriptions/{self.dialogue}.txt"


def texts(folder: Path) -> list[Path]:
    """The text files of a folder of the download; those of macOS are passed over."""
    need_folder(folder, "it comes with IEMOCAP_full_release")
    return sorted(path for path in folder.glob("*.txt") if not path.name.startswith("."))


def read_media(
    base: Path, turns: Sequence[Turn], sessions: Iterable[int]
) -> tuple[list[Row], list[str]]:
    """Cells of the turns, the text "" where there is no transcript, and a note that says where there is none."""
    spoken = {}
    for session in sessions:
        for path in texts(base / f"Session{session}/dialog/transcriptions"):
            matches = (_SPOKEN.fullmatch(line.strip()) for _, line in numbered_lines(path))
            spoken.update({match["id"]: match["text"].strip() for match in matches if match})
    rows = [
        {
            "id": turn.id,
            "audio": f"Session{turn.session}/sentences/wav/{turn.dialogue}/{turn.id}.wav",
            "video": f"Session{turn.session}/dialog/avi/DivX/{turn.dialogue}.avi#t={turn.start},{turn.end}",
            "text": spoken.get(turn.id, ""),
        }
        for turn in turns
    ]
    return rows, _without_transcript(base, [turn for turn in turns if not spoken.get(turn.id)])


def _without_transcript(base: Path, turns: Sequence[Turn]) -> list[str]:
    if not turns:
        return []
    files = sorted({turn.transcription for turn in turns})
    told = [
        f"{file} {'lacks lines' if (base / file).exists() else 'is missing'}"
        for file in files[:SHOWN]
    ]
    more = [f"and {len(files) - SHOWN} more files"] if len(files) > SHOWN else []
    return [
        f"utterances without a transcript: {len(turns)} ({', '.join([*told, *more])}); their text is absent"
    ]


def read_vectors(folder: Path, turns: Sequence[Turn]) -> tuple[list[Row], list[str]]:
    """Paths of the features, "" where one is missing, and a note that counts these."""
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
        paths = {
            modality: (folder / FEATURES[modality] / name).resolve()
            for modality, name in names.items()
        }
        rows.append(
            {"id": turn.id, **{m: str(path) if path.exists() else "" for m, path in paths.items()}}
        )
    lacking = {modality: sum(not row[modality] for row in rows) for modality in FEATURES}
    if min(lacking.values()) == len(rows):
        raise DataError(f"{folder}: holds no features of the utterances of IEMOCAP")
    return rows, [
        f"utterances without features of {m}: {count}" for m, count in lacking.items() if count
    ]


EMOTIONS = {"ang": "angry", "hap": "happy", "exc": "happy", "neu": "neutral", "sad": "sad"}
SESSIONS = {1: 1_085, 2: 1_023, 3: 1_151, 4: 1_031, 5: 1_241}
"""{session: published utterances of the four classes}"""
LISTS = {"train": "my_train_iemo.txt", "test": "my_test_iemo.txt"}
PUBLISHED = {"train": 3_318, "validation": 1_106, "test": 1_107}
_TURN = re.compile(
    r"\[(?P<start>[\d.]+) - (?P<end>[\d.]+)\]\t(?P<id>Ses\w+)\t(?P<emotion>\w+)\t\[.*\]"
)
_LISTED = re.compile(r"(?P<id>Ses\w+)\.mp4 \[split\|sign\] .* \[split\|sign\] (?P<label>\w+)")


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
        splits: folder of MLA's lists, which `split="paper"` reads.
        split: "session" (held out), "random" (utterances held out) or "paper" (MLA's lists).
        test_session: 1 to 5, of `split="session"`.
        features: folder of GCNet's features, to be read instead of the media.
        seed: of `split="random"`.

    Returns:
        What was found, see `writing.write`.

    Raises:
        ConfigError: no such policy or session, or published lists without `split="paper"` and the
            reverse.
        DataError: the download or a list is not what is described above.
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
    cells, notes = (
        read_media(base, turns, SESSIONS)
        if features is None
        else read_vectors(Path(features), turns)
    )
    rows: list[Row] = [
        {**cell, "label": EMOTIONS[t.emotion], "split": ""}
        for t, cell in zip(turns, cells, strict=True)
    ]
    published: Mapping[str, int] = {}
    left_out += [
        (row["id"], "no features") for row in rows if not any(row[name] for name in FEATURES)
    ]
    rows = [row for row in rows if any(row[name] for name in FEATURES)]
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
        whole=Whole(sum(SESSIONS.values()), hint=_compare(turns)),
        left_out=left_out,
        notes=[
            *([] if split == "session" else ["the splits share all actors and dialogues"]),
            *notes,
        ],
    )
    return write(out, collection)


def _turns(base: Path, session: int) -> Iterator[Turn]:
    """The utterances of a session; the lines of single annotators are not of this form."""
    for path in texts(base / f"Session{session}/dialog/EmoEvaluation"):
        for _, line in numbered_lines(path):
            match = _TURN.fullmatch(line.strip())
            if match:
                yield Turn(session, match["id"], match["emotion"], match["start"], match["end"])


def _compare(turns: Sequence[Turn]) -> str:
    """The sessions that have fewer utterances than published, or more."""
    found = Counter(turn.session for turn in turns)
    told = [f"{found[s]:,} of {n:,} in Session{s}" for s, n in SESSIONS.items() if found[s] != n]
    return (
        f"EmoEvaluation has {', '.join(told)}; dialogues may be missing"
        if told
        else "features may be missing"
    )


def _by_session(rows: Sequence[Row], test: int) -> dict[str, int]:
    """Give every row its split; returns how many utterances each split has as published."""
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
    """Give every row its split: validation is what the lists do not name. Returns listed utterances without a row."""
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
