"""Advice on what samples hold: copies, leaks and the strength of modalities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import sqrt
from shlex import quote
from typing import Any

from equipoise.data.table.splits import NAMES
from equipoise.diagnosis.finding import Finding, Found, listed, note, some, warning

APART = 0.15
"""Accuracy between two modalities that counts as imbalance, if it is more than chance."""
BEHIND = 0.5
"""Of the best one's lead over the majority class; a modality with less is behind, if that is more than chance."""
MEASURED = 20
"""Validation samples below which an accuracy says little."""
COLUMNS = 20
"""That are named, of all that give the label away."""
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
                "duplicates",
                f"{some(facts['samples'], 'sample')} with a copy of their {modality} ({example})",
            )


def groups(found: Found) -> Iterator[Finding]:
    for one in found["leakage"]["groups"]:
        if one["samples"]:
            name = one["column"]
            how = _apart(one, found["splits"]["given"])
            yield warning(
                "leakage",
                f"{one['samples']} of {one['of']} evaluation samples have their {name} in training too "
                f"({one['shared']} of {one['values']} values): scores say nothing of new ones; {how}",
            )


def _apart(group: Mapping[str, Any], given: bool) -> str:
    """How to keep a group on one side."""
    few = group["values"] < len(NAMES)
    if group["windows"]:
        return (
            "keep all windows of a file in one split"
            + ", by a column of file names for --group" * (not few)
        )
    if given:
        return "make a split that keeps each together"
    if few:
        return "with so few, no three splits keep each together: collect more of them"
    return f"name it by --group {quote(group['column'])}"


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
    numbers: dict[str, list[str]] = {}
    for one in found["leakage"]["numbers"]:
        numbers.setdefault(one["modality"], []).append(one["column"])
    for modality, columns in numbers.items():
        several = len(columns) > 1
        yield warning(
            "leakage",
            f"{listed(columns, COLUMNS)} of {modality} alone {'give' if several else 'gives'} every label"
            f"{', each of them' * several}: what is made from the label must be left out",
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
    worst = ranked[0]
    best = ranked[-1]
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
