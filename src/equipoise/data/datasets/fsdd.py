"""Free Spoken Digit Dataset: the digits 0 to 9 spoken by six speakers, 3,000 short recordings.

It has one modality, for trying audio encoders; `av-digits` pairs the same recordings with
handwritten digits.

## What to download

The repository `Jakobovski/free-spoken-digit-dataset` on GitHub (21 MB), whose folder `recordings`
holds 3,000 wav
files: 8 kHz, mono, 16 bits, 0.14 to 2.28 s, 0.44 s on average.

## Licence

CC BY-SA 4.0.

## What prepare expects

```text
free-spoken-digit-dataset/
    recordings/
        <digit>_<speaker>_<take>.wav      0_george_0.wav
```

```bash
equipoise prepare fsdd --root free-spoken-digit-dataset
```

## Splits

* `speaker` (default): two of the six speakers are for testing, one is for validation, drawn with
  `seed`; 1,500 / 500 / 1,000 recordings. Nobody tested was heard in training.
* `official`: the takes 0 to 4 of every speaker and digit are for testing (300), as the data set's
  own description says. It has no validation split, so the takes 5 to 9 are (300), and 10 to 49
  train (2,400). All speakers are in all splits, which makes this far easier.

## Known problems

None of the recordings is broken. Silence at their ends is trimmed, so lengths vary by more than a
factor of ten.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from equipoise.data.datasets.preparing.counting import Whole
from equipoise.data.datasets.preparing.writing import Collection, write
from equipoise.errors import DataError, invalid

_NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[A-Za-z]+)_(?P<take>\d+)\.wav")
TEST_TAKES = range(5)
VALIDATION_TAKES = range(5, 10)
PUBLISHED = {"train": 2_700, "test": 300}
WHOLE = Whole(
    sum(PUBLISHED.values()), hint="some of 6 speakers × 10 digits × 50 takes may be missing"
)


class Recording(NamedTuple):
    """One file, and what its name says."""

    digit: int
    speaker: str
    take: int
    path: Path


def prepare(
    out: Path, *, root: str | Path, split: str = "speaker", seed: int = 0
) -> dict[str, Any]:
    """Write `manifest.csv` and `dataset.json` into an existing empty folder.

    Args:
        out: the folder.
        root: folder of the recordings, or the folder above it.
        split: `speaker` holds speakers out, `official` takes.
        seed: decides which speakers are held out.

    Returns:
        What was found, see `writing.write`.

    Raises:
        ConfigError: no such split policy.
        DataError: no recordings there, or of fewer than four speakers.
    """
    if split not in ("speaker", "official"):
        raise invalid("fsdd", "split", "'speaker' or 'official'", split)
    recordings = find_recordings(Path(root))
    speakers = sorted({recording.speaker for recording in recordings})
    held = assign_speakers(speakers, np.random.default_rng(seed)) if split == "speaker" else {}
    rows = [
        {
            "id": r.path.stem,
            "audio": r.path.name,
            "label": str(r.digit),
            "split": held.get(r.speaker) or _official(r.take),
            "group": r.speaker,
        }
        for r in recordings
    ]
    published = PUBLISHED if split == "official" else {}
    notes = ["all speakers are in all splits"] if split == "official" else []
    folder = recordings[0].path.parent
    modalities = ["audio=audio:audio"]
    return write(
        out,
        Collection("fsdd", modalities, rows, folder, published=published, whole=WHOLE, notes=notes),
    )


def find_recordings(folder: Path) -> list[Recording]:
    """Every recording in the folder or in its `recordings`, in the order of the names.

    Raises:
        DataError: no such folder, or nothing in it is named like a recording.
    """
    if (folder / "recordings").is_dir():
        folder = folder / "recordings"
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; give the recordings of the Free Spoken Digit Dataset"
        )
    found = []
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match:
            found.append(
                Recording(int(match["digit"]), match["speaker"], int(match["take"]), path.resolve())
            )
    if not found:
        raise DataError(
            f"{folder}: no file is named <digit>_<speaker>_<take>.wav; is this the 'recordings' folder?"
        )
    return found


def assign_speakers(speakers: Sequence[str], rng: np.random.Generator) -> dict[str, str]:
    """{speaker: split}: two for testing, one for validation, the others for training.

    Raises:
        DataError: fewer than four speakers.
    """
    if len(speakers) < 4:
        raise DataError(
            f"four speakers are needed to hold three out, found {len(speakers)}: {', '.join(speakers)}"
        )
    order = [str(s) for s in rng.permutation(speakers)]
    return {
        s: "test" if k < 2 else "validation" if k == 2 else "train" for k, s in enumerate(order)
    }


def _official(take: int) -> str:
    return "test" if take in TEST_TAKES else "validation" if take in VALIDATION_TAKES else "train"
