"""Which modalities are missing where, and whether that tells the label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from equipoise.diagnosis.study import Study

LEVEL = 1e-3
"""Of the test of independence: one false alarm in a thousand."""
WEAK = 0.1
"""Cramér's V below which a dependence, however certain, is too weak to matter (Cohen 1988: a small effect)."""
EXPECTED = 5
"""Cells of a contingency table that the χ² approximation needs (Cochran 1954)."""


def describe_presence(study: Study) -> dict[str, Any]:
    """Missing shares, patterns, and what absence depends on. A file that cannot be read counts as
    missing.

    Returns:
        {"missing": {modality: share}, "by_split": {split: {modality: share}}, "patterns": {"a + b":
        rows}, "nothing": rows with no modality, "depends": [{"modality", "on": "label" or "split",
        "p", "cramers_v", "missing": {value: share}}]}
    """
    present = {m: view.present for m, view in study.views.items()}
    matrix = np.stack(list(present.values()), axis=1)
    patterns = Counter(" + ".join(np.array(list(present))[row]) for row in matrix)
    found = {
        "label": study.label,
        **({} if study.split is None else {"split": [str(s) or None for s in study.split]}),
    }
    depends = [
        {"modality": m, "on": on, **dependence}
        for m, here in present.items()
        for on, values in found.items()
        if (dependence := _dependence(here, values)) is not None
    ]
    splits = [] if study.split is None else [s for s in dict.fromkeys(study.split.tolist()) if s]
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
    """Pearson's χ² test of presence against values that are frequent enough for it; None if they are independent."""
    from scipy.stats import chi2_contingency

    known = np.array([value is not None for value in values])
    names, codes = np.unique([str(v) for v in values if v is not None], return_inverse=True)
    here = present[known]
    table = np.stack(
        [
            np.bincount(codes[here], minlength=len(names)),
            np.bincount(codes[~here], minlength=len(names)),
        ]
    )
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
    shares = table[1] / table.sum(axis=0)
    return {
        "p": float(tested.pvalue),
        "cramers_v": strength,
        "missing": {str(name): float(share) for name, share in zip(names, shares, strict=True)},
    }
