"""Advice on what samples hold: copies, leaks and the strength of modalities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import sqrt
from typing import Any

from equipoise.diagnosis.finding import Finding, Found, note, some, warning

APART = 0.15
"""Accuracy between two modalities that counts as imbalance, if it is more than chance."""
BEHIND = 0.5
"""Of the best one's lead over the majority class; a modality with less is behind, if that is more than chance."""
MEASURED = 20
"""Validation samples below which an accuracy says little."""
COMPARE = "compare methods: equipoise bench --methods joint,late,mla,ogm-ge"


def copies(found: Found) -> Iterator[Finding]:
    for modality, facts in found["duplicates"].items():
        example = f"for example {' = '.join(facts['examples'][0])}"
        if facts["across_splits"]:
            yield warning(
                "duplicates",
                f"{some(facts['across_splits'], 'sample')} with a copy of their {modality} in another split "
                f"({example}): evaluation meets what was trained on; keep copies in one split, or remove them",
            )
        if facts["other_label"]:
            yield warning(
                "duplicates",
                f"{some(facts['other_label'], 'sample')} with the {modality} of a sample of another label: check "
                "these labels",
            )
        if not facts["across_splits"] and not facts["other_label"]:
            yield note(
                "duplicates", f"{some(facts['samples'], 'sample')} with a copy of their {modality} ({example})"
            )


def groups(found: Found) -> Iterator[Finding]:
    for one in found["leakage"]["groups"]:
        if one["samples"]:
            name = one["column"]
            how = (
                "make a split that keeps each together" if found["splits"]["given"] else f"name it by --group {name}"
            )
            if one["windows"]:
                how = "keep all windows of a file in one split, by a column of file names for --group"
            yield warning(
                "leakage",
                f"{one['samples']} of {one['of']} evaluation samples have their {name} in training too "
                f"({one['shared']} of {one['values']} values): scores say nothing of new ones; {how}",
            )


def labels(found: Found) -> Iterator[Finding]:
    for one in found["leakage"]["label_in"]:
        share = f"in {one['share']:.0%} of the samples"
        if one["where"] == "text":
            yield warning(
                "leakage",
                f"the text of {one['modality']} names the label {share}: if it will not when the model is used, take "
                "the class names out",
            )
        else:
            yield note(
                "leakage",
                f"the paths of {one['modality']} name the label {share}: models do not see paths, but declare no "
                "column of them as text",
            )
    for one in found["leakage"]["numbers"]:
        yield warning(
            "leakage",
            f"{one['column']} of {one['modality']} alone gives every label: if it is made from the label, leave it "
            "out",
        )


def strengths(found: Found) -> Iterator[Finding]:
    """Modalities are compared where they were measured on enough rows, and the best one tells of the label at all."""
    facts = {m: one for m, one in found["strength"].items() if one["measured_on"] >= MEASURED}
    error = {modality: _error(one) for modality, one in facts.items()}
    silent = [m for m, one in facts.items() if one["accuracy"] < one["majority"] + 2 * error[m]]
    for modality in silent:
        yield note(
            "strength",
            f"{modality} alone is hardly better than the majority class ({facts[modality]['accuracy']:.2f}, "
            f"{facts[modality]['majority']:.2f}) for a linear probe: check its column and transform, or expect to "
            "need a stronger encoder",
        )
    ranked = sorted(facts, key=lambda modality: float(facts[modality]["accuracy"]))
    if len(ranked) < 2 or ranked[-1] in silent:
        return
    worst, best = ranked[0], ranked[-1]
    gap = facts[best]["accuracy"] - facts[worst]["accuracy"]
    lead, best_lead = (facts[m]["accuracy"] - facts[m]["majority"] for m in (worst, best))
    apart = gap >= APART or lead <= BEHIND * best_lead
    if apart and gap > 2 * sqrt(error[best] ** 2 + error[worst] ** 2):
        yield warning(
            "strength",
            f"{best} alone reaches {facts[best]['accuracy']:.2f}, {worst} {facts[worst]['accuracy']:.2f}: joint "
            f"training is likely to neglect {worst}; try --method mla, and {COMPARE}",
        )
    else:
        yield note(
            "strength",
            "the modalities alone are about equally strong; joint training can still neglect the one that is slower "
            f"to learn: {COMPARE}",
        )


def _error(one: Mapping[str, Any]) -> float:
    """Standard error of an accuracy; never zero, as a finite sample has one."""
    accuracy = float(one["accuracy"])
    return sqrt(max(accuracy * (1 - accuracy), 0.01) / int(one["measured_on"]))
