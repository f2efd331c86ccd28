"""Successive halving, in waves: look at the members of a wave once, and go on with the better half.

The first look is at the validation split. Where the rows are few, the members of the better half
then predict the folds of the training rows, too, so that weights are chosen on all of them. Where
the rows are many, the first look is at a sample, and the better half is fitted to all rows. The
members of the first wave take little time; those of later waves are tried as long as it lasts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from equipoise.portfolio.clock import Clock, Costs
from equipoise.portfolio.ensemble import log_loss, log_softmax, temperature
from equipoise.portfolio.joined import late_average, late_sets
from equipoise.portfolio.material import Material
from equipoise.portfolio.members import NETWORK, Member
from equipoise.portfolio.trials import LOOK, REFIT, Finding, Trial
from equipoise.portfolio.workers import Workers

RESERVE = 0.12
"""Fraction of the time that is kept for the end: weights, refits, predictions."""
NETWORK_SHARE = 0.5
"""Fraction of the time that the networks may take, all of their folds together."""
FEWEST_NETWORKS = 2
"""Networks that the time is enough for, however short it is."""
SHORTEST = 1.0
"""Seconds below which a network is not worth starting."""
GRACE = 10.0
"""Seconds that a fold of a network may take, however quick the first look was."""
SURVIVORS = 0.5
"""Fraction of the candidates that survive the first look."""
FEWEST = 8
"""The fewest candidates that survive."""
REFITS = 0.25
"""Fraction of the time that is kept for the last fits at most."""


@dataclass(frozen=True)
class Progress:
    """A line about a trial that has ended.

    Attributes:
        spent: seconds of the search.
        left: seconds until its end, at most.
        trials: that have ended.
        text: what was found.
    """

    spent: float
    left: float
    trials: int
    text: str


class Search:
    """Which trial comes next, and all that was found.

    Args:
        material: the rows.
        members: candidates, the most promising first.
        clock: of the search.
        findings: of the time before an interruption.
        workers: trials at a time.
        watch: called as each trial ends; when it returns True, no more are tried.
    """

    def __init__(
        self,
        material: Material,
        members: Sequence[Member],
        clock: Clock,
        findings: Sequence[Finding] = (),
        workers: int = 1,
        watch: Callable[[Progress], bool | None] = lambda progress: None,
    ) -> None:
        self.material = material
        self.members = {member.name: member for member in members}
        self.clock = clock
        self.workers = workers
        self.watch = watch
        self.stopped = False
        self.costs = Costs()
        self._start = clock.left
        self._least = least(members)
        self.findings: dict[tuple[str, int], Finding] = {}
        self._running: set[tuple[str, int]] = set()
        self._late = late_sets(members)
        self._losses: dict[str, float] = {}
        self.first = LOOK if material.sampled else 0
        for finding in findings:
            if finding.member in self.members:
                self._keep(finding)

    def run(self, workers: Workers, folder: Path, spent: Callable[[], None]) -> None:
        """Run trials until the time is up or nothing is left to try.

        Args:
            workers: that run them.
            folder: of the trials.
            spent: called after each trial, to write down the time.
        """

        def ended(trial: Trial, finding: Finding) -> None:
            self._running.discard((trial.member.name, trial.fold))
            self._keep(finding)
            spent()
            self.stopped = bool(self.watch(self._progress(finding))) or self.stopped

        def left() -> float:
            if not all((name, self.first) in self.findings for name in self._least):
                return math.inf
            return self.clock.left - self._reserve() / 2

        workers.run(self.propose, ended, folder, left)

    def propose(self) -> Trial | None:
        """The next trial; None if there is none that the time allows."""
        trial = self._next()
        if trial is not None:
            self._running.add((trial.member.name, trial.fold))
        return trial

    def complete(self) -> list[str]:
        """The members that have predicted every fold, in the order of the portfolio."""
        folds = range(self.material.folds)
        return [name for name in self.members if all(self._done(name, k) for k in folds)]

    def held(self, name: str, folds: Sequence[int]) -> np.ndarray:
        """The logits of a member for the rows of some folds, in their order."""
        found = [self.findings[name, fold].logits for fold in folds]
        return np.concatenate([x for x in found if x is not None])

    def _next(self) -> Trial | None:
        left = self.clock.left - self._reserve()
        for name in self._least:
            # However short the time: every modality needs a member.
            trial = self._affordable(self.members[name], self.first, math.inf)
            if trial is not None:
                return trial
        if left <= 0 or self.stopped:
            return None
        folds = [k for k in range(self.material.folds) if k != self.first]
        for wave in sorted({member.wave for member in self.members.values()}):
            for member in self.members.values():
                if member.wave == wave:
                    trial = self._affordable(member, self.first, left)
                    if trial is not None:
                        return trial
            for name in self._survivors():
                for fold in folds:
                    trial = self._affordable(self.members[name], fold, left)
                    if trial is not None:
                        return trial
        # All is done, and there is time for what seemed too expensive.
        for member in self.members.values():
            trial = self._affordable(member, self.first, left, spare=True)
            if trial is not None:
                return trial
        return None

    def _affordable(
        self, member: Member, fold: int, left: float, *, spare: bool = False
    ) -> Trial | None:
        """The trial, unless it was made, is being made or would take too long.

        Args:
            member: to try.
            fold: to predict.
            left: seconds.
            spare: a network may use the time that is left, and not a share of the whole alone.
        """
        key = (member.name, fold)
        if key in self.findings or key in self._running:
            return None
        if member.family != NETWORK:
            cost = self._guess(member, fold)
            if fold == self.first:  # all that follows from it must be affordable, too
                others = [k for k in range(self.material.folds) if k != fold]
                following = [self._guess(member, k) for k in (*others, REFIT)]
                cost += max(sum(following) / self.workers, *following)
            return Trial(member, fold) if cost < left else None
        known = self.findings.get((member.name, 0))
        if fold > 0:
            if known is None or 1.1 * known.seconds > left:
                return None
            # Rather long: a stall of the machine must not cut short what ends in a moment.
            seconds = min(left, max(2 * known.seconds, GRACE))
            return Trial(member, fold, seconds, known.epochs, known.planned)
        # A network that is looked at must be affordable on all folds.
        shares = NETWORK_SHARE * self.clock.limit * self.workers / self.material.folds
        if spare:
            seconds = left * self.workers / self.material.folds
            long_enough = min(seconds, left, shares / FEWEST_NETWORKS) >= SHORTEST
            return Trial(member, fold, min(seconds, left)) if long_enough else None
        taken = [
            found.seconds
            for (name, of), found in self.findings.items()
            if of == fold and self.members[name].family == NETWORK
        ]
        taken += [
            shares / FEWEST_NETWORKS
            for name, of in self._running
            if of == fold and self.members[name].family == NETWORK
        ]
        seconds = min(left, shares / FEWEST_NETWORKS)
        if seconds < SHORTEST or sum(taken) + 0.5 * seconds > shares:
            return None
        return Trial(member, fold, seconds)

    def refit_seconds(self, name: str) -> float:
        """How long the last fit of a member will take, as long as all processes fit some."""
        member = self.members[name]
        return 0.0 if member.family == NETWORK else self._guess(member, REFIT) / self.workers

    def ending(self) -> float:
        """Seconds that are kept for the end but for the last fits."""
        return RESERVE * self.clock.limit

    def _reserve(self) -> float:
        refits = sum(map(self.refit_seconds, self._survivors(FEWEST)))
        # What takes longer weighs nothing in the end.
        return self.ending() + min(refits, REFITS * self.clock.limit)

    def _guess(self, member: Member, fold: int) -> float:
        rows = len(self.material.looked_at[0]) if fold == LOOK else len(self._rows(fold))
        return self.costs.guess(member, rows, self._width(member), self.material.classes)

    def _rows(self, fold: int) -> np.ndarray:
        return self.material.trained(fold)

    def _width(self, member: Member) -> int:
        features = self.material.features
        return sum(
            1 + features.words[m].shape[1] // 20
            if member.family == "linear" and m in features.words
            else features.dense[m].shape[1]
            for m in member.views
        )

    def _keep(self, finding: Finding) -> None:
        self.findings[finding.member, finding.fold] = finding
        member = self.members[finding.member]
        if finding.error:
            return
        if member.family != NETWORK:
            rows = (
                len(self.material.looked_at[0])
                if finding.fold == LOOK
                else len(self._rows(finding.fold))
            )
            self.costs.note(
                member, rows, self._width(member), self.material.classes, finding.seconds
            )
        if finding.fold == self.first:
            assert finding.logits is not None
            self._losses[member.name] = self._loss(finding.logits)
            if member.late is not None:
                parts = self._late[member.late]
                if all(part in self._losses for part in parts):
                    self._losses[member.late] = self._loss(self._averaged(parts))

    def _done(self, name: str, fold: int) -> bool:
        found = self.findings.get((name, fold))
        return found is not None and not found.error

    def _label(self, fold: int) -> np.ndarray:
        found: np.ndarray = self.material.rows.label[self._held_rows(fold)]
        return found

    def _held_rows(self, fold: int) -> np.ndarray:
        return self.material.looked_at[1] if fold == LOOK else self.material.held(fold)

    def _loss(self, logits: np.ndarray) -> float:
        """The log-loss on the rows of the first look, as a temperature would make it."""
        label = self._label(self.first)
        weight = self.material.weight[self._held_rows(self.first)]
        tempered = logits / temperature(logits, label, weight)
        return log_loss(np.exp(log_softmax(tempered)), label, weight)

    def _survivors(self, most: int | None = None) -> list[str]:
        """The members of the better half, the best first; whole sets of averaged members.

        Args:
            most: take so many members or sets instead of half.
        """
        ranked = sorted(self._losses, key=lambda name: self._losses[name])
        best: dict[str, str] = {}
        for name in ranked:
            if name in self.members:
                best.setdefault(self.members[name].family, name)
        count = most or max(FEWEST, math.ceil(SURVIVORS * len(ranked)))
        kept = [*ranked[:count], *best.values()]
        return list(dict.fromkeys(part for name in kept for part in self._late.get(name, [name])))

    def _averaged(self, parts: Sequence[str]) -> np.ndarray:
        rows = self._held_rows(self.first)
        present = {m: here[rows] for m, here in self.material.features.present.items()}
        logits = [self.held(part, [self.first]) for part in parts]
        available = [self.members[part].sees(present) for part in parts]
        label = self._label(self.first)
        temperatures = [temperature(x[a], label[a]) for x, a in zip(logits, available, strict=True)]
        return late_average(logits, available, temperatures)

    def _progress(self, finding: Finding) -> Progress:
        member = self.members[finding.member]
        what = "first look" if finding.fold == self.first else f"fold {finding.fold}"
        if finding.error:
            text = f"{member.name}, {what}: failed ({finding.error})"
        else:
            rows = self.material.looked_at[1] if finding.fold == LOOK else None
            label = (
                self.material.rows.label[rows] if rows is not None else self._label(finding.fold)
            )
            assert finding.logits is not None
            accuracy = float((finding.logits.argmax(1) == label).mean())
            text = f"{member.name}, {what}: accuracy {accuracy:.3f} in {finding.seconds:.1f} s"
        return Progress(self.clock.spent, max(0.0, self.clock.left), len(self.findings), text)


def least(members: Sequence[Member]) -> list[str]:
    """The first members, up to the one with which all modalities are read."""
    missing = {m for member in members for m in member.views}
    found = []
    for member in members:
        if not missing:
            break
        found.append(member.name)
        missing -= set(member.views)
    return found
