"""What follows from what was found."""

from __future__ import annotations

from equipoise.diagnosis.content_rules import copies, groups, labels, strengths
from equipoise.diagnosis.finding import Finding, Found
from equipoise.diagnosis.sample_rules import bad_cells, classes, missing, splits

RULES = (bad_cells, splits, classes, missing, copies, groups, labels, strengths)


def advise(found: Found) -> list[Finding]:
    """What every rule has to say of a report without its advice.

    Returns:
        [{"level": "warning" or "note", "topic", "text": what, where, and what to do}]
    """
    return [finding for rule in RULES for finding in rule(found)]
