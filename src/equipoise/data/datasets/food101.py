"""UPMC Food-101 (Wang et al. 2015): 101 dishes, each sample a picture and the title of the web page
it was found on.

It is not ETHZ Food-101, which has the same classes, other pictures and no text.

## What to download

The cleaned copy that artelab made of the original archive of LIP6, linked from
`artelab/Image-and-Text-fusion-for-UPMC-Food-101-using-BERT-and-CNNs` on GitHub: 90,704 pictures and
the titles.

## Licence

For research; the pictures belong to their authors.

## What prepare expects

```text
food101/
    images/train/<class>/<class>_<n>.jpg
    images/test/<class>/<class>_<n>.jpg
    texts/train_titles.csv                  picture, title, class; with or without a header
    texts/test_titles.csv
```

```bash
equipoise prepare food-101 --root food101
equipoise prepare food-101 --root food101 --split paper --splits LISTS
```

## Splits

* `official` (default): the folders, 67,988 pictures for training and 22,716 for testing. Validation
  is carved out of training, by class: `validation` pictures, 5,000 unless another number is given.
* `paper`: the lists in the folder `splits`. MMBT's and QMF's `train.jsonl`, `dev.jsonl` and
  `test.jsonl` have 62,971 / 5,000 / 22,715 samples: MMBT dropped pictures without text and drew its
  5,000 without a seed, QMF published one such draw. MLA's `my_train_food.txt` and
  `my_test_food.txt` have 62,970 and 22,714 and no validation split, which is carved as for
  `official`.

Lists decide only what is in which split. Titles come from the download, as they are, where MMBT's
and QMF's are lower-cased and without punctuation.

## Known problems

* 73.5 % of the test titles contain the name of the class, so a text-only accuracy of 86 % is no
  surprise.
* Some pictures are truncated, some do not show the dish, as they were found by a search for its
  name.
* The number in a file name may be negative.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from equipoise.data.datasets.preparing.lists import published_splits
from equipoise.data.datasets.preparing.writing import (
    Collection,
    Row,
    carve_validation,
    need_file,
    need_folder,
    write,
)
from equipoise.errors import ConfigError, DataError, invalid

FOLDERS = {"train": 67_988, "test": 22_716}
"""{split: pictures in the folder, as counted by the notebook of the cleaned copy}"""


def prepare(
    out: Path,
    *,
    root: str | Path,
    splits: str | Path | None = None,
    split: str = "official",
    validation: int = 5000,
    seed: int = 0,
) -> dict[str, Any]:
    """Write `manifest.csv` and `dataset.json` into an existing empty folder.

    Args:
        out: the folder.
        root: folder of the download.
        splits: folder of published lists, for `paper`.
        split: `official` or `paper`.
        validation: number of training pictures that are for validation where no list says which.
        seed: of that draw.

    Returns:
        What was found, see `writing.write`.

    Raises:
        ConfigError: no such split policy, a `validation` that leaves a class without a picture on
            either side, or lists without `paper` or the other way round.
        DataError: there is nothing to take validation from, a file is not there, or a row or line
            is not of its form.
    """
    if split not in ("official", "paper"):
        raise invalid("food-101", "split", "'official' or 'paper'", split)
    if (split == "paper") != (splits is not None):
        raise ConfigError("food-101: --split paper and --splits LISTS go together")
    if isinstance(validation, bool) or not (isinstance(validation, int) and validation > 0):
        raise invalid("food-101", "validation", "a number of pictures", validation)
    folder = need_folder(root, "the folders 'images' and 'texts' of UPMC Food-101 belong there")
    lists = None if splits is None else published_splits(splits, "food")
    rows, left_out = _assign(_titles(folder), lists)
    notes = ["the class is named in most titles"]
    if not any(row["split"] == "validation" for row in rows):
        labels = [row["label"] for row in rows if row["split"] == "train"]
        _check_validation(folder, validation, len(labels), len(set(labels)))
        carve_validation(
            rows, (validation - 0.5) / len(labels), seed
        )  # the share is rounded up to a count
        notes.append(f"{validation} pictures of the training list are for validation")
    published = FOLDERS if lists is None else Counter(lists.values())
    modalities = ["image=image:image", "text=text:text"]
    return write(
        out,
        Collection(
            "food-101",
            modalities,
            rows,
            folder,
            published=published,
            left_out=left_out,
            notes=notes,
        ),
    )


def _check_validation(folder: Path, validation: int, training: int, classes: int) -> None:
    """Every class needs a picture for training and one for validation."""
    there = f"{training:,} training pictures of {classes} classes"
    if training < max(2 * classes, 1):
        raise DataError(
            f"{folder}: {there} are too few to take some for validation; complete the download"
        )
    if not classes <= validation <= training - classes:
        expected = (
            f"from {classes} to {training - classes}, as there are {there} (give --validation)"
        )
        raise invalid("food-101", "validation", expected, validation)


def _assign(
    rows: Iterator[Row], lists: dict[str, str] | None
) -> tuple[list[Row], list[tuple[str, str]]]:
    """The rows that have a place in the lists, with their split, and all others with what they lack."""
    found: dict[str, Row] = {}
    left_out = []
    for row in rows:
        name = Path(row["image"]).name
        if name in found:
            left_out.append((row["id"], "has a title already"))
        elif lists is not None and name not in lists:
            left_out.append((row["id"], "not in the published lists"))
        else:
            found[name] = row if lists is None else {**row, "split": lists[name]}
    left_out += [
        (Path(name).stem, "listed, but without a title")
        for name in lists or ()
        if name not in found
    ]
    return list(found.values()), left_out


def _titles(folder: Path) -> Iterator[Row]:
    """A row per line of the two tables, in their order."""
    for split in FOLDERS:
        path = need_file(
            folder / "texts" / f"{split}_titles.csv",
            "it comes with the cleaned copy of UPMC Food-101",
        )
        for number, cells in _read(path):
            if len(cells) != 3 or not cells[0].strip() or not cells[2].strip():
                raise DataError(
                    f"{path} line {number}: expected a picture, its title and its class, found {cells}"
                )
            name = Path(cells[0].strip()).name
            text = cells[1].strip()
            label = cells[2].strip()
            image = f"images/{split}/{label}/{name}"
            yield {
                "id": Path(name).stem,
                "image": image,
                "text": text,
                "label": label,
                "split": split,
            }


def _read(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of every row but a header."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        try:
            for cells in reader:
                header = reader.line_num == 1 and not Path(cells[0] if cells else "").suffix
                if cells and not header:
                    yield reader.line_num, cells
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(
                f"{path} line {reader.line_num + 1}: not readable as UTF-8 CSV ({error})"
            ) from None
