"""Published lists: which image is in which split, as other code bases give it."""

from __future__ import annotations

import json
from pathlib import Path

from equipoise.data.datasets.preparing.writing import need_file, need_folder
from equipoise.errors import DataError

MMBT = {"train": "train.jsonl", "validation": "dev.jsonl", "test": "test.jsonl"}
MLA = {"train": "my_train_{}.txt", "test": "my_test_{}.txt"}


def numbered_lines(path: Path, what: str = "") -> list[tuple[int, str]]:
    """(line number, line) of every line that is not blank, counted from 1.

    Only line feeds end a line: tweets hold other characters that `str.splitlines` would break them
    at.

    Raises:
        DataError: not there, or not text; `what` says where the file comes from.
    """
    try:
        text = need_file(path, what).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    return [(k, line.rstrip("\r")) for k, line in enumerate(text.split("\n"), 1) if line.strip()]


def published_splits(folder: str | Path, name: str) -> dict[str, str]:
    """{file name of an image: split}, of MMBT's and QMF's JSON lines or of MLA's text lists.

    Args:
        folder: holds `train.jsonl`, `dev.jsonl` and `test.jsonl`, or `my_train_<name>.txt` and
            `my_test_<name>.txt`. The latter have no validation split.
        name: of the data set in MLA's file names.

    Raises:
        DataError: a list is not there, a line is not of its form, or an image is in two splits.
    """
    base = need_folder(folder, "the published lists belong there")
    lines = (base / MMBT["train"]).exists()
    found: dict[str, str] = {}
    for split, file in (MMBT if lines else MLA).items():
        path = base / file.format(name)
        what = f"the lists are {', '.join(MMBT.values())}, or {', '.join(MLA.values()).format(name, name)}"
        for number, line in numbered_lines(path, what):
            image = _of_json(path, number, line) if lines else _of_pair(path, number, line)
            if found.setdefault(image, split) != split:
                raise DataError(f"{path} line {number}: {image} is in the {found[image]} list too")
    return found


def _of_json(path: Path, number: int, line: str) -> str:
    try:
        image = json.loads(line)["img"]
    except (ValueError, TypeError, KeyError):
        image = None
    if not isinstance(image, str):
        raise DataError(
            f"{path} line {number}: expected a JSON object with the keys id, label, text and img"
        )
    return Path(image).name


def _of_pair(path: Path, number: int, line: str) -> str:
    cells = line.split()
    if len(cells) != 2:
        raise DataError(
            f"{path} line {number}: expected an image and its class, found {line[:60]!r}"
        )
    return cells[0]
