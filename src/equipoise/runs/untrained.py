"""Classifiers that a method leaves as they were initialised, though the results show what they predict."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from equipoise.heads.base import Head
from equipoise.methods.parts.auxiliary import own_classifier

if TYPE_CHECKING:
    from equipoise.runs.monitor import Report


class UntrainedClassifiers:
    """Hears of each epoch, and warns after the first one if it has trained no modality's own
    classifier.

    It looks at what has moved, and not at what a method says of itself, so that options and methods
    from elsewhere are covered alike. A training that is resumed is compared with the
    initialisation, too.

    Args:
        method: its name.
        head: as it is initialised.
        report: hears of each epoch next.
    """

    def __init__(self, method: str, head: Head, report: Report) -> None:
        self.method = method
        self.head = head
        self.report = report
        own = (
            [head.own_only(m) or own_classifier(head, m) for m in head.modalities]
            if head.own_classifiers
            else []
        )
        trained = [p for classifier in own for p in classifier.parameters() if p.requires_grad]
        self._start = [(p, p.detach().clone()) for p in trained]

    def __call__(self, line: dict[str, Any]) -> None:
        """Take note of the end of an epoch; `line` is that of `metrics.jsonl`."""
        self._look()
        self.report(line)

    def _look(self) -> None:
        if self._start and all(torch.equal(now, start) for now, start in self._start):
            warnings.warn(
                f"method {self.method!r} does not train the classifiers of {type(self.head).__name__} that predict "
                "from one modality alone, and the per-modality results are those of untrained classifiers; use head "
                "'concat' or 'sum', whose fused loss trains what they are read from",
                stacklevel=2,
            )
        self._start = []
