"""A worker process that runs inputs, and is replaced when it hangs or dies."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

from fuzzing.case import HANG, TRACEBACK, Outcome, judge
from fuzzing.part import PARTS, Room, rng_of

MEMORY = 6 * 2**30
"""Bytes a worker may hold; an input that asks for more meets a MemoryError."""
PR_SET_PDEATHSIG = 1
"""Number of the request to Linux to send this process a signal when its parent ends."""


class Worker:
    """Runs one input at a time in a forked process, with everything imported already.

    Args:
        room: the seed files that inputs are made from.
        seed: of all inputs.
        limit: seconds that one input may take.
        keep: leave the folders of the inputs.
    """

    def __init__(self, room: Room, seed: int, limit: float, keep: bool) -> None:
        self.room = room
        self.seed = seed
        self.limit = limit
        self.keep = keep
        self._process: multiprocessing.process.BaseProcess | None = None
        self._ours: Connection | None = None

    def run(self, part: str, number: int) -> Outcome:
        """Run one input and return its outcome."""
        if self._process is None or not self._process.is_alive():
            self._start()
        assert self._ours is not None
        assert self._process is not None
        stacks = self.room.folder / "stacks.txt"
        self._ours.send((part, number))
        try:
            if self._ours.poll(self.limit):
                outcome: Outcome = self._ours.recv()
                return outcome
        except (EOFError, ConnectionResetError):
            self._process.join()
            code = self._process.exitcode
            return Outcome(TRACEBACK, f"the process died with exit code {code}")
        os.kill(self._process.pid or 0, signal.SIGUSR1)  # writes the stacks of its threads
        time.sleep(0.2)
        self.stop()
        return Outcome(HANG, f"no end after {self.limit:.0f} s", stacks.read_text())

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        # A decoder that is freed in the fork would wait there for threads that only the parent has.
        gc.collect()
        gc.freeze()
        self._ours, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._ours, self.room, self.seed, self.keep), daemon=True
        )
        self._process.start()
        theirs.close()


def _serve(theirs: Connection, ours: Connection, room: Room, seed: int, keep: bool) -> None:
    import faulthandler

    ours.close()
    die_with_parent()
    # Beside the memory of the imported libraries, which is mapped privately too.
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent reports and ends
    with (room.folder / "stacks.txt").open("w") as stacks:
        faulthandler.register(signal.SIGUSR1, stacks, all_threads=True)
        while True:
            try:
                part, number = theirs.recv()
            except EOFError:
                return
            theirs.send(_outcome(room, seed, part, number, keep))


def die_with_parent() -> None:
    """End this process as soon as its parent ends, however that comes about.

    A worker that outlives a killed fuzz command would keep its terminal and its files open. Nothing
    that runs in the worker can keep it from ending, not even a library that hangs.
    """
    parent = multiprocessing.parent_process()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is None or os.getppid() != parent.pid:  # it ended before the request
        os._exit(1)


def _outcome(room: Room, seed: int, part: str, number: int, keep: bool) -> Outcome:
    folder = room.folder / "cases" / f"{part}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.chdir(folder)
    try:
        with Path(os.devnull).open("w") as silence:
            sys.stderr = silence
            return judge(PARTS[part].make(rng_of(seed, part, number), room, number))
    except Exception as error:  # a fault of the fuzz command itself
        return Outcome(TRACEBACK, f"fuzz: {error!r}", traceback.format_exc())
    finally:
        sys.stderr = sys.__stderr__
        os.chdir(room.folder)
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
