"""CMU-MOSEI (Zadeh et al. 2018): how negative or positive a person speaking to the camera sounds,
22,856 segments.

The modalities are sequences of features that others have extracted: text (300 or 768 numbers a
step), audio (74, COVAREP) and vision (35, FACET).

## What to download

One pickle, word-aligned or not, of either of these packagings:

* that of `yaohungt/Multimodal-Transformer` (MulT) on GitHub: `mosei_senti_data.pkl`, or without
  alignment `mosei_senti_data_noalign.pkl`; text is GloVe, of 50 steps, audio and vision have 500
  steps without alignment;
* that of `thuiar/MMSA`: `aligned_50.pkl` or `unaligned_50.pkl`; text is BERT's 768 features,
  unaligned sequences have 50, 500 and 375 steps.

An unaligned pickle is several GB and is read as a whole, so it must fit into memory. Direct links
have been unreliable.

## Licence

The terms of the CMU Multimodal SDK; for research.

## What prepare expects

```text
mosei_senti_data_noalign.pkl        or another of the four
```

```bash
equipoise prepare cmu-mosei --root mosei_senti_data_noalign.pkl
```

A pickle can run any program when it is read. This one is read in a way that allows arrays and
nothing else.

Each modality becomes one array file `<modality>.npy` of shape (segments, steps, features), of which
a cell such as `text.npy#17` picks a row.

## Splits

The official ones, as the pickle has them: 16,326 / 1,871 / 4,659 segments. The video is the
`group`.

The label is a score from −3 to 3 turned into `classes`:

| classes | rule |
|---|---|
| 2 (default) | negative (below 0), non-negative |
| 3 | negative (below −0.5), neutral, positive (above 0.5) |
| 7 | the nearest whole number; halves go to the even one |

## Known problems

* Audio holds −∞ where COVAREP took a logarithm of zero. Whatever is not finite becomes 0, and is
  counted.
* With two classes neutral counts as positive; papers that drop neutral segments report higher
  numbers.
* Shorter sequences are filled up with zeros. MulT's packaging does not say how long a sequence is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.datasets.preparing.safe_pickle import load_arrays
from equipoise.data.datasets.preparing.writing import Collection, Row, write
from equipoise.errors import DataError, invalid

MODALITIES = ("text", "audio", "vision")
SPLITS = {"train": "train", "validation": "valid", "test": "test"}
PUBLISHED = {"train": 16_326, "validation": 1_871, "test": 4_659}
CHUNK = 1024  # segments converted at a time, so that no second copy of a modality is in memory
CLASSES: dict[int, Callable[[float], str]] = {
    2: lambda score: "negative" if score < 0 else "non-negative",
    3: lambda score: "negative" if score < -0.5 else "positive" if score > 0.5 else "neutral",
    7: lambda score: str(int(np.clip(np.rint(score), -3, 3))),
}
"""{number of classes: score → class}"""


def prepare(out: Path, *, root: str | Path, classes: int = 2) -> dict[str, Any]:
    """Write `manifest.csv`, `dataset.json` and an array file per modality into an existing empty
    folder.

    Args:
        out: the folder.
        root: the pickle.
        classes: 2, 3 or 7.

    Returns:
        What was found, see `writing.write`.

    Raises:
        ConfigError: another number of classes.
        DataError: the file is not there, is no pickle of arrays, or not of one of the two
            packagings.
    """
    if classes not in CLASSES:
        raise invalid("cmu-mosei", "classes", "2, 3 or 7", classes)
    path = Path(root)
    found = load_arrays(path, "give the pickle of MulT or MMSA with --root")
    parts = {split: _part(found, key, path) for split, key in SPLITS.items()}
    notes = [
        note
        for m in MODALITIES
        for note in _save(out / f"{m}.npy", [p[m] for p in parts.values()], path)
    ]
    rows: list[Row] = []
    for split, part in parts.items():
        for k, (score, video) in enumerate(
            zip(_scores(part, path), _videos(part, path), strict=True)
        ):
            cells = {m: f"{m}.npy#{len(rows)}" for m in MODALITIES}
            label = CLASSES[classes](score)
            rows.append(
                {"id": f"{split}-{k}", **cells, "label": label, "split": split, "group": video}
            )
    return write(
        out,
        Collection(
            "cmu-mosei",
            [f"{m}={m}:array" for m in MODALITIES],
            rows,
            published=PUBLISHED,
            notes=notes,
        ),
    )


def _part(found: Any, key: str, path: Path) -> Mapping[str, Any]:
    """One split, checked for what both packagings have."""
    part = found.get(key) if isinstance(found, dict) else None
    if not isinstance(part, dict):
        raise DataError(
            f"{path}: has no split {key!r}; the pickles of MulT and MMSA hold train, valid and test"
        )
    for m in MODALITIES:
        if not (
            isinstance(part.get(m), np.ndarray)
            and part[m].ndim == 3
            and part[m].dtype.kind in "fiu"
        ):
            raise DataError(
                f"{path}: {m!r} of {key!r} is no array of shape (segments, steps, features)"
            )
    counts = {m: len(part[m]) for m in MODALITIES} | {
        name: len(part[name]) for name in ("id",) if name in part
    }
    if len(set(counts.values())) > 1:
        raise DataError(
            f"{path}: {key!r} has a different number of segments in each part: {counts}"
        )
    return part


def _scores(part: Mapping[str, Any], path: Path) -> list[float]:
    """MulT keeps them in `labels` (N, 1, 1), MMSA in `regression_labels` (N)."""
    try:
        scores = np.asarray(
            part["labels"] if "labels" in part else part["regression_labels"], dtype=float
        ).ravel()
    except (KeyError, ValueError, TypeError):
        scores = np.array([])
    if len(scores) != len(part["text"]) or not (np.abs(scores) <= 3).all():
        raise DataError(
            f"{path}: expected a score from -3 to 3 per segment in 'labels' or 'regression_labels'"
        )
    return [float(score) for score in scores]


def _videos(part: Mapping[str, Any], path: Path) -> list[str]:
    """MulT's `id` is (N, 3) of video, start and end; MMSA's a list of `video$_$segment`."""
    if "id" not in part:
        raise DataError(f"{path}: has no 'id', which names the video of each segment")
    return [
        _word(i if isinstance(i, str | bytes) else i[0]).partition("$_$")[0] for i in part["id"]
    ]


def _word(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _save(path: Path, arrays: list[np.ndarray], source: Path) -> list[str]:
    """Write the splits below each other as float32; says how many numbers were not finite."""
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1:
        raise DataError(
            f"{source}: {path.stem!r} has another shape in each split: {sorted(shapes)}"
        )
    shape = (sum(map(len, arrays)), *shapes.pop())
    written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    place = replaced = 0
    for chunk in (array[k : k + CHUNK] for array in arrays for k in range(0, len(array), CHUNK)):
        with np.errstate(over="ignore"):
            narrow = chunk.astype(np.float32)
        finite = np.isfinite(narrow)
        written[place : place + len(chunk)] = np.where(finite, narrow, 0)
        place = place + len(chunk)
        replaced = replaced + int((~finite).sum())
    written.flush()
    return [f"{replaced} numbers of {path.stem} that were not finite are 0"] if replaced else []
