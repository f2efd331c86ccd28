"""Run cells in parallel worker processes.

A worker that is killed loses its own cell only: another worker takes its place.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import warnings
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait

from equipoise.comparison.cell import CellRunner, Outcome, fail
from equipoise.comparison.plan import Cell
from equipoise.errors import format_warning
from equipoise.runs.callbacks import Callbacks
from equipoise.runs.interrupt import Interrupt


def run_cells(
    cells: Iterable[Cell], jobs: int = 1, callbacks: Callbacks | None = None
) -> Iterator[Outcome]:
    """Run cells and yield their outcomes as they end; stop early after a signal.

    Args:
        cells: in the order in which to start them.
        jobs: worker processes; with 1 the cells run in this process.
        callbacks: of each training in this process.

    Raises:
        RunError: a cell was done before, on other data.
    """
    waiting = []
    runner = CellRunner(callbacks)
    for cell in cells:
        outcome = runner.finished(cell)
        if outcome:
            yield outcome
        else:
            waiting.append(cell)
    if jobs <= 1 or len(waiting) <= 1:
        for cell in waiting:
            outcome = runner(cell)
            yield outcome
            if outcome.status == "interrupted":
                return
    else:
        yield from _run_lanes(waiting, min(jobs, len(waiting)))


def _run_lanes(cells: list[Cell], lanes: int) -> Iterator[Outcome]:
    """Run cells in worker processes, each of them fed by a thread of this process."""
    waiting: queue.SimpleQueue[Cell] = queue.SimpleQueue()
    ended: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
    for cell in cells:
        waiting.put(cell)
    threads = max(1, (os.cpu_count() or 1) // lanes)
    workers = [_Lane(waiting, ended, threads) for _ in range(lanes)]
    with Interrupt() as interrupt:
        for worker in workers:
            worker.start()
        running = lanes
        try:
            while running:
                try:
                    outcome = ended.get(timeout=0.2)
                except queue.Empty:
                    if interrupt.requested:
                        for worker in workers:
                            worker.interrupt()
                    continue
                if outcome is None:
                    running -= 1
                else:
                    yield outcome
        finally:  # the caller may stop reading the outcomes before the last one
            if running:
                for worker in workers:
                    worker.interrupt()


class _Lane(threading.Thread):
    """A thread that feeds one worker process, and starts another when that one dies.

    Args:
        waiting: cells to run, shared by all lanes.
        ended: receives the outcomes, and None when this lane has ended.
        threads: of torch, in the worker.
    """

    def __init__(
        self,
        waiting: queue.SimpleQueue[Cell],
        ended: queue.SimpleQueue[Outcome | None],
        threads: int,
    ) -> None:
        super().__init__(daemon=True)
        self.waiting = waiting
        self.ended = ended
        self.threads = threads
        self.stopping = False
        self.process, self.pipe = self._start_worker()

    def run(self) -> None:
        try:
            while not self.stopping:
                try:
                    cell = self.waiting.get_nowait()
                except queue.Empty:
                    break
                self.ended.put(self._run(cell))
            self.pipe.close()
        finally:
            self.ended.put(None)

    def interrupt(self) -> None:
        """Ask the worker, once, to checkpoint and stop."""
        if not self.stopping:
            self.stopping = True
            self.process.terminate()

    def _run(self, cell: Cell) -> Outcome:
        try:
            self.pipe.send(cell)
            outcome: Outcome = self.pipe.recv()
            return outcome
        except (EOFError, OSError):
            self.process.join()
            if self.stopping:
                return Outcome(
                    cell, "interrupted", error="stopped by a signal before its first step"
                )
            outcome = fail(
                cell,
                f"the worker process ended with exit code {self.process.exitcode}; out of memory?",
            )
            self.process, self.pipe = self._start_worker()
            return outcome
        except Exception as error:  # pickling calls code of whatever the data hold
            return fail(cell, f"the cell cannot be sent to a worker process ({error}); use 1 job")

    def _start_worker(self) -> tuple[multiprocessing.process.BaseProcess, Connection]:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        as_command = warnings.formatwarning is format_warning
        process = context.Process(
            target=_serve, args=(there, self.threads, as_command), daemon=True
        )
        process.start()
        there.close()
        return process, here


def _serve(pipe: Connection, threads: int, as_command: bool) -> None:
    """The loop of a worker: receive a cell, send its outcome, until the other side closes.

    Args:
        pipe: to the process that started this one.
        threads: of torch.
        as_command: print warnings as a command does.
    """
    import torch

    if as_command:
        warnings.formatwarning = format_warning
    # In a session of its own, Ctrl-C reaches the parent only, which asks each worker exactly once.
    os.setsid()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    runner = CellRunner()
    while True:
        try:
            pipe.send(runner(pipe.recv()))
        except (EOFError, ConnectionError):
            return


def _end_with_parent() -> None:
    """Checkpoint and stop when the parent is gone.

    A parent that was killed cannot ask its workers to stop, and they would train on unseen.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
