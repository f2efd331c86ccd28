"""`nvgesture`: 1,532 recordings of 25 hand gestures by 18 subjects in a car.

The modalities are colour, depth and, on request, flow.

## Download

`nvGesture_v1.7z.001 …` (about 41 GB) from NVIDIA's research page of Molchanov et al. 2016. The
archive contains the lists.

## Licence

That of NVIDIA, said to be Creative Commons for non-commercial use.

## Expected files

```text
nvGesture/
  nvgesture_train_correct_cvpr2016.lst, nvgesture_test_correct_cvpr2016.lst       (or …_v2.lst)
  Video_data/class_01/subject13_r0/sk_color.avi, sk_depth.avi, duo_left.avi …
flow/                                                                            (optional)
  train/0.npy, 1.npy …  test/0.npy …
```

```bash
equipoise prepare nvgesture --root nvGesture --out data/nvgesture
equipoise prepare nvgesture --root nvGesture --flow flow --out data/nvgesture-flow
```

`rgb` and `depth` are the 80 frames that the list gives for the gesture, out of a longer recording;
depth is read as one channel. Optical flow is not distributed. `--flow` is a folder with one array
of height × width × 2 × frames per line of the lists, numbered from 0 as in IGM's code.

## Splits

* `official` (default): 1,050 recordings of twelve subjects for training, 482 of six others for
  testing. There is no official validation split, so a fifth of the training subjects is drawn for
  validation. MIE and IGM use the same lists.
* `group`: the recordings of both lists, with the subjects drawn anew: a third of the 18 for testing
  and a ninth for validation.

No subject is in two splits, under either policy.

## Known problems

* The label is the `label:` of the line and not the folder `class_NN`: they differ in 15 rows of the
  training list and 8 of the test list.
* Two public tables of class names disagree on left and right in classes 1, 2, 5 and 6. The labels
  here number the classes from 01 to 25 and do not name directions.
* The windows of the stereo camera (`duo_left` …) are longer because it runs faster. They are not
  read.
* It is not known how IGM computed and scaled its flow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from equipoise.data.datasets.preparing.counting import Total
from equipoise.data.datasets.preparing.lists import bad_line, numbered_lines
from equipoise.data.datasets.preparing.writing import (
    Collection,
    Row,
    carve_validation,
    draw_splits,
    need_folder,
    write,
)
from equipoise.errors import DataError, invalid

LISTS = (
    "nvgesture_{}_correct_cvpr2016.lst",
    "nvgesture_{}_correct_cvpr2016_v2.lst",
    "nvgesture_{}_correct.lst",
)
PUBLISHED = {"train": 1_050, "test": 482}
VALIDATION = 0.2
"""Fraction of the training subjects for validation, under the official split."""
FRACTIONS = {"validation": 1 / 9, "test": 1 / 3}
"""Fractions of all subjects, under the split `group`."""
SENSORS = {"rgb": "color", "depth": "depth"}
"""{modality: name of its sensor in the lists}"""
GESTURES = (
    *("move hand",) * 4,
    *("move two fingers",) * 4,
    "click",
    "beckon",
    "open hand",
    "shake hand",
    "show one finger",
    "show two fingers",
    "show three fingers",
    "push up",
    "push down",
    "push out",
    "pull in",
    "rotate fingers clockwise",
    "rotate fingers counter-clockwise",
    "push two fingers away",
    "close hand twice",
    "thumb up",
    "okay",
)
_WINDOW = re.compile(r"(\w+):(\d+):(\d+)")
_PATH = re.compile(r"(?:\./)?(?P<folder>Video_data/class_\d+/(?P<subject>subject\d+)_r\d+)/?")


def prepare(
    out: Path,
    *,
    root: str | Path,
    splits: str | Path | None = None,
    split: str = "official",
    flow: str | Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Write `manifest.csv` and `dataset.json` into an existing empty folder.

    Args:
        out: the folder.
        root: the download, with `Video_data`.
        splits: folder of the lists; null for `root`.
        split: "official" (the subjects of the lists) or "group" (subjects drawn anew).
        flow: folder of flow arrays, `train/<line>.npy` and `test/<line>.npy`, lines counted from 0;
            null for no flow.
        seed: of the subjects that are drawn.

    Returns:
        Facts about what was found, see `writing.write`.

    Raises:
        ConfigError: no such split policy.
        DataError: the download or a list is not as described above.
    """
    if split not in ("official", "group"):
        raise invalid("nvgesture", "split", "'official' or 'group'", split)
    base = need_folder(root, "give the NVGesture download with --root")
    arrays = None if flow is None else need_folder(flow, "the flow arrays belong there").resolve()
    lists = _lists(Path(splits) if splits is not None else base)
    rows = [row for part, path in lists.items() for row in _read(path, part, arrays)]
    notes = []
    if split == "official":
        carve_validation(rows, VALIDATION, seed)
        notes.append(
            f"validation is drawn from the {PUBLISHED['train']} recordings of the training list, "
            "by subject"
        )
    else:
        draw_splits(rows, **FRACTIONS, seed=seed)
    collection = Collection(
        "nvgesture",
        ["rgb=rgb:video", "depth=depth:video", *(["flow=flow:flow"] if arrays else [])],
        rows,
        base,
        options={"depth": {"channels": 1}},
        published=PUBLISHED if split == "official" else {},
        total=Total(sum(PUBLISHED.values())),
        notes=notes,
    )
    return write(out, collection)


def _lists(folder: Path) -> Mapping[str, Path]:
    """Find the two lists, {split: list}, under the first name that both have."""
    for name in LISTS:
        paths = {part: folder / name.format(part) for part in PUBLISHED}
        if all(path.exists() for path in paths.values()):
            return paths
    raise DataError(
        f"{folder}: {' and '.join(LISTS[0].format(part) for part in PUBLISHED)} are not here"
    )


def _read(path: Path, part: str, flow: Path | None) -> list[Row]:
    rows = []
    for place, (number, line) in enumerate(numbered_lines(path)):
        row = _row(line, part)
        if row is None:
            raise bad_line(
                path, number, line, "'path:… depth:<stem>:<first>:<end> color:… label:<1 to 25>'"
            )
        rows.append(row if flow is None else {**row, "flow": f"{flow / part / str(place)}.npy"})
    return rows


def _row(line: str, part: str) -> Row | None:
    """The row of a line of a list; None if the line cannot be read."""
    fields = dict(field.partition(":")[::2] for field in line.split())
    place = _PATH.fullmatch(fields.get("path", ""))
    windows = {
        modality: _WINDOW.fullmatch(fields.get(sensor, "")) for modality, sensor in SENSORS.items()
    }
    label = fields.get("label", "")
    if place is None or not label.isdecimal() or not 1 <= int(label) <= len(GESTURES):
        return None
    cells = {m: f"{place['folder']}/{w[1]}.avi#{w[2]}:{w[3]}" for m, w in windows.items() if w}
    if len(cells) < len(SENSORS):
        return None
    name = f"{int(label):02d} {GESTURES[int(label) - 1]}"
    identifier = place["folder"].removeprefix("Video_data/")
    return {"id": identifier, **cells, "label": name, "split": part, "group": place["subject"]}
