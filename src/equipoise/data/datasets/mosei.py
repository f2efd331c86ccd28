"""`cmu-mosei`: CMU-MOSEI, the sentiment of people speaking to the camera, 22,856 segments.

Zadeh et al. Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and Interpretable Dynamic
Fusion Graph. ACL 2018. The modalities are sequences of features that others have extracted: text
(300 or 768 numbers per step), audio (74, COVAREP) and vision (35, FACET).

## Download

One pickle, word-aligned or not, in one of these two packagings:

* that of `yaohungt/Multimodal-Transformer` (MulT) on GitHub: `mosei_senti_data.pkl`, or without
  alignment `mosei_senti_data_noalign.pkl`. Text is GloVe with 50 steps; without alignment, audio
  and vision have 500 steps;
* that of `thuiar/MMSA`: `aligned_50.pkl` or `unaligned_50.pkl`. Text is 768 features of BERT; the
  unaligned sequences have 50, 500 and 375 steps.

An unaligned pickle has several GB and is read at once, so it must fit into memory. Direct links
have been unreliable.

## Licence

The terms of the CMU Multimodal SDK; for research.

## Expected files

```text
mosei_senti_data_noalign.pkl        or another of the four
```

```bash
equipoise prepare cmu-mosei --root mosei_senti_data_noalign.pkl
```

A pickle can run any program when it is read. This one is read in a way that allows arrays and
nothing else.

Each modality becomes one array file `<modality>.npy` of shape (segments, steps, features). A cell
such as `text.npy#17` picks a row of it.

## Splits

The official splits in the pickle: 16,326 / 1,871 / 4,659 segments. The video is the `group`.

The label is a score from −3 to 3, turned into `classes`:

| classes | rule |
|---|---|
| 2 (default) | negative (below 0), non-negative |
| 3 | negative (below −0.5), neutral, positive (above 0.5) |
| 7 | the nearest integer; halves go to the even one |

## Known problems

* Audio holds −∞ where COVAREP took the logarithm of zero. Numbers that are not finite become 0 and
  are counted.
* With two classes, neutral counts as non-negative; papers that drop neutral segments report higher
  numbers.
* Shorter sequences are padded with zeros. MulT's packaging does not say how long a sequence is.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from equipoise.data.datasets.preparing.writing import Collection, Row, need_file, write
from equipoise.errors import DataError, invalid

MODALITIES = ("text", "audio", "vision")
SPLITS = {"train": "train", "validation": "valid", "test": "test"}
PUBLISHED = {"train": 16_326, "validation": 1_871, "test": 4_659}
CHUNK = 1024
"""Segments converted at a time, so that no second copy of a modality is in memory."""
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
        Facts about what was found, see `writing.write`.

    Raises:
        ConfigError: another number of classes.
        DataError: the file is missing, is not a pickle of arrays, or is in neither packaging.
    """
    if classes not in CLASSES:
        raise invalid("cmu-mosei", "classes", "2, 3 or 7", classes)
    path = Path(root)
    found = load_arrays(path, "give the pickle of MulT or MMSA with --root")
    parts = {split: _part(found, key, path) for split, key in SPLITS.items()}
    notes = []
    for m in MODALITIES:
        notes += _save(out / f"{m}.npy", [part[m] for part in parts.values()], path)
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
    """One split of the pickle, with the arrays that both packagings have."""
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
                f"{path}: {m!r} of {key!r} is not an array of shape (segments, steps, features)"
            )
    counts = {m: len(part[m]) for m in MODALITIES}
    if "id" in part:
        counts["id"] = len(part["id"])
    if len(set(counts.values())) > 1:
        raise DataError(
            f"{path}: {key!r} has a different number of segments in each part: {counts}"
        )
    return part


def _scores(part: Mapping[str, Any], path: Path) -> list[float]:
    """The scores of a split: `labels` (N, 1, 1) in MulT, `regression_labels` (N) in MMSA."""
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
    """The video of every segment.

    MulT's `id` is (N, 3) of video, start and end; MMSA's is a list of `video$_$segment`.
    """
    if "id" not in part:
        raise DataError(f"{path}: has no 'id', which names the video of each segment")
    videos = []
    for identity in part["id"]:
        name = identity if isinstance(identity, str | bytes) else identity[0]
        word = name.decode() if isinstance(name, bytes) else str(name)
        videos.append(word.partition("$_$")[0])
    return videos


def _save(path: Path, arrays: list[np.ndarray], source: Path) -> list[str]:
    """Write the splits one after the other as float32.

    Returns:
        A note on the numbers that were not finite, if there are any.
    """
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1:
        raise DataError(
            f"{source}: {path.stem!r} has another shape in each split: {sorted(shapes)}"
        )
    shape = (sum(map(len, arrays)), *shapes.pop())
    written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    place = 0
    replaced = 0
    for chunk in (array[k : k + CHUNK] for array in arrays for k in range(0, len(array), CHUNK)):
        with np.errstate(over="ignore"):
            narrow = chunk.astype(np.float32)
        finite = np.isfinite(narrow)
        written[place : place + len(chunk)] = np.where(finite, narrow, 0)
        place += len(chunk)
        replaced += int((~finite).sum())
    written.flush()
    return [f"{replaced} numbers of {path.stem} that were not finite are 0"] if replaced else []


def _latin1(text: str, encoding: str) -> bytes:
    """Restore bytes from the text as which protocol 2 writes them."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes in encoding {encoding!r}")
    return text.encode("latin-1")


_RECONSTRUCT = np.zeros(1).__reduce__()[0]
_SCALAR = np.float64(1).__reduce__()[0]
_FROM_BUFFER = np.zeros(1).__reduce_ex__(5)[0]
ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _RECONSTRUCT for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FROM_BUFFER for core in ("core", "_core")},
}
"""{(module, name) as numpy 1 and 2 write it: the object}. It is enough for arrays, and a pickle can
reach nothing else."""


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler that refuses every class and function outside `ALLOWED`."""

    def __init__(self, file: BinaryIO) -> None:
        # Arrays that Python 2 wrote can be read in this encoding only.
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it wants {module}.{name}, which is not an array"
            ) from None


def load_arrays(path: Path, what: str) -> Any:
    """Read a pickle of dicts, lists, texts, numbers and numpy arrays, without running any of it.

    Args:
        path: of the pickle.
        what: where it comes from, for the message.

    Raises:
        DataError: the file is missing, damaged, not a pickle, larger than memory, or contains
            anything else.
    """
    with need_file(path, what).open("rb") as file:
        try:
            return _ArrayUnpickler(file).load()
        except Exception as error:  # damaged bytes can raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{path}: not readable as a pickle of arrays ({reason})") from None
