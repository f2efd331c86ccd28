"""Published lists of the samples in each split, as other code bases distribute them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from equipoise.data.datasets.preparing.writing import need_file, need_folder
from equipoise.errors import ConfigError, DataError, invalid

MMBT = {"train": "train.jsonl", "validation": "dev.jsonl", "test": "test.jsonl"}
"""{split: its list}, of MMBT and QMF."""
MLA = {"train": "my_train_{}.txt", "test": "my_test_{}.txt"}
"""{split: its list}, with the name of the data set in the braces."""


def published_lists(
    owner: str, split: str, offered: Sequence[str], splits: str | Path | None
) -> Path | None:
    """Check the split policy, and find the published lists that it reads.

    Args:
        owner: the data set.
        split: the policy that the user asked for.
        offered: the policies of the data set.
        splits: folder or file of the published lists, from the user.

    Returns:
        The folder or file under the policy "paper"; None under any other.

    Raises:
        ConfigError: no such policy, "paper" without lists, or lists that the policy would ignore.
    """
    if split not in offered:
        raise invalid(owner, "split", f"one of {', '.join(offered)}", split)
    if split == "paper" and splits is None:
        raise ConfigError(
            f"{owner}: the lists of --split paper do not come with the download; "
            "give them with --splits"
        )
    if split != "paper" and splits is not None:
        raise ConfigError(
            f"{owner}: --splits is read with --split paper only; --split {split} would ignore it"
        )
    return None if splits is None else Path(splits)


def bad_line(path: Path, number: int, line: str, expected: str) -> DataError:
    """Make the error for a line that cannot be read.

    Args:
        path: of the file.
        number: of the line, from 1.
        line: as it was found.
        expected: form of a line.
    """
    return DataError(f"{path} line {number}: expected {expected}, found {line[:80]!r}")


def numbered_lines(path: Path, what: str = "") -> list[tuple[int, str]]:
    """Read the lines of a text file that are not blank.

    Only a line feed ends a line. Tweets contain other characters at which `str.splitlines` would
    break them.

    Args:
        path: of the file.
        what: where the file comes from, for the message.

    Returns:
        (line number, line), counted from 1.

    Raises:
        DataError: the file is missing, or is not UTF-8 text.
    """
    try:
        text = need_file(path, what).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    return [(k, line.rstrip("\r")) for k, line in enumerate(text.split("\n"), 1) if line.strip()]


def published_splits(folder: str | Path, name: str) -> dict[str, str]:
    """Read the JSON lines of MMBT and QMF, or the text lists of MLA.

    Args:
        folder: of `train.jsonl`, `dev.jsonl` and `test.jsonl`, or of `my_train_<name>.txt` and
            `my_test_<name>.txt`. The latter have no validation split.
        name: of the data set in MLA's file names.

    Returns:
        {file name of an image: split}.

    Raises:
        DataError: a list is missing, a line cannot be read, or an image is in two splits.
    """
    base = need_folder(folder, "the published lists belong there")
    is_json = (base / MMBT["train"]).exists()
    found: dict[str, str] = {}
    text_lists = ", ".join(MLA.values()).format(name, name)
    what = f"the lists are {', '.join(MMBT.values())}, or {text_lists}"
    for split, file in (MMBT if is_json else MLA).items():
        path = base / file.format(name)
        for number, line in numbered_lines(path, what):
            image = _of_json(path, number, line) if is_json else _of_pair(path, number, line)
            if found.setdefault(image, split) != split:
                raise DataError(f"{path} line {number}: {image} is in the {found[image]} list too")
    return found


def _of_json(path: Path, number: int, line: str) -> str:
    """The image of a JSON line."""
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
    """The image of a line with an image and its class."""
    cells = line.split()
    if len(cells) != 2:
        raise bad_line(path, number, line, "an image and its class")
    return cells[0]
