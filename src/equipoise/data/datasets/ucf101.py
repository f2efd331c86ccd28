"""`ucf-101`: 13,320 clips of 101 human actions.

The modalities are the frames and, where it was computed, the optical flow.

## Download

From the CRCV of the University of Central Florida: `UCF101.rar` (6.5 GB) and the archive of the
lists, `UCF101TrainTestSplits-RecognitionTask.zip`. If you want optical flow, it is in
`feichtenhofer/twostreamfusion` on GitHub (`ucf101_tvl1_flow.zip`, in parts), as grey pictures of
its two components.

## Licence

Free for research. The videos are from YouTube, and the rights to them stay with their owners.

## Expected files

```text
ucf101/
  UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi …
  ucfTrainTestlist/trainlist01.txt, testlist01.txt … 03
  tvl1_flow/u/v_ApplyEyeMakeup_g01_c01/frame000001.jpg …     (optional)
  tvl1_flow/v/v_ApplyEyeMakeup_g01_c01/frame000001.jpg …
```

```bash
equipoise prepare ucf-101 --root ucf101 --fold 1 --out data/ucf101
```

`rgb` is the video. If there is a folder `tvl1_flow`, `flow` is the pair of frame folders of the
clip, written `tvl1_flow/{u,v}/<clip>`, and clips without both of them are left out.

## Splits

The three official splits, chosen by `--fold`: 9,537 clips for training and 3,783 for testing in the
first, 9,586 and 3,734 in the second, 9,624 and 3,696 in the third. The clips of a class come in 25
groups, each from one video or scene, and no group is in training and in testing. There is no
official validation split, so a tenth of the training groups is drawn for validation, the same group
numbers in every class. Papers report the mean over the three folds, or the first fold.

## Known problems

* The folder is named `HandstandPushups` and its files `v_HandStandPushups_…`; copies and flow
  archives have changed one or the other. Upper and lower case are ignored when clips are looked up.
* The test lists give no labels; the label is the name of the folder.
* Half of the classes have no sound, so UCF-101 is not used as a data set of sound and picture.
* BalanceMM's loader flips the frames and each component of the flow independently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from equipoise.data.datasets.preparing.lists import bad_line, numbered_lines
from equipoise.data.datasets.preparing.writing import (
    Collection,
    Row,
    carve_validation,
    need_folder,
    write,
)
from equipoise.errors import DataError, invalid

PUBLISHED = {
    1: {"train": 9_537, "test": 3_783},
    2: {"train": 9_586, "test": 3_734},
    3: {"train": 9_624, "test": 3_696},
}
VALIDATION = 0.1
"""Fraction of the training groups for validation."""
FLOW = "tvl1_flow"
_LINE = re.compile(r"(?P<label>\w+)/(?P<clip>v_\w+_(?P<group>g\d\d)_c\d\d)\.avi(?: \d+)?")


def prepare(
    out: Path, *, root: str | Path, splits: str | Path | None = None, fold: int = 1, seed: int = 0
) -> dict[str, Any]:
    """Write `manifest.csv` and `dataset.json` into an existing empty folder.

    Args:
        out: the folder.
        root: the download, with `UCF-101`.
        splits: folder of the lists; null for `ucfTrainTestlist` in `root`.
        fold: number of the official split, 1, 2 or 3.
        seed: of the validation groups.

    Returns:
        Facts about what was found, see `writing.write`.

    Raises:
        ConfigError: no such fold.
        DataError: the download or a list is not as described above.
    """
    if fold not in PUBLISHED:
        raise invalid("ucf-101", "fold", "1, 2 or 3", fold)
    base = need_folder(root, "give the folder that holds UCF-101 with --root")
    need_folder(base / "UCF-101", "it comes with UCF101.rar")
    lists = need_folder(
        splits or base / "ucfTrainTestlist", "it comes with the archive of the lists"
    )
    videos = {
        path.stem.lower(): path.relative_to(base).as_posix()
        for path in base.glob("UCF-101/*/*.avi")
    }
    flows = _flows(base / FLOW)
    rows = [
        row
        for split in ("train", "test")
        for row in _read(lists / f"{split}list{fold:02d}.txt", split, videos, flows)
    ]
    carve_validation(rows, VALIDATION, seed)
    collection = Collection(
        "ucf-101",
        ["rgb=rgb:video", *(["flow=flow:flow"] if flows else [])],
        rows,
        base,
        published=PUBLISHED[fold],
        notes=[
            f"validation is drawn from the official training list of {PUBLISHED[fold]['train']} "
            "clips, by group"
        ],
    )
    return write(out, collection)


def _flows(folder: Path) -> dict[str, str]:
    """Find the flow, as {clip in lower case: its pair of frame folders}; empty without flow."""
    if not folder.is_dir():
        return {}
    names = [
        path.name
        for path in need_folder(folder / "u", "it holds one component of the flow").iterdir()
    ]
    if not names:
        raise DataError(f"{folder / 'u'}: the folder is empty")
    return {name.lower(): f"{FLOW}/{{u,v}}/{name}" for name in names}


def _read(path: Path, split: str, videos: Mapping[str, str], flows: Mapping[str, str]) -> list[Row]:
    rows = []
    for number, line in numbered_lines(path, "it comes with the archive of the lists"):
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise bad_line(path, number, line, "'<Class>/v_<Class>_g<group>_c<clip>.avi'")
        clip = match["clip"]
        cells = {"rgb": videos.get(clip.lower(), f"UCF-101/{match['label']}/{clip}.avi")}
        if flows:
            cells["flow"] = flows.get(clip.lower(), f"{FLOW}/{{u,v}}/{clip}")
        rows.append(
            {"id": clip, **cells, "label": match["label"], "split": split, "group": match["group"]}
        )
    return rows
