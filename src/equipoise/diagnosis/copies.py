"""Copies: samples that occur twice, as files, texts or numbers."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import Any

import numpy as np

from equipoise.data.media.duplicates import alike, count_copies, same_files, same_texts, spanning
from equipoise.diagnosis.study import ModalityView, Study

EXAMPLES = 3
HASHED_AT_ONCE = 256  # rows; memory does not grow with the data set


def find_copies(study: Study) -> dict[str, dict[str, Any]]:
    """Find copies in every modality.

    Texts and numbers that mostly have an equal are not copies: they repeat by their nature (a
    title, or a reading on a coarse scale), and are left out.

    Returns:
        {modality: {"samples": samples with a copy, "across_splits": samples with a copy in another
        split, "other_label": samples with a copy of another label, "examples": groups of ids, those
        across splits first}}, for modalities with copies.
    """
    split = [""] * len(study.ids) if study.split is None else [str(s) for s in study.split]
    found = {}
    for modality, view in study.views.items():
        groups = _groups(view)
        counts = count_copies(groups, split, study.label)
        by_nature = view.files is None and counts["samples"] > view.present.sum() / 2
        if counts["samples"] and not by_nature:
            ranked = [*spanning(groups, split), *spanning(groups, study.label), *groups]
            telling = dict.fromkeys(map(tuple, ranked))  # each group once, in this order
            shown = islice(telling, EXAMPLES)
            examples = [[study.ids[row] for row in group[:EXAMPLES]] for group in shown]
            found[modality] = {**counts, "examples": examples}
    return found


def _groups(view: ModalityView) -> list[list[int]]:
    """Groups of rows with equal content."""
    here = view.present
    if view.files is not None:
        pairs = zip(view.files, here, strict=True)
        return same_files([file if there else None for file, there in pairs])
    if view.texts is not None:
        cells = zip(view.texts, here, strict=True)
        return same_texts([text if there else None for text, there in cells])
    keys: list[bytes | None] = [None] * len(here)
    rows = np.flatnonzero(here)
    for start in range(0, len(rows), HASHED_AT_ONCE):
        chunk = rows[start : start + HASHED_AT_ONCE]
        for row, sample in zip(chunk, view.read(chunk), strict=True):
            keys[row] = hashlib.sha256(sample.tobytes()).digest()
    return alike(keys)
