"""Run trials one after the other, or several at a time in other processes.

The other processes are those of joblib's loky: they do not run the user's script again, as those of
`multiprocessing` do, so that a script needs no guard. They take seconds to start, and meanwhile
this process works, too.
"""

from __future__ import annotations

import io
import os
import pickle
import signal
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from mmap import mmap
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from equipoise.errors import format_warning
from equipoise.portfolio.material import Material
from equipoise.portfolio.networks import Stopped
from equipoise.portfolio.trials import Finding, Trial, run_trial
from equipoise.settings import IN_MEMORY

LOOK_EVERY = 0.1
"""Seconds between looks at signals and the time."""

_HELD: dict[str, Material] = {}
"""What a worker process was told at its start."""


class Workers:
    """This process and some others, which run trials inside the `with` block.

    Args:
        material: the rows.
        count: trials at a time, one of them in this process.
        stop: asked whether to stop; the trials that run are then given up.
    """

    def __init__(self, material: Material, count: int, stop: Callable[[], bool]) -> None:
        self.material = material
        self.count = count
        self.stop = stop
        self._others: Any = None
        self._here: ThreadPoolExecutor | None = None

    def __enter__(self) -> Workers:
        if self.count > 1:
            self._here = ThreadPoolExecutor(1)
            self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._others is not None:
            self._others.shutdown(wait=False, kill_workers=True)
        if self._here is not None:
            self._here.shutdown(wait=False, cancel_futures=True)

    def run(
        self,
        propose: Callable[[], Trial | None],
        ended: Callable[[Trial, Finding], None],
        folder: Path,
        left: Callable[[], float] = lambda: float("inf"),
    ) -> None:
        """Run trials until none is proposed, or the search is to stop.

        Args:
            propose: gives the next trial, or None.
            ended: called with each trial that has ended.
            folder: of the trials.
            left: seconds that are left; at zero, nothing is waited for any longer.
        """
        work = partial(run_trial, material=self.material, folder=folder, stop=self.stop)
        if self._here is None:
            self._run_here(propose, ended, work)
            return
        running: dict[Future[Finding], tuple[Trial, Any]] = {}
        again: list[Trial] = []
        broken: set[tuple[str, int]] = set()
        while not self.stop() and left() > 0:
            for lane, room in ((None, 1), (self._others, self.count - 1)):
                while sum(taken is lane for _, taken in running.values()) < room:
                    # Never here: a member that needs too much memory would end the search.
                    trial = again.pop() if again and lane is not None else propose()
                    if trial is None:
                        break
                    future: Future[Finding] = (
                        self._here.submit(work, trial)
                        if lane is None
                        else lane.submit(_work, trial, folder)
                    )
                    running[future] = (trial, lane)
            if not running:
                return
            done, _ = wait(running, timeout=LOOK_EVERY, return_when=FIRST_COMPLETED)
            for future in done:
                trial, lane = running.pop(future)
                try:
                    ended(trial, future.result())
                except Stopped:
                    continue
                except BrokenProcessPool:
                    self._replace(lane)
                    # All trials of the processes end when one of these is killed, mostly for its
                    # memory. Each is tried once more, and the member that is at fault left out.
                    if (trial.member.name, trial.fold) in broken:
                        reason = "its process was killed twice; out of memory?"
                        ended(trial, Finding(trial.member.name, trial.fold, 0.0, error=reason))
                    else:
                        broken.add((trial.member.name, trial.fold))
                        again.append(trial)

    def _run_here(
        self,
        propose: Callable[[], Trial | None],
        ended: Callable[[Trial, Finding], None],
        work: Callable[[Trial], Finding],
    ) -> None:
        while not self.stop():
            trial = propose()
            if trial is None:
                return
            try:
                finding = work(trial)
            except Stopped:
                return
            ended(trial, finding)

    def _start(self) -> None:
        from joblib.externals.loky import ProcessPoolExecutor

        threads = max(1, (os.cpu_count() or 1) // self.count)
        settings = self.material.settings
        # Workers get the rows and need no source; a DataFrame would be sent a second time.
        told = replace(settings, data=replace(settings.data, source=IN_MEMORY))
        sent = io.BytesIO()
        _Pickler(sent).dump(replace(self.material, settings=told))
        self._others = ProcessPoolExecutor(
            self.count - 1,
            initializer=_begin,
            initargs=(
                sent.getvalue(),
                threads,
                os.getpid(),
                warnings.formatwarning is format_warning,
            ),
        )

    def _replace(self, broken: Any) -> None:
        """Start other processes in place of broken ones, unless that was done already."""
        if broken is self._others:
            broken.shutdown(wait=False, kill_workers=True)
            self._start()


def _begin(material: bytes, threads: int, parent: int, as_command: bool) -> None:
    """The start of a worker.

    Args:
        material: pickled.
        threads: of torch.
        parent: the process that started it.
        as_command: print warnings as a command does.
    """
    if as_command:
        warnings.formatwarning = format_warning
    # All of them before the first trial, whose time is measured.
    import sklearn.ensemble
    import sklearn.linear_model
    import sklearn.svm  # noqa: F401
    import skops.io  # noqa: F401
    import torch

    torch.set_num_threads(threads)
    # Ctrl-C reaches every process of a terminal; the parent alone answers it, and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _HELD["material"] = pickle.loads(material)  # from the parent itself, and no file


class _Pickler(pickle.Pickler):
    """Sends the place of a mapped file instead of a copy of its content."""

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, np.memmap) or not isinstance(value.base, mmap):
            return NotImplemented
        return np.memmap, (value.filename, value.dtype, "r", value.offset, value.shape)


def _end_with(parent: int) -> None:
    """End when the parent is gone: one that was killed cannot end its workers."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _work(trial: Trial, folder: Path) -> Finding:
    return run_trial(trial, _HELD["material"], folder)
