"""What an utterance of IEMOCAP is read from: its media and transcript, or GCNet's features."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from equipoise.data.datasets.lists import numbered_lines
from equipoise.data.datasets.writing import Row, need_folder
from equipoise.errors import DataError

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


def read_media(base: Path, turns: Sequence[Turn], sessions: Iterable[int]) -> tuple[list[Row], list[str]]:
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
    told = [f"{file} {'lacks lines' if (base / file).exists() else 'is missing'}" for file in files[:SHOWN]]
    more = [f"and {len(files) - SHOWN} more files"] if len(files) > SHOWN else []
    return [f"utterances without a transcript: {len(turns)} ({', '.join([*told, *more])}); their text is absent"]


def read_vectors(folder: Path, turns: Sequence[Turn]) -> tuple[list[Row], list[str]]:
    """Paths of the features, "" where one is missing, and a note that counts these."""
    for name in FEATURES.values():
        need_folder(folder / name, "it is one of the three folders of GCNet's features")
    rows = []
    for turn in turns:
        speaker = turn.id.rpartition("_")[2][0]
        names = {"audio": f"{turn.id}.npy", "video": f"{turn.id}/compress_{speaker}.npy", "text": f"{turn.id}.npy"}
        paths = {modality: (folder / FEATURES[modality] / name).resolve() for modality, name in names.items()}
        rows.append({"id": turn.id, **{m: str(path) if path.exists() else "" for m, path in paths.items()}})
    lacking = {modality: sum(not row[modality] for row in rows) for modality in FEATURES}
    if min(lacking.values()) == len(rows):
        raise DataError(f"{folder}: holds no features of the utterances of IEMOCAP")
    return rows, [f"utterances without features of {m}: {count}" for m, count in lacking.items() if count]
