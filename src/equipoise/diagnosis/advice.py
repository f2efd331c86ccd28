"""Advice on a data set: a rule reads the facts that were found and says what to do about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from shlex import quote
from typing import Any

from equipoise.data.manifest.columns import SPLIT_NAMES
from equipoise.data.manifest.labels import doubtful_labels
from equipoise.diagnosis.balance import FEW
from equipoise.diagnosis.leakage import MEASURED

Found = Mapping[str, Any]
"""A report of `diagnose` without its advice."""

Finding = dict[str, str]
"""{"level", "topic", "text"}"""

SMALL_TEST = 100
"""With fewer test samples an accuracy is not known to within ten points."""
SKEWED = 10
"""The largest class has so many times the samples of the smallest: accuracy hides small classes."""
APART = 0.15
"""Difference in accuracy of two modalities that counts as imbalance, if it is more than chance."""
BEHIND = 0.5
"""Fraction of the best modality's lead over the majority class. A modality that leads by less is
behind, if the difference is more than chance."""
LISTED_COLUMNS = 20
"""Largest number of columns that are listed of those that give the label away."""
COMPARE = "compare methods: equipoise bench --methods joint,late,mla,ogm-ge"

_HARM = {
    "label": "a model can read the label from the gap; collect it for all classes alike",
    "split": "training and evaluation see other gaps; draw the splits anew, or report modalities "
    "one by one",
}


def warning(topic: str, text: str) -> Finding:
    """Advice on a fact that makes results worse or wrong."""
    return {"level": "warning", "topic": topic, "text": text}


def note(topic: str, text: str) -> Finding:
    """Advice on a fact that is worth knowing."""
    return {"level": "note", "topic": topic, "text": text}


def some(count: int, what: str) -> str:
    """A count with its noun: "1 row", "2 rows"."""
    return f"{count} {what}" + ("" if count == 1 else "s")


def listed(names: Sequence[str], shown: int = 5) -> str:
    """The first names in quotes, and the number of the others."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(map(repr, names[:shown])) + more


def on_bad_cells(found: Found) -> Iterator[Finding]:
    """Cells that cannot be read."""
    problems = found["problems"]
    if problems:
        first = f"row {problems[0]['row']}, modality {problems[0]['modality']!r}"
        yield warning(
            "problems",
            f"{some(len(problems), 'bad cell')}, first {first}: mend them, or train with "
            "--problems drop (leaves the rows out) or --problems absent (treats the modality as "
            "missing)",
        )


def on_remarks(found: Found) -> Iterator[Finding]:
    """Files that can be read, but hold something unexpected."""
    for text in found["remarks"]:
        yield warning("media", text)


def on_splits(found: Found) -> Iterator[Finding]:
    """Splits that cannot be drawn, that may separate a group, or that are empty or small."""
    facts = found["splits"]
    samples = found["balance"]["samples"]
    if facts["undrawn"]:
        yield warning("splits", f"no splits can be drawn: {facts['undrawn']}")
    elif not facts["given"] and not facts["by_group"] and not found["leakage"]["groups"]:
        yield note(
            "splits",
            "splits are drawn sample by sample: where several samples come from one speaker, "
            "subject or session, name the column that says so with --group",
        )
    empty = [split for split in ("train", "validation") if samples.get(split) == 0]
    if empty:
        yield warning(
            "splits",
            f"no row is in {' and in '.join(empty)}: training needs both; mend the split column",
        )
    test = samples.get("test", SMALL_TEST)
    if test < SMALL_TEST:
        margin = (
            f": an accuracy on them is known to about ± {100 / sqrt(test):.0f} points"
            if test
            else ""
        )
        yield note(
            "splits",
            f"{some(test, 'test sample')}{margin}; keep more for testing, or compare over more "
            "seeds",
        )


def on_classes(found: Found) -> Iterator[Finding]:
    """Missing labels, and classes that are small, skewed or absent from a split."""
    facts = found["balance"]
    counts = {name: of["all"] for name, of in facts["classes"].items()}
    if facts["unlabelled"]:
        unlabelled = some(facts["unlabelled"], "row")
        yield warning(
            "balance", f"{unlabelled} without a label: training leaves them out; label them"
        )
    for finding in doubtful_labels(counts):
        yield warning("balance", finding)
    if len(counts) < 2:
        yield warning(
            "balance", "fewer than two classes: there is nothing to tell apart; is --label right?"
        )
        return
    largest = max(counts, key=counts.__getitem__)
    smallest = min(counts, key=counts.__getitem__)
    if counts[largest] >= SKEWED * counts[smallest]:
        yield warning(
            "balance",
            f"{counts[largest]} samples of {largest!r}, {counts[smallest]} of {smallest!r}: "
            "accuracy hides what happens to small classes; train with --class_weight balanced, "
            "choose epochs by --select macro_f1, and report macro-F1",
        )
    if facts["few"]:
        yield warning(
            "balance",
            f"fewer than {FEW} samples of {listed(facts['few'])}: add some, join classes or leave "
            "them out",
        )
    for split, absent in facts["not_in"].items():
        if absent:
            stop = "; training refuses labels that it has not seen" if split == "train" else ""
            yield warning(
                "balance", f"no sample of {listed(absent)} in {split}{stop}: draw the splits anew"
            )


def on_missing(found: Found) -> Iterator[Finding]:
    """Missing modalities, and whether their absence depends on label or split."""
    facts = found["presence"]
    if facts["nothing"]:
        yield warning(
            "presence",
            f"{some(facts['nothing'], 'row')} with no readable modality at all: mend or remove "
            "them (training stops at a row that is empty)",
        )
    missing = facts["missing"]
    partly = {m: fraction for m, fraction in missing.items() if 0 < fraction < 1}
    for modality in [m for m, fraction in missing.items() if fraction == 1]:
        yield warning(
            "presence", f"{modality} is missing in every row: leave it out, or mend its column"
        )
    if partly:
        fractions = ", ".join(f"{m} {fraction:.1%}" for m, fraction in partly.items())
        yield note(
            "presence",
            f"missing: {fractions}; rows train and test what they have, and the report counts the "
            "rest",
        )
    for one in facts["depends"]:
        by_value = one["missing"]
        most = max(by_value, key=by_value.__getitem__)
        least = min(by_value, key=by_value.__getitem__)
        where = f"{by_value[most]:.0%} of {most!r}, {by_value[least]:.0%} of {least!r}"
        yield warning(
            "presence", f"{one['modality']} is missing by {one['on']} ({where}): {_HARM[one['on']]}"
        )


def on_copies(found: Found) -> Iterator[Finding]:
    """Samples that occur twice."""
    for modality, facts in found["duplicates"].items():
        example = f"for example {' = '.join(facts['examples'][0])}"
        if facts["across_splits"]:
            yield warning(
                "duplicates",
                f"{some(facts['across_splits'], 'sample')} with a copy of their {modality} in "
                f"another split ({example}): evaluation meets what was trained on; keep copies in "
                "one split, or remove them",
            )
        if facts["other_label"]:
            yield warning(
                "duplicates",
                f"{some(facts['other_label'], 'sample')} with the {modality} of a sample of "
                "another label: check these labels",
            )
        if not facts["across_splits"] and not facts["other_label"]:
            yield note(
                "duplicates",
                f"{some(facts['samples'], 'sample')} with a copy of their {modality} ({example})",
            )


def on_groups(found: Found) -> Iterator[Finding]:
    """Groups, such as speakers, with samples in training and in evaluation."""
    for one in found["leakage"]["groups"]:
        if one["samples"]:
            name = one["column"]
            how = _apart(one, found["splits"]["given"])
            yield warning(
                "leakage",
                f"{one['samples']} of {one['of']} evaluation samples have their {name} in training "
                f"too ({one['shared']} of {one['values']} values): scores say nothing of new ones; "
                f"{how}",
            )


def _apart(group: Mapping[str, Any], given: bool) -> str:
    """Advice how to keep each group in one split."""
    few = group["values"] < len(SPLIT_NAMES)
    if group["windows"]:
        column = "" if few else ", by a column of file names for --group"
        return f"keep all windows of a file in one split{column}"
    if given:
        return "make a split that keeps each together"
    if few:
        return "with so few, no three splits keep each together: collect more of them"
    return f"name it by --group {quote(group['column'])}"


def on_labels(found: Found) -> Iterator[Finding]:
    """Texts, paths and numbers that give the label away."""
    for one in found["leakage"]["label_in"]:
        often = f"in {one['share']:.0%} of the samples"
        if one["where"] == "text":
            yield warning(
                "leakage",
                f"the text of {one['modality']} names the label {often}: if it will not when the "
                "model is used, take the class names out",
            )
        else:
            yield note(
                "leakage",
                f"the paths of {one['modality']} name the label {often}: models do not see paths, "
                "but declare no column of them as text",
            )
    numbers: dict[str, list[str]] = {}
    for one in found["leakage"]["numbers"]:
        numbers.setdefault(one["modality"], []).append(one["column"])
    for modality, columns in numbers.items():
        give = "give every label, each of them" if len(columns) > 1 else "gives every label"
        yield warning(
            "leakage",
            f"{listed(columns, LISTED_COLUMNS)} of {modality} alone {give}: what is made from the "
            "label must be left out",
        )


def on_strengths(found: Found) -> Iterator[Finding]:
    """Modalities that are weak or much weaker than the best one.

    Only modalities that were measured on enough rows are compared, and only if the best one is
    better than the majority class.
    """
    facts = {m: one for m, one in found["strength"].items() if one["measured_on"] >= MEASURED}
    error = {modality: _error(one) for modality, one in facts.items()}
    silent = [m for m, one in facts.items() if one["accuracy"] < one["majority"] + 2 * error[m]]
    for modality in silent:
        yield note(
            "strength",
            f"{modality} alone is hardly better than the majority class "
            f"({facts[modality]['accuracy']:.2f}, {facts[modality]['majority']:.2f}) for a linear "
            "probe: check its column and transform, or expect to need a stronger encoder",
        )
    ranked = sorted(facts, key=lambda modality: float(facts[modality]["accuracy"]))
    if len(ranked) < 2 or ranked[-1] in silent:
        return
    worst = ranked[0]
    best = ranked[-1]
    gap = facts[best]["accuracy"] - facts[worst]["accuracy"]
    lead = facts[worst]["accuracy"] - facts[worst]["majority"]
    best_lead = facts[best]["accuracy"] - facts[best]["majority"]
    apart = gap >= APART or lead <= BEHIND * best_lead
    if apart and gap > 2 * sqrt(error[best] ** 2 + error[worst] ** 2):
        yield warning(
            "strength",
            f"{best} alone reaches {facts[best]['accuracy']:.2f}, {worst} "
            f"{facts[worst]['accuracy']:.2f}: joint training is likely to neglect {worst}; try "
            f"--method mla, and {COMPARE}",
        )
    else:
        yield note(
            "strength",
            "the modalities alone are about equally strong; joint training can still neglect the "
            f"one that is slower to learn: {COMPARE}",
        )


def _error(one: Mapping[str, Any]) -> float:
    """Standard error of an accuracy."""
    accuracy = float(one["accuracy"])
    # Never zero: an accuracy of 0 or 1 on a finite sample is not exact either.
    return sqrt(max(accuracy * (1 - accuracy), 0.01) / int(one["measured_on"]))


ADVICE_RULES = (
    on_bad_cells,
    on_remarks,
    on_splits,
    on_classes,
    on_missing,
    on_copies,
    on_groups,
    on_labels,
    on_strengths,
)


def advise(found: Found) -> list[Finding]:
    """Collect the advice of every rule.

    Args:
        found: a report without its advice.

    Returns:
        [{"level": "warning" or "note", "topic", "text": what was found, where, and what to do}]
    """
    return [finding for rule in ADVICE_RULES for finding in rule(found)]
