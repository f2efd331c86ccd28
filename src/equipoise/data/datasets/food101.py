"""`food-101`: UPMC Food-101, pictures of 101 dishes with the titles of their web pages.

Wang et al. Recipe Recognition with Large Multimodal Food Dataset. ICME Workshops 2015. Do not
confuse it with ETHZ Food-101, which has the same classes, other pictures and no text.

## Download

The cleaned copy that artelab made of the original archive of LIP6, linked from
`artelab/Image-and-Text-fusion-for-UPMC-Food-101-using-BERT-and-CNNs` on GitHub: 90,704 pictures and
their titles.

## Licence

For research; the pictures belong to their authors.

## Expected files

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

* `official` (default): the two folders, 67,988 pictures for training and 22,716 for testing.
  `--validation` training pictures (5,000) are drawn for validation, by class.
* `paper`: the lists in the folder `--splits`. Those of MMBT and QMF (`train.jsonl`, `dev.jsonl` and
  `test.jsonl`) have 62,971 / 5,000 / 22,715 samples. MMBT dropped pictures without text and drew
  its 5,000 without a seed; QMF published one such draw. Those of MLA (`my_train_food.txt` and
  `my_test_food.txt`) have 62,970 and 22,714 samples and no validation split, which is drawn as for
  `official`.

The lists decide only which sample is in which split. The titles come from the download unchanged,
while those of MMBT and QMF are in lower case and without punctuation.

## Known problems

* 73.5 % of the test titles contain the name of the class, so it is no surprise that text alone
  reaches an accuracy of 86 %.
* Some pictures are truncated. Some do not show the dish, because they were found by a search for
  its name.
* The number in a file name may be negative.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from equipoise.data.datasets.preparing.lists import bad_line, published_lists, published_splits
from equipoise.data.datasets.preparing.writing import (
    Collection,
    Row,
    carve_validation,
    need_file,
    need_folder,
    write,
)
from equipoise.errors import DataError, invalid

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
        splits: folder of the published lists that `split="paper"` reads; null for any other split.
        split: "official" (the two folders) or "paper" (published lists).
        validation: number of training pictures for validation, where no list names them.
        seed: of that draw.

    Returns:
        Facts about what was found, see `writing.write`.

    Raises:
        ConfigError: no such split policy, "paper" without lists, lists without "paper", or a
            `validation` that leaves a class without a picture for training or validation.
        DataError: there are too few pictures to draw validation from, a file is missing, or a row
            or line cannot be read.
    """
    published_at = published_lists("food-101", split, ("official", "paper"), splits)
    if isinstance(validation, bool) or not (isinstance(validation, int) and validation > 0):
        raise invalid("food-101", "validation", "a number of pictures", validation)
    folder = need_folder(root, "the folders 'images' and 'texts' of UPMC Food-101 belong there")
    lists = None if published_at is None else published_splits(published_at, "food")
    rows, left_out = _assign(_titles(folder), lists)
    notes = ["the class is named in most titles"]
    if not any(row["split"] == "validation" for row in rows):
        labels = [row["label"] for row in rows if row["split"] == "train"]
        _check_validation(folder, validation, len(labels), len(set(labels)))
        # The fraction is rounded up to a number of pictures, which half a picture less makes exact.
        carve_validation(rows, (validation - 0.5) / len(labels), seed)
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
    """Refuse a number that leaves a class without a picture for training or for validation."""
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
    """Give the rows in the lists their split.

    Returns:
        These rows, and (id, reason) of all others.
    """
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
    """Yield a row for each line of the two tables, in their order."""
    for split in FOLDERS:
        path = need_file(
            folder / "texts" / f"{split}_titles.csv",
            "it comes with the cleaned copy of UPMC Food-101",
        )
        for number, cells in _read(path):
            if len(cells) != 3 or not cells[0].strip() or not cells[2].strip():
                expected = "a picture, its title and its class"
                raise bad_line(path, number, ",".join(cells), expected)
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
    """Yield (line number, cells) of every row, without the header."""
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
