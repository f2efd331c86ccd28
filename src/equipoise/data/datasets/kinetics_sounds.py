"""`kinetics-sounds`: clips of ten seconds, in the 31 classes of Kinetics-400 that can be heard.

## Download

Kinetics-400 as archives, by the scripts of `cvdfoundation/kinetics-dataset` on GitHub
(`k400_downloader.sh`, then `k400_extractor.sh`; several hundred GB in all). Only the clips of the
31 classes are read, so everything else may be deleted. About 1,400 training files are corrupted in
the archives; the scripts fetch substitutes for them into the folder `replacement`, which are read
instead where they exist.

## Licence

The rights to the videos stay with those who uploaded them. The annotations are said to be CC BY
4.0.

## Expected files

```text
k400/
  annotations/train.csv, val.csv, test.csv     label,youtube_id,time_start,time_end,split
  train/0wR5jVB-WPk_000417_000427.mp4 …
  val/…, test/…
  replacement/replacement_for_corrupted_k400/… (if there are any)
```

```bash
equipoise prepare kinetics-sounds --root k400 --out data/kinetics-sounds
equipoise prepare kinetics-sounds --root k400 --split paper --splits OGM-GE/data/KineticSound \\
    --out data/ks-paper
```

A clip is found by the id of its video and its first second, anywhere below the folder. Its sound
and its picture are two modalities of the same file.

## Splits

* `official` (default): the clips of the 31 classes in the annotation of Kinetics-400, for training,
  validation and testing. The test annotation must have labels; the copy in
  `activitynet/ActivityNet` has none. The published number of clips is the number in the annotation.
* `paper`: published lists in `--splits`, which is a folder or the JSON file itself.
    * `KS_train_val.json` of BML: 14,799 clips for training, 1,320 for validation and 2,597 for
      testing. The file `KS.json` beside it has the test clips among those for training, and is
      refused.
    * `my_train.txt` and `my_test.txt` of OGM-GE (lines `<video>_<start>_<end>,10,<label>`): the
      same clips without the validation part. A tenth of the training list is drawn for validation.

The clips for testing are those of Kinetics-400's *test* split, not of its validation split. LFM and
MIE speak of 19,000 clips, 15,000 / 1,900 / 1,900. The available lists hold 18,716, and neither LFM
nor MLA published a list. Every clip of Kinetics-400 comes from a different video; if that were not
so, a drawn validation split would keep the clips of a video together.

## Known problems

* Many videos were deleted, so the numbers above are seldom reached. Clips without a file are
  counted and listed in `left_out.csv`.
* Some clips have no sound, and some are shorter than ten seconds. Training reports such a file;
  `--problems drop` goes on without it, `--problems absent` with its other modality.
* OGM-GE's test list writes the start without leading zeros (`_2`), its training list with them
  (`_000002_000012`). The id of a video may contain `_` and begin with `-`. All of these are read.
* OGM-GE's own loader cannot read its own lists: it expects the class in the first column.
* The original list of Arandjelović and Zisserman has 34 classes, under names that Kinetics-400 did
  not keep.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from equipoise.data.datasets.preparing.lists import bad_line, numbered_lines, published_lists
from equipoise.data.datasets.preparing.writing import (
    Collection,
    Row,
    carve_validation,
    need_file,
    need_folder,
    write,
)
from equipoise.data.datasets.preparing.youtube import Clip, clip_id, index_clips, parse_clip
from equipoise.errors import DataError

CLASSES = (
    "blowing nose",
    "blowing out candles",
    "bowling",
    "chopping wood",
    "dribbling basketball",
    "laughing",
    "mowing lawn",
    "playing accordion",
    "playing bagpipes",
    "playing bass guitar",
    "playing clarinet",
    "playing drums",
    "playing guitar",
    "playing harmonica",
    "playing keyboard",
    "playing organ",
    "playing piano",
    "playing saxophone",
    "playing trombone",
    "playing trumpet",
    "playing violin",
    "playing xylophone",
    "ripping paper",
    "shoveling snow",
    "shuffling cards",
    "singing",
    "stomping grapes",
    "tap dancing",
    "tapping guitar",
    "tapping pen",
    "tickling",
)
"""In the order of the label numbers of OGM-GE's lists."""
FOLDERS = {"train": "train", "validation": "val", "test": "test"}
JSON = "KS_train_val.json"
SUBSETS = {"training": "train", "validation": "validation", "testing": "test"}
TEXT = {"train": "my_train.txt", "test": "my_test.txt"}
PUBLISHED = {"train": 14_799, "validation": 1_320, "test": 2_597}
VALIDATION = 0.1
"""Fraction of the training list for validation, where no list names validation clips."""


class Listed(NamedTuple):
    """A clip of a list."""

    clip: Clip
    label: str
    split: str


def prepare(
    out: Path,
    *,
    root: str | Path,
    splits: str | Path | None = None,
    split: str = "official",
    seed: int = 0,
) -> dict[str, Any]:
    """Write `manifest.csv` and `dataset.json` into an existing empty folder.

    Args:
        out: the folder.
        root: Kinetics-400, with `annotations` and the clips.
        splits: folder of the lists, or the JSON file, that `split="paper"` reads; null for any
            other split.
        split: "official" (Kinetics-400's annotation) or "paper" (a published list).
        seed: of the validation clips, where no list names them.

    Returns:
        Facts about what was found, see `writing.write`.

    Raises:
        ConfigError: no such split policy, "paper" without lists, or lists without "paper".
        DataError: the download or a list is not as described above.
    """
    lists = published_lists("kinetics-sounds", split, ("official", "paper"), splits)
    base = need_folder(root, "give the folder of Kinetics-400 with --root")
    listed = _annotated(base / "annotations") if lists is None else _published(lists)
    files = index_clips(base, base) | index_clips(base / "replacement", base)
    rows = [_row(found, files) for found in listed]
    published = dict(PUBLISHED if lists is not None else Counter(found.split for found in listed))
    notes = _check_annotated(len(listed)) if lists is None else []
    if all(row["split"] != "validation" for row in rows):
        carve_validation(rows, VALIDATION, seed)
        published.pop("validation", None)
        notes.append(
            f"validation is drawn from the published training list of {PUBLISHED['train']} clips"
        )
    modalities = ["audio=clip:audio", "video=clip:video"]
    return write(
        out, Collection("kinetics-sounds", modalities, rows, base, published=published, notes=notes)
    )


def _row(found: Listed, files: dict[Clip, str]) -> Row:
    video, start = found.clip
    usual = f"{FOLDERS[found.split]}/{video}_{start:06d}_{start + 10:06d}.mp4"
    return {
        "id": clip_id(found.clip),
        "clip": files.get(found.clip, usual),
        "label": found.label,
        "split": found.split,
        "group": video,
    }


def _annotated(folder: Path) -> list[Listed]:
    """The clips of the 31 classes in the three official tables."""
    listed = []
    for split, name in FOLDERS.items():
        path = need_file(folder / f"{name}.csv", "it is an annotation of Kinetics-400")
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            lacking = {"label", "youtube_id", "time_start"} - {*(reader.fieldnames or ())}
            if lacking:
                raise DataError(
                    f"{path}: no column {min(lacking)!r}; take the annotation of cvdfoundation"
                )
            for row in reader:
                if row["label"] in CLASSES:
                    listed.append(
                        Listed(
                            (row["youtube_id"], _second(path, reader.line_num, row)),
                            row["label"],
                            split,
                        )
                    )
    return listed


def _check_annotated(clips: int) -> list[str]:
    """Note an annotation that is incomplete: it must name more clips than the published lists."""
    least = sum(PUBLISHED.values())
    if clips >= least:
        return []
    return [
        f"the annotation is incomplete: it names {clips:,} clips of the 31 classes, "
        f"the published lists {least:,}"
    ]


def _second(path: Path, number: int, row: dict[str, str]) -> int:
    """The first second of the clip of a row."""
    if not (row["time_start"] or "").isdecimal():
        raise bad_line(
            path,
            number,
            ",".join(str(cell) for cell in row.values()),
            "an integer in time_start",
        )
    return int(row["time_start"])


def _published(lists: Path) -> list[Listed]:
    """The clips of the published lists in a folder, or of the JSON file."""
    if lists.suffix == ".json":
        return _read_json(need_file(lists, f"{JSON} comes with BML's code"))
    need_folder(lists, f"give {JSON}, or the folder of the published lists, with --splits")
    if (lists / JSON).exists():
        return _read_json(lists / JSON)
    what = f"the lists are {TEXT['train']} and {TEXT['test']}, or {JSON}"
    return [
        _of_line(lists / name, number, line, split)
        for split, name in TEXT.items()
        for number, line in numbered_lines(lists / name, what)
    ]


def _of_line(path: Path, number: int, line: str, split: str) -> Listed:
    cells = line.strip().split(",")
    name, _, label = cells if len(cells) == 3 else ("", "", "")
    clip = parse_clip(name)
    if clip is None or not label.isdecimal() or int(label) >= len(CLASSES):
        raise bad_line(path, number, line, "'<video>_<start>_<end>,10,<label from 0 to 30>'")
    return Listed(clip, CLASSES[int(label)], split)


def _read_json(path: Path) -> list[Listed]:
    try:
        database = json.loads(path.read_text(encoding="utf-8"))["database"].items()
        listed = [_of_entry(name, entry["label"], entry["subset"]) for name, entry in database]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        form = '{"database": {"<video>_<start>_<end>": {"subset": …, "label": …}}}'
        raise DataError(f"{path}: expected {form} ({type(error).__name__}: {error})") from None
    if all(found.split != "test" for found in listed):
        merged = "BML's KS.json, for one, has the test clips among those for training"
        raise DataError(
            f"{path}: no entry is of the subset 'testing' ({merged}); give {JSON} instead"
        )
    return listed


def _of_entry(name: str, label: str, subset: str) -> Listed:
    clip = parse_clip(name)
    readable = label.replace("_", " ")
    if clip is None or readable not in CLASSES:
        raise ValueError(f"{name!r} labelled {label!r} is not a clip of the 31 classes")
    return Listed(clip, readable, SUBSETS[subset])
