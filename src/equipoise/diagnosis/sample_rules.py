"""Advice on rows: bad cells, splits, classes and missing modalities."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from equipoise.diagnosis.balance import FEW
from equipoise.diagnosis.finding import Finding, Found, listed, note, some, warning

SMALL_TEST = 100
"""Test samples below which an accuracy is not known to ten points."""
SKEWED = 10
"""Times that the largest class exceeds the smallest."""
UNKNOWN = ("nan", "na", "n/a", "#n/a", "<na>", "null")
"""What programs write where a value is missing, in small letters."""

_HARM = {
    "label": "a model can read the label from the gap; collect it for all classes alike",
    "split": "training and evaluation see other gaps; draw the splits anew, or report modalities one by one",
}


def bad_cells(found: Found) -> Iterator[Finding]:
    problems = found["problems"]
    if problems:
        first = f"row {problems[0]['row']}, modality {problems[0]['modality']!r}"
        yield warning(
            "problems",
            f"{some(len(problems), 'bad cell')}, first {first}: mend them, or train with --problems drop (leaves the "
            "rows out) or --problems absent (treats the modality as missing)",
        )


def splits(found: Found) -> Iterator[Finding]:
    facts = found["splits"]
    samples = found["balance"]["samples"]
    if facts["undrawn"]:
        yield warning("splits", f"no splits can be drawn: {facts['undrawn']}")
    elif not facts["given"] and not facts["by_group"] and not found["leakage"]["groups"]:
        yield note(
            "splits",
            "splits are drawn sample by sample: where several samples come from one speaker, subject or session, "
            "name the column that says so with --group",
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
            f"{some(test, 'test sample')}{margin}; keep more for testing, or compare over more seeds",
        )


def classes(found: Found) -> Iterator[Finding]:
    facts = found["balance"]
    counts = {name: of["all"] for name, of in facts["classes"].items()}
    if facts["unlabelled"]:
        unlabelled = some(facts["unlabelled"], "row")
        yield warning(
            "balance", f"{unlabelled} without a label: label or remove them; none can be trained on"
        )
    for name in (name for name in counts if name.lower() in UNKNOWN):
        yield warning(
            "balance",
            f"{some(counts[name], 'sample')} of the class {name!r}: probably a missing label; label or remove them",
        )
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
            f"{counts[largest]} samples of {largest!r}, {counts[smallest]} of {smallest!r}: accuracy hides what "
            "happens to small classes; choose epochs by --select macro_f1 and report macro-F1",
        )
    if facts["few"]:
        yield warning(
            "balance",
            f"fewer than {FEW} samples of {listed(facts['few'])}: add some, join classes or leave them out",
        )
    for split, absent in facts["not_in"].items():
        if absent:
            stop = "; training refuses labels that it has not seen" if split == "train" else ""
            yield warning(
                "balance", f"no sample of {listed(absent)} in {split}{stop}: draw the splits anew"
            )


def missing(found: Found) -> Iterator[Finding]:
    facts = found["presence"]
    if facts["nothing"]:
        yield warning(
            "presence",
            f"{some(facts['nothing'], 'row')} with no readable modality at all: mend or remove them (training stops "
            "at a row that is empty)",
        )
    partly = {m: share for m, share in facts["missing"].items() if 0 < share < 1}
    for modality in [m for m, share in facts["missing"].items() if share == 1]:
        yield warning(
            "presence", f"{modality} is missing in every row: leave it out, or mend its column"
        )
    if partly:
        shares = ", ".join(f"{m} {share:.1%}" for m, share in partly.items())
        yield note(
            "presence",
            f"missing: {shares}; rows train and test what they have, and the report counts the rest",
        )
    for one in facts["depends"]:
        shares = one["missing"]
        most = max(shares, key=shares.__getitem__)
        least = min(shares, key=shares.__getitem__)
        where = f"{shares[most]:.0%} of {most!r}, {shares[least]:.0%} of {least!r}"
        yield warning(
            "presence", f"{one['modality']} is missing by {one['on']} ({where}): {_HARM[one['on']]}"
        )
