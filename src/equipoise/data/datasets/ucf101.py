"""`ucf-101`: 13,320 clips of 101 human actions (frames and, where it was computed, optical flow).

## What to download

From the CRCV of the University of Central Florida: `UCF101.rar` (6.5 GB) and the archive of the
lists, `UCF101TrainTestSplits-RecognitionTask.zip`. Optical flow, if wanted, from
`feichtenhofer/twostreamfusion` on GitHub (`ucf101_tvl1_flow.zip`, in parts), as grey pictures of
its two components.

## Licence

Free for research; the videos are from YouTube and keep their owners' rights.

## What prepare expects

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

`rgb` is the video. Where the folder `tvl1_flow` is, `flow` is the pair of frame folders of the
clip, written `tvl1_flow/{u,v}/<clip>`; clips without both are left out.

## Splits

The three official ones, chosen by `--fold`: 9,537 clips for training and 3,783 for testing in the
first, 9,586 and 3,734 in the second, 9,624 and 3,696 in the third. The clips of a class come in 25
groups, each of one video or scene, and no group is on both sides. A tenth of the training groups is
drawn for validation, the same numbers in every class, because there is no official validation
split. Papers report the mean of the three folds, or the first.

## Known problems

* The folder is `HandstandPushups` and its files are `v_HandStandPushups_…`; copies and flow
  archives differ in which they changed. Clips are found without regard to upper and lower case.
* The lists of tests give no label; it is the folder's name.
* Half of the classes have no sound, so that UCF-101 is no data set of sound and picture.
* BalanceMM's loader flips the frames and either component of the flow independently of each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from equipoise.data.datasets.preparing.lists import numbered_lines
from equipoise.data.datasets.preparing.policies import bad_line
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
VALIDATION = 0.1  # of the training groups
FLOW = "tvl1_flow"
_LINE = re.compile(r"(?P<label>\w+)/(?P<clip>v_\w+_(?P<group>g\d\d)_c\d\d)\.avi(?: \d+)?")


def prepare(
    out: Path, *, root: str | Path, splits: str | Path | None = None, fold: int = 1, seed: int = 0
) -> dict[str, Any]:
    """Write `manifest.csv` and `dataset.json` into an existing empty folder.

    Args:
        out: the folder.
        root: the download, with `UCF-101`.
        splits: folder of the lists; `ucfTrainTestlist` in `root` by default.
        fold: 1, 2 or 3, of the official splits.
        seed: of the validation groups.

    Returns:
        What was found, see `writing.write`.

    Raises:
        ConfigError: no such fold.
        DataError: the download or a list is not what is described above.
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
            f"validation is drawn from the official training list of {PUBLISHED[fold]['train']} clips, by group"
        ],
    )
    return write(out, collection)


def _flows(folder: Path) -> dict[str, str]:
    """{clip in lower case: its pair of frame folders}; empty where there is no flow at all."""
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
