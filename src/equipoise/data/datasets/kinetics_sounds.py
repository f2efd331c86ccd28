"""`kinetics-sounds`: the 31 classes of Kinetics-400 that can be both seen and heard, in clips of
ten seconds.

## What to download

Kinetics-400 as archives, by the scripts of `cvdfoundation/kinetics-dataset` on GitHub
(`k400_downloader.sh`, then `k400_extractor.sh`; several hundred GB in all). Only clips of the 31
classes are read, so that everything else may be deleted. About 1,400 training files are corrupted
in the archives; the scripts fetch substitutes for them into the folder `replacement`, and those are
read instead wherever they are.

## Licence

Videos keep the rights of those who uploaded them. The annotations are said to be CC BY 4.0.

## What prepare expects

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

A clip is found by the id of its video and its first second, wherever below the folder its file is.
Sound and picture are two modalities of the same file.

## Splits

* `official` (default): the clips of the 31 classes in Kinetics-400's own annotation: training,
  validation and test. The test annotation must be one with labels; the copy in
  `activitynet/ActivityNet` has none. As published counts as many clips as the annotation names.
* `paper`: published lists in `--splits`, which is a folder or the JSON file itself.
    * `KS_train_val.json` of BML: 14,799 clips for training, 1,320 for validation and 2,597 for
      testing. Its `KS.json`, beside it, has the test clips among those for training, and is
      refused.
    * `my_train.txt` and `my_test.txt` of OGM-GE (lines `<video>_<start>_<end>,10,<label>`): the
      same clips without the validation part. A tenth of the training list is drawn for validation.

What is called the test part is Kinetics-400's *test* split, not its validation split. LFM and MIE
speak of 19,000 clips, 15,000 / 1,900 / 1,900; the lists that can be had hold 18,716, and neither
LFM's nor MLA's own list is published. Each clip of Kinetics-400 is of another video, and a drawn
validation split keeps a video together all the same.

## Known problems

* Many videos are gone: clips without a file are counted and listed in `left_out.csv`, so that the
  numbers above are seldom reached.
* Some clips have no sound, and some are shorter than ten seconds. Such a file is reported in
  training; `--problems drop` goes on without it, `--problems absent` with its other modality.
* OGM-GE's test list gives the start without leading zeros (`_2`), its training list with them
  (`_000002_000012`). Ids of videos may contain `_` and begin with `-`. Prepare reads all of these.
* OGM-GE's own loader cannot read its own lists: it expects the class in the first column.
* The original list of Arandjelović and Zisserman has 34 classes under names that Kinetics-400 did
  not keep.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from equipoise.data.datasets.preparing.lists import numbered_lines
from equipoise.data.datasets.preparing.policies import bad_line, published_lists
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
VALIDATION = 0.1  # of the training list, where no list is for validation


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
        splits: what `split="paper"` reads: a folder with the lists, or the JSON file.
        split: "official" (Kinetics-400's annotation) or "paper" (a published list).
        seed: of the validation clips, where no list names them.

    Returns:
        What was found, see `writing.write`.

    Raises:
        ConfigError: no such policy, or published lists without `split="paper"` and the reverse.
        DataError: the download or a list is not what is described above.
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
    """The 31 classes' part of the three official tables."""
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
    """The published lists are a part of the annotation: where it has fewer clips, some of it is missing."""
    least = sum(PUBLISHED.values())
    if clips >= least:
        return []
    return [
        f"the annotation is not whole: it names {clips:,} clips of the 31 classes, the published lists {least:,}"
    ]


def _second(path: Path, number: int, row: dict[str, str]) -> int:
    if not (row["time_start"] or "").isdecimal():
        raise bad_line(
            path,
            number,
            ",".join(str(cell) for cell in row.values()),
            "a whole second in time_start",
        )
    return int(row["time_start"])


def _published(lists: Path) -> list[Listed]:
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
    name, _, label = cells if len(cells := line.strip().split(",")) == 3 else ("", "", "")
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
        raise ValueError(f"{name!r} labelled {label!r} is no clip of the 31 classes")
    return Listed(clip, readable, SUBSETS[subset])
