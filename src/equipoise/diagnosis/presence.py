"""Missing modalities: where they are missing, and whether that depends on the label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from equipoise.diagnosis.study import Study

LEVEL = 1e-3
"""Significance level of the test of independence: one false alarm in a thousand."""
WEAK = 0.1
"""With a smaller Cramér's V a dependence is too weak to matter (Cohen 1988: a small effect)."""
EXPECTED = 5
"""Expected count in a cell that the χ² approximation needs (Cochran 1954)."""


def describe_presence(study: Study) -> dict[str, Any]:
    """Describe how often modalities are missing, together with what, and depending on what.

    A file that cannot be read counts as missing.

    Returns:
        {"missing": {modality: fraction of the rows}, "by_split": {split: {modality: fraction}},
        "patterns": {"a + b": rows}, "nothing": rows without any modality, "depends": [{"modality",
        "on": "label" or "split", "p", "cramers_v", "missing": {value: fraction}}]}
    """
    present = {m: view.present for m, view in study.views.items()}
    matrix = np.stack(list(present.values()), axis=1)
    patterns = Counter(" + ".join(np.array(list(present))[row]) for row in matrix)
    found = {"label": study.label}
    splits: list[str] = []
    if study.split is not None:
        found["split"] = [str(split) or None for split in study.split]
        splits = [split for split in dict.fromkeys(study.split.tolist()) if split]
    depends = []
    for m, here in present.items():
        for on, values in found.items():
            dependence = _dependence(here, values)
            if dependence is not None:
                depends.append({"modality": m, "on": on, **dependence})
    return {
        "missing": {m: float(1 - here.mean()) for m, here in present.items()},
        "by_split": {
            s: {m: float(1 - here[study.rows(s)].mean()) for m, here in present.items()}
            for s in splits
        },
        "patterns": {pattern or "nothing": count for pattern, count in patterns.most_common()},
        "nothing": patterns[""],
        "depends": depends,
    }


def _dependence(present: np.ndarray, values: Sequence[str | None]) -> dict[str, Any] | None:
    """Pearson's χ² test of presence against values; None if they are independent.

    Values that are too rare for the test are left out.
    """
    from scipy.stats import chi2_contingency

    known = np.array([value is not None for value in values])
    names, codes = np.unique([str(v) for v in values if v is not None], return_inverse=True)
    here = present[known]
    there = np.bincount(codes[here], minlength=len(names))
    absent = np.bincount(codes[~here], minlength=len(names))
    table = np.stack([there, absent])
    rare = min(here.mean(), 1 - here.mean()) if len(here) else 0.0
    frequent = table.sum(axis=0) * rare >= EXPECTED
    table = table[:, frequent]
    names = names[frequent]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return None
    tested = chi2_contingency(table, correction=False)
    strength = float(np.sqrt(tested.statistic / table.sum()))
    if tested.pvalue >= LEVEL or strength < WEAK:
        return None
    fractions = table[1] / table.sum(axis=0)
    return {
        "p": float(tested.pvalue),
        "cramers_v": strength,
        "missing": {str(n): float(f) for n, f in zip(names, fractions, strict=True)},
    }
