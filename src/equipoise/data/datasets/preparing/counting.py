"""How many samples were found, beside how many were published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.data.table import splits as splitting
from equipoise.errors import DataError


@dataclass(frozen=True)
class Whole:
    """A data set as published, whatever its splits.

    Attributes:
        samples: published.
        unfit: of these, how many the preparer leaves out for a known fault.
        hint: what may not be there where fewer are found.
    """

    samples: int
    unfit: int = 0
    hint: str = "the download may be incomplete"


def count_splits(
    name: str, rows: Sequence[Mapping[str, str]], published: Mapping[str, int]
) -> dict[str, Any]:
    """{split: {"samples", "published", "classes": {class: samples}}}

    Raises:
        DataError: train or validation is empty.
    """
    counted = {}
    for split in splitting.NAMES:
        classes = Counter(row["label"] for row in rows if row["split"] == split)
        if not classes and split != "test":
            raise DataError(f"{name}: no sample is left for the {split} split")
        counted[split] = {
            "samples": sum(classes.values()),
            "published": published.get(split),
            "classes": dict(sorted(classes.items())),
        }
    return counted


def tell_difference(samples: int, whole: Whole, missing: int) -> list[str]:
    """The note on a number of samples that is not the published one; none where it is.

    Args:
        samples: found.
        whole: what was published.
        missing: samples that were left out as a file of theirs is not there.
    """
    gap = whole.samples - whole.unfit - samples
    if gap == 0:
        return []
    if gap < 0:
        return [
            f"{samples:,} samples are here, though {whole.samples:,} were published: this is another version"
        ]
    reasons = [f"{missing:,} without a file (left_out.csv)"] if missing else []
    reasons += [whole.hint] if gap != missing else []
    return [
        f"{samples:,} of the {whole.samples:,} published samples are here: {'; '.join(reasons)}"
    ]
