"""Samples that occur twice, as files, texts or numbers."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import Any

import numpy as np

from equipoise.data.media.duplicates import alike, count_copies, same_files, same_texts, spanning
from equipoise.diagnosis.study import Study, View

EXAMPLES = 3
CHUNK = 256  # rows read at a time


def find_copies(study: Study) -> dict[str, dict[str, Any]]:
    """Copies in every modality.

    Texts and numbers of which most have an equal are no copies but repeat by their nature (a title,
    a reading of a coarse scale), and are left out.

    Returns:
        {modality: {"samples": that have a copy, "across_splits": of which a copy is in another
        split, "other_label": of another label, "examples": groups of ids, those across splits
        first}}, for modalities with any.
    """
    split = [""] * len(study.ids) if study.split is None else [str(s) for s in study.split]
    found = {}
    for modality, view in study.views.items():
        groups = _groups(view)
        counts = count_copies(groups, split, study.label)
        by_nature = view.files is None and counts["samples"] > view.present.sum() / 2
        if counts["samples"] and not by_nature:
            telling = dict.fromkeys(
                map(tuple, [*spanning(groups, split), *spanning(groups, study.label), *groups])
            )
            examples = [
                [study.ids[row] for row in group[:EXAMPLES]] for group in islice(telling, EXAMPLES)
            ]
            found[modality] = {**counts, "examples": examples}
    return found


def _groups(view: View) -> list[list[int]]:
    here = view.present
    if view.files is not None:
        return same_files(
            [file if there else None for file, there in zip(view.files, here, strict=True)]
        )
    if view.texts is not None:
        return same_texts(
            [text if there else None for text, there in zip(view.texts, here, strict=True)]
        )
    keys: list[bytes | None] = [None] * len(here)
    rows = np.flatnonzero(here)
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        for row, sample in zip(chunk, view.read(chunk), strict=True):
            keys[row] = hashlib.sha256(sample.tobytes()).digest()
    return alike(keys)
