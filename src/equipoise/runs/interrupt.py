"""Signals as a polite request: finish the step, write a checkpoint, say how to resume."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from types import FrameType, TracebackType

ACKNOWLEDGED = (
    b"\nequipoise: stopping after this step, with a checkpoint; Ctrl-C again ends at once\n"
)


def _speaks(number: int) -> bool:
    """True in the one process that tells the user.

    Workers of a comparison and ranks above the first one do not. A rank is also sent SIGTERM when
    another one has died, and then nobody asked for anything.
    """
    if os.environ.get("RANK", "0") != "0" or multiprocessing.parent_process() is not None:
        return False
    return number == signal.SIGINT or "RANK" not in os.environ


class Interrupt:
    """Inside the `with` block, the first SIGINT or SIGTERM sets `requested`, and says so.

    A second signal acts as it did before the block, so that a training that hangs can be stopped.

    Args:
        advice: how to go on after a second signal, for its message.
    """

    def __init__(self, advice: str = "") -> None:
        self.requested = False
        self.advice = advice
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interrupt:
        # Python allows signal handlers in the main thread only.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()
        if kind is KeyboardInterrupt and self.requested and self.advice:
            raise KeyboardInterrupt(f"ended at once; {self.advice}") from None

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._restore()
        if _speaks(number):
            # Not by `print`: the signal may have come in the middle of another one.
            os.write(2, ACKNOWLEDGED)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}
