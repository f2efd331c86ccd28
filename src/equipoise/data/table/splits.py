"""Train, validation and test: drawn by class or by group, and the holdout cut from train."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from equipoise.data.manifest.columns import SPLIT_NAMES
from equipoise.data.manifest.labels import Label
from equipoise.data.table.table import Table
from equipoise.errors import DataError

MANY = 10
"""More labels than this, with fewer rows each, are said to look like an id or a quantity."""


def assign_splits(
    label: np.ndarray,
    *,
    validation: float,
    test: float,
    seed: int,
    group: np.ndarray | None = None,
    classes: Sequence[Label] | None = None,
    fold: tuple[int, int] | None = None,
    remedy: str = "draw again with another --data.seed, or name a split column",
) -> np.ndarray:
    """Draw the split of every sample.

    Args:
        label: int (N,); each class is spread over the splits in proportion, unless `group` is
            given.
        validation: fraction of all samples.
        test: fraction of all samples; may be 0.
        seed: of the draw.
        group: (N,); samples of one group (speaker, subject, session) stay together, and fractions
            count groups. A class that validation or test then lack is warned of.
        classes: names, for messages; a label is an index into them.
        fold: (number of a fold, number of folds); its samples are the test split, whatever `test`
            says. Every sample is in one fold, and folds hold classes in proportion.
        remedy: what to do about a class that is lost, for messages.

    Returns:
        (N,) of "train", "validation" and "test".

    Raises:
        DataError: a class has too few samples, there are too few groups, or no group of a class is
            left in train.
    """
    split = np.full(len(label), "train", dtype=object)
    rest = np.arange(len(label))
    if fold is not None:
        taken = _fold(*fold, label, group, seed, classes)
        split[taken] = "test"
        rest = np.flatnonzero(split == "train")
        test = 1 / fold[1]
    elif test:
        rest, taken = _cut(rest, test, label, group, seed, classes)
        split[taken] = "test"
    _, taken = _cut(rest, validation / (1 - test), label, group, seed + 1, classes)
    split[taken] = "validation"
    if group is not None:
        named = SPLIT_NAMES if test else SPLIT_NAMES[:2]
        _check_classes({name: label[split == name] for name in named}, classes, remedy)
    return split


def _fold(
    number: int,
    folds: int,
    label: np.ndarray,
    group: np.ndarray | None,
    seed: int,
    classes: Sequence[Label] | None,
) -> np.ndarray:
    """The rows of one of several folds."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    fewest = int(np.unique(label, return_counts=True)[1].min())
    if group is None and fewest < folds:
        raise DataError(
            f"folds: too few samples of each class for {folds} folds ({_fewest(label, classes)}); "
            "take fewer folds, or add data"
        )
    if group is not None and len(np.unique(group)) < folds:
        raise DataError(
            f"folds: {len(np.unique(group))} groups cannot be divided into {folds} folds; take "
            "fewer folds, or add data"
        )
    kind = StratifiedKFold if group is None else StratifiedGroupKFold
    splitter = kind(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class of few groups is missing from some folds, which is told below, by name.
        warnings.filterwarnings("ignore", "The least populated class")
        parts = list(splitter.split(np.zeros(len(label)), label, group))
    taken: np.ndarray = parts[number][1]
    return taken


def cut_holdout(table: Table, fraction: float, seed: int) -> tuple[Table, Table]:
    """Cut samples off the training table, for methods that estimate on data they do not train on.

    They are cut by group where the table has groups, else by class. A class that the holdout then
    lacks is warned of.

    Args:
        table: training samples.
        fraction: of the samples, or of the groups.
        seed: of the draw.

    Returns:
        The table that stays, and the holdout.

    Raises:
        DataError: a class has too few samples, there are too few groups, or no group of a class is
            left in train.
    """
    kept, taken = _cut(
        np.arange(len(table)), fraction, table.label, table.group, seed, table.classes
    )
    if table.group is not None:
        _check_classes(
            {"train": table.label[kept], "holdout": table.label[taken]},
            table.classes,
            "try another --data.seed or --data.holdout, or leave out --group",
        )
    return table.take(kept), table.take(taken)


def _check_classes(
    parts: Mapping[str, np.ndarray], classes: Sequence[Label] | None, remedy: str
) -> None:
    """Refuse a train split that lacks a class; warn where another split lacks one."""
    everywhere = np.unique(np.concatenate(list(parts.values())))
    for name, label in parts.items():
        lost = np.setdiff1d(everywhere[everywhere >= 0], label)
        if not len(lost):
            continue
        which = repr(classes[lost[0]]) if classes is not None else str(lost[0])
        others = f" (nor of {len(lost) - 1} more)" if len(lost) > 1 else ""
        message = f"no group of class {which}{others} is left for the {name} split; {remedy}"
        if name == "train":
            raise DataError(message)
        warnings.warn(message, stacklevel=3)


def _cut(
    rows: np.ndarray,
    fraction: float,
    label: np.ndarray,
    group: np.ndarray | None,
    seed: int,
    classes: Sequence[Label] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that stay and those that are cut off, both in ascending order of rows."""
    from sklearn.model_selection import GroupShuffleSplit, train_test_split

    try:
        if group is not None:
            splitter = GroupShuffleSplit(1, test_size=fraction, random_state=seed)
            kept, taken = next(splitter.split(rows, groups=group[rows]))
            return rows[kept], rows[taken]
        kept, taken = train_test_split(
            rows, test_size=fraction, random_state=seed, stratify=label[rows]
        )
    except ValueError:
        if group is not None:
            count = len(np.unique(group[rows]))
            reason = f"groups to split (there {'is' if count == 1 else 'are'} {count})"
        else:
            reason = f"samples of each class to split ({_fewest(label[rows], classes)})"
        raise DataError(f"too few {reason}; give a split column, or add data") from None
    return np.sort(kept), np.sort(taken)


def _fewest(label: np.ndarray, classes: Sequence[Label] | None) -> str:
    """The reason why samples cannot be split by class."""
    codes, counts = np.unique(label, return_counts=True)
    if len(codes) > MANY and len(codes) > len(label) / MANY:
        return (
            f"{len(codes)} different labels in {len(label)} rows look like an id or a quantity "
            "(a regression), not like classes"
        )
    code = int(codes[counts.argmin()])
    name = repr(classes[code]) if classes is not None and code >= 0 else str(code)
    return f"{len(label)} samples of {len(codes)} classes, {counts.min()} of class {name}"
