"""The conclusion of a comparison in plain sentences, none of them surer than its interval.

The page opens with it and the commands end with it. It answers three questions: which modality is
neglected, which methods cure that, and which method to take.
"""

from __future__ import annotations

from collections.abc import Sequence

from equipoise.evaluation.statistics import Difference
from equipoise.report.records import MethodRuns, difference, modalities_of

MANY = 4
"""The most methods that a sentence names; it counts the others."""


def conclude(groups: Sequence[MethodRuns]) -> list[str]:
    """State which modality is neglected, which methods help, and which one to take.

    Everything is measured against the first method. A difference counts where its 95 % interval, of
    a paired bootstrap over seeds and samples, does not hold zero. The method to take is the one
    with the best accuracy on validation, so that its test result is not a chosen one.

    Args:
        groups: the methods of one comparison, the reference first.

    Returns:
        Whole sentences; a single one where no sample has a label.
    """
    if all(group.accuracy() is None for group in groups):
        return ["No sample has a label: there is nothing to compare."]
    if len(groups) == 1:
        return [_alone(groups[0])]
    sentences = [*_neglect(groups), _cures(groups), _choice(groups)]
    return [sentence for sentence in sentences if sentence]


def _alone(group: MethodRuns) -> str:
    """The accuracies of a single method."""
    parts = [
        f"{100 * accuracy:.1f} % from {modality} alone"
        for modality in group.modalities
        if (accuracy := group.accuracy(modality)) is not None
    ]
    fused = group.accuracy()
    told = f"{group.label} is right in {100 * (fused or 0.0):.1f} % of the samples"
    return f"{told}, and in {' and '.join(parts)}." if parts else f"{told}."


def _neglect(groups: Sequence[MethodRuns]) -> list[str]:
    """The modality that the first method leaves furthest behind what another method reaches.

    Which method teaches a modality best is chosen on validation, like everything else.
    """
    reference = groups[0]
    lost: list[tuple[Difference, str, MethodRuns]] = []
    for modality in modalities_of(groups):
        others = [g for g in groups[1:] if g.accuracy(modality) is not None]
        if not others or reference.accuracy(modality) is None:
            continue
        teacher = max(others, key=lambda group: group.validation(modality))
        found = difference(teacher, reference, modality)
        if found is not None:
            lost.append((found, modality, teacher))
    sure = [one for one in lost if one[0].low > 0]
    if not sure:
        if not lost:
            return []
        return [
            f"Training by {reference.label} neglects no modality for sure: no other method brings "
            "one further than chance may."
        ]
    found, modality, teacher = max(sure, key=lambda one: one[0].difference)
    return [
        f"Training by {reference.label} neglects {modality}: by itself it is right in "
        f"{_percent(reference, modality)} of the samples, where {teacher.label} brings it to "
        f"{_percent(teacher, modality)} ({_points(found)})."
    ]


def _cures(groups: Sequence[MethodRuns]) -> str:
    """The methods whose fused accuracy is above that of the first for sure, and below it."""
    reference = groups[0]
    measured = [
        (group.label, found)
        for group in groups[1:]
        if (found := difference(group, reference)) is not None
    ]
    if not measured:
        return ""
    measured.sort(key=lambda one: -one[1].difference)
    better = [one for one in measured if one[1].low > 0]
    worse = [one for one in measured if one[1].high < 0]
    unsure = [one for one in measured if one not in better and one not in worse]
    level = f"{reference.label} ({_percent(reference)})"
    told = (
        f"The fused accuracy is above that of {level} with {_list(better)}."
        if better
        else f"No method is surely above {level} in fused accuracy."
    )
    if worse:
        told += f" It is below with {_list(worse)}."
    if unsure:
        told += f" It may be either with {_list(unsure)}."
    return told


def _choice(groups: Sequence[MethodRuns]) -> str:
    """The method that validation chooses, and how sure its lead over the next one is."""
    chosen, runner_up = sorted(groups, key=lambda group: -group.validation())[:2]
    if chosen.validation() < 0:
        return ""
    counts = sorted({len(group.runs) for group in groups})
    told = (
        f"Validation chooses {chosen.label}, which is right in {_percent(chosen)} of "
        f"the {chosen.runs[0].measured['count']} {chosen.runs[0].split} samples"
    )
    found = difference(chosen, runner_up)
    if found is not None:
        sure = "is more than chance" if found.low > 0 or found.high < 0 else "may be chance"
        told += f"; its distance to the next, {runner_up.label} ({_points(found)}), {sure}"
    if counts[0] == 1:
        return f"{told}. With a single seed no interval holds what other seeds would change."
    seeds = " to ".join(map(str, {counts[0]: "", counts[-1]: ""}))
    return f"{told}. Intervals are of 95 %, over {seeds} seeds and these samples."


def _percent(group: MethodRuns, part: str = "fused") -> str:
    return f"{100 * (group.accuracy(part) or 0.0):.1f} %"


def _points(found: Difference) -> str:
    """A difference in points with its interval."""
    low, high = 100 * found.low, 100 * found.high
    text = f"{100 * found.difference:+.1f} points [{low:+.1f}, {high:+.1f}]"
    return text.replace("-", "−")


def _list(measured: Sequence[tuple[str, Difference]]) -> str:
    """Methods and their differences: A, B and C; of many the first few and a count."""
    texts = [f"{label} ({_points(found)})" for label, found in measured]
    if len(texts) > MANY:
        texts = [*texts[: MANY - 1], f"{len(texts) - MANY + 1} others"]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
