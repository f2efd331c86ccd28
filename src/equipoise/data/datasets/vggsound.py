"""`vggsound`: 199,176 clips of ten seconds, of 309 sounds whose source is in the picture.

The modalities are audio and video.

## Download

`vggsound.csv` from `hche11/VGGSound` on GitHub, and the videos from where they were uploaded; there
is no official archive of them. A clip is the ten seconds from the start that the table names.

## Licence

CC BY 4.0 for the annotation. The rights to the clips stay with their owners.

## Expected files

```text
VGGSound/
  vggsound.csv                       no header; lines <video>,<start>,"<label>",<train or test>
  video/--0PQM4-hqg_000030.mp4 …     or --0PQM4-hqg_30.webm, .mkv, in any folder
```

```bash
equipoise prepare vggsound --root VGGSound --out data/vggsound
```

A clip is found by the id of its video and its first second, anywhere below the folder. The official
test list and most download scripts write the second with six digits, OGM-GE and BalanceMM without
leading zeros; both are found. The sound and the picture of a clip are two modalities of the same
file.

## Splits

The official split has 183,730 clips for training and 15,446 for testing (49 or 50 of each class).
There is no official validation split, so a twentieth of the training videos is drawn for validation
with `--seed`.

## Known problems

* Many videos were deleted. LFM still found 168,618 clips for training and validation and 13,954 for
  testing, and more are gone since. Clips without a file are counted and listed in `left_out.csv`.
  Results on different remainders cannot be compared.
* LFM prints 310 classes; the table has 309.
* The numbers of the labels differ between code bases: OGM-GE and BalanceMM number the classes by
  their first appearance among the files they find. Here the classes have their names and are in
  alphabetical order.
* Some videos have no sound, wrong frame counts in their headers, or fewer than four frames (OGM-GE
  skips `20sstRN_pmI_170` by name). Training reports such a file; `--problems drop` goes on without
  it.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from equipoise.data.datasets.preparing.lists import bad_line
from equipoise.data.datasets.preparing.writing import (
    Collection,
    Row,
    carve_validation,
    need_file,
    need_folder,
    write,
)
from equipoise.data.datasets.preparing.youtube import Clip, clip_id, index_clips

PUBLISHED = {"train": 183_730, "test": 15_446}
VALIDATION = 0.05
"""Fraction of the training videos for validation."""
TABLE = "vggsound.csv"


def prepare(
    out: Path, *, root: str | Path, splits: str | Path | None = None, seed: int = 0
) -> dict[str, Any]:
    """Write `manifest.csv` and `dataset.json` into an existing empty folder.

    Args:
        out: the folder.
        root: the download, with the clips in any folder.
        splits: `vggsound.csv`, or the folder that holds it; null for `root`.
        seed: of the validation clips.

    Returns:
        Facts about what was found, see `writing.write`.

    Raises:
        DataError: the table is missing or cannot be read, or there is not a single clip.
    """
    base = need_folder(root, "give the folder of the VGGSound clips with --root")
    table = Path(splits) if splits is not None else base
    table = need_file(
        table / TABLE if table.is_dir() else table, "it comes with hche11/VGGSound, in data"
    )
    rows = _read(table, index_clips(base, base))
    carve_validation(rows, VALIDATION, seed)
    collection = Collection(
        "vggsound",
        ["audio=clip:audio", "video=clip:video"],
        rows,
        base,
        published=PUBLISHED,
        notes=[
            f"validation is drawn from the official training list of {PUBLISHED['train']} clips"
        ],
    )
    return write(out, collection)


def _read(table: Path, files: dict[Clip, str]) -> list[Row]:
    rows = []
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        for cells in reader:
            if len(cells) != 4 or not cells[1].isdecimal() or cells[3] not in ("train", "test"):
                raise bad_line(
                    table,
                    reader.line_num,
                    ",".join(cells),
                    "'<video>,<start>,<label>,<train or test>'",
                )
            clip = (cells[0], int(cells[1]))
            path = files.get(clip, f"{clip_id(clip)}.mp4")
            rows.append(
                {
                    "id": clip_id(clip),
                    "clip": path,
                    "label": cells[2],
                    "split": cells[3],
                    "group": cells[0],
                }
            )
    return rows
