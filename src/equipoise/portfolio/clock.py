"""The time of a search: how much is left, and how long a member will take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from equipoise.portfolio.members import Member

SPEED = 1e9
"""Elementary operations per second, from which the first guess of a cost is made."""


class Clock:
    """Counts the seconds of a search, those before an interruption included.

    Args:
        limit: seconds.
        spent: seconds that were spent before.
        now: tells the time.
        started: the time at which it began to count; None for now.
    """

    def __init__(
        self,
        limit: float,
        spent: float = 0.0,
        now: Callable[[], float] = time.monotonic,
        started: float | None = None,
    ) -> None:
        self.limit = limit
        self._now = now
        self._start = (now() if started is None else started) - spent

    @property
    def spent(self) -> float:
        return self._now() - self._start

    @property
    def left(self) -> float:
        return self.limit - self.spent


class Costs:
    """Guesses how long a member takes, and corrects itself by what members took."""

    def __init__(self) -> None:
        self._ratio: dict[str, float] = {}
        self._seen: dict[tuple[str, int], float] = {}

    def note(self, member: Member, rows: int, width: int, classes: int, seconds: float) -> None:
        """Learn from a trial on so many rows."""
        ratio = seconds / operations(member, rows, width, classes)
        known = self._ratio.get(member.family)
        # Rather too long than too short: a limit that is missed cannot be mended.
        self._ratio[member.family] = ratio if known is None else max(ratio, 0.7 * known)
        self._seen[member.name, rows] = seconds

    def guess(self, member: Member, rows: int, width: int, classes: int) -> float:
        """Seconds of a trial on so many rows."""
        known = [
            s for (name, n), s in self._seen.items() if name == member.name and n >= 0.7 * rows
        ]
        if known:
            return max(known)
        # Of a family that has not been tried, the machine says more than the number of operations.
        unknown = max([2 / SPEED, *self._ratio.values()])
        ratio = self._ratio.get(member.family, unknown)
        return 0.02 + ratio * operations(member, rows, width, classes)


def operations(member: Member, rows: int, width: int, classes: int) -> float:
    """Roughly how many operations a fit takes."""
    if member.family == "linear":
        return 240.0 * rows * width * (classes if classes > 2 else 1)
    if member.family == "kernel":
        return 2.0 * rows * rows * (width + 20)
    if member.family == "boosting":
        return 60.0 * (classes if classes > 2 else 1) * (rows * width * 2 + 255 * width * 15)
    return 1200.0 * rows * math.log2(max(rows, 2)) * math.sqrt(width)
