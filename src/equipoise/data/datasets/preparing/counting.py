"""Counts of the samples that were found, compared with the published counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.data.manifest.columns import SPLIT_NAMES
from equipoise.errors import DataError


@dataclass(frozen=True)
class Total:
    """The published size of a data set, over all splits.

    Attributes:
        samples: that were published.
        unfit: published samples that the preparer leaves out because of a known fault.
        hint: what may be missing if fewer samples are found, for the message.
    """

    samples: int
    unfit: int = 0
    hint: str = "the download may be incomplete"


def count_splits(
    name: str, rows: Sequence[Mapping[str, str]], published: Mapping[str, int]
) -> dict[str, Any]:
    """Count the samples of each split and class.

    Args:
        name: of the data set.
        rows: of all splits.
        published: {split: samples}.

    Returns:
        {split: {"samples", "published", "classes": {class: samples}}}.

    Raises:
        DataError: train or validation is empty.
    """
    counted = {}
    for split in SPLIT_NAMES:
        classes = Counter(row["label"] for row in rows if row["split"] == split)
        if not classes and split != "test":
            raise DataError(f"{name}: no sample is left for the {split} split")
        counted[split] = {
            "samples": sum(classes.values()),
            "published": published.get(split),
            "classes": dict(sorted(classes.items())),
        }
    return counted


def tell_difference(samples: int, total: Total, missing: int) -> list[str]:
    """Note a difference from the published number of samples.

    Args:
        samples: that were found.
        total: that were published.
        missing: samples that were left out because a file is missing.

    Returns:
        One note, or none if the numbers are equal.
    """
    gap = total.samples - total.unfit - samples
    if gap == 0:
        return []
    if gap < 0:
        return [
            f"{samples:,} samples are here, though {total.samples:,} were published: "
            "this is another version"
        ]
    reasons = []
    if missing:
        reasons.append(f"{missing:,} without a file (left_out.csv)")
    if gap != missing:
        reasons.append(total.hint)
    return [
        f"{samples:,} of the {total.samples:,} published samples are here: {'; '.join(reasons)}"
    ]
