"""`fsdd`: the Free Spoken Digit Dataset, 3,000 short recordings of the digits 0 to 9.

It has six speakers and one modality, for trying audio encoders; `av-digits` pairs the same
recordings with handwritten digits.

## Download

The repository `Jakobovski/free-spoken-digit-dataset` on GitHub (21 MB), whose folder `recordings`
holds 3,000 wav files: 8 kHz, mono, 16 bits, 0.14 to 2.28 s, 0.44 s on average.

## Licence

CC BY-SA 4.0.

## Expected files

```text
free-spoken-digit-dataset/
    recordings/
        <digit>_<speaker>_<take>.wav      0_george_0.wav
```

```bash
equipoise prepare fsdd --root free-spoken-digit-dataset
```

## Splits

* `speaker` (default): two of the six speakers are for testing and one is for validation, drawn with
  `seed`; 1,500 / 500 / 1,000 recordings. No speaker is in two splits.
* `official`: the takes 0 to 4 of every speaker and digit are for testing (300), as the description
  of the data set says. It has no validation split, so the takes 5 to 9 are used for validation
  (300) and 10 to 49 for training (2,400). All speakers are in all splits, which makes this far
  easier.

## Known problems

None of the recordings is broken. The silence at their ends is trimmed, so lengths vary by more than
a factor of ten.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from equipoise.data.datasets.preparing.counting import Total
from equipoise.data.datasets.preparing.writing import Collection, write
from equipoise.errors import DataError, invalid

_NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[A-Za-z]+)_(?P<take>\d+)\.wav")
TEST_TAKES = range(5)
VALIDATION_TAKES = range(5, 10)
PUBLISHED = {"train": 2_700, "test": 300}
TOTAL = Total(
    sum(PUBLISHED.values()), hint="some of 6 speakers × 10 digits × 50 takes may be missing"
)


class Recording(NamedTuple):
    """One file, and the facts in its name."""

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
        split: `speaker` (speakers held out) or `official` (takes held out).
        seed: of the speakers that are held out.

    Returns:
        Facts about what was found, see `writing.write`.

    Raises:
        ConfigError: no such split policy.
        DataError: there are no recordings, or recordings of fewer than four speakers.
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
        Collection("fsdd", modalities, rows, folder, published=published, total=TOTAL, notes=notes),
    )


def find_recordings(folder: Path) -> list[Recording]:
    """Find every recording in a folder or in its `recordings`, in the order of the names.

    Raises:
        DataError: no such folder, or no file in it is named like a recording.
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
            f"{folder}: no file is named <digit>_<speaker>_<take>.wav; "
            "is this the 'recordings' folder?"
        )
    return found


def assign_speakers(speakers: Sequence[str], rng: np.random.Generator) -> dict[str, str]:
    """Draw two speakers for testing and one for validation; the others are for training.

    Returns:
        {speaker: split}.

    Raises:
        DataError: fewer than four speakers.
    """
    if len(speakers) < 4:
        raise DataError(
            f"four speakers are needed to hold three out, "
            f"found {len(speakers)}: {', '.join(speakers)}"
        )
    order = [str(speaker) for speaker in rng.permutation(speakers)]
    splits = ["test", "test", "validation", *["train"] * (len(order) - 3)]
    return dict(zip(order, splits, strict=True))


def _official(take: int) -> str:
    """The split of a take."""
    if take in TEST_TAKES:
        return "test"
    return "validation" if take in VALIDATION_TAKES else "train"
