"""The command line. Exit codes: 0 done, 1 failed, 2 misused, 130 interrupted.

Commands import heavy packages only when they run, so that `--help` answers at once.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path
from types import FrameType
from typing import Any

from equipoise.errors import (
    SIGNS,
    EquipoiseError,
    LostRankError,
    TrainingError,
    format_warning,
    printable,
    shortened,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. An error that the user can mend is printed as one line on stderr.

    Args:
        arguments: of the command line, without the program's name; those of the process by default.

    Returns:
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    _open_streams()
    usual = warnings.formatwarning
    warnings.formatwarning = format_warning
    signals = Signals()
    try:
        with signals:
            # Inside, because Ctrl-C while modules load must end in one line, too.
            from equipoise.cli.parser import parse_command

            command = parse_command(given)
            code = int(command.run(command))
            sys.stdout.flush()  # an error at the end of the process would be a traceback
            return code
    except SystemExit as done:  # argparse, after --help and --version
        return int(done.code or 0)
    except BrokenPipeError:  # the reader of our output is gone, as with `| head`
        _drop_output()
        return 1
    except KeyboardInterrupt as error:
        return _fail(str(error) or "interrupted", 130)
    except LostRankError as error:
        if SIGNS in os.environ:  # the process that started the ranks says which one is lost
            return error.exit_code
        return _fail(_describe(error), 1, alone=True)
    except (EquipoiseError, OSError) as error:
        if "--debug" in given:
            raise
        if isinstance(error, OSError) and error.errno == ENOSPC and error.filename is None:
            error.filename = "standard output or a temporary file"  # all others are named
            _drop_output()
        code = error.exit_code if isinstance(error, EquipoiseError) else 1
        return _fail(_describe(error), code, alone=isinstance(error, TrainingError | OSError))
    except Exception as error:
        if signals.came:  # a module that was being loaded turned the interrupt into another error
            return _fail("interrupted", 130)
        memory = isinstance(error, MemoryError | RuntimeError) and _is_out_of_memory(error)
        if memory and "--debug" not in given:
            return _fail(_describe_memory(error), 1, alone=True)
        raise
    finally:
        warnings.formatwarning = usual


GRACE = 3
"""Seconds for a command to end after an interrupt."""


class Signals:
    """Inside the `with` block, the first SIGINT or SIGTERM raises a KeyboardInterrupt.

    A second one ends the process at once, and so does a thread if the block has not ended `GRACE`
    seconds after the first one: code that is being imported may swallow a KeyboardInterrupt, and
    the command would go on as if nobody had asked it to stop. A training has signal handlers of
    its own while it trains, see `Interrupt`.
    """

    def __init__(self) -> None:
        self.came = False
        self._ended = threading.Event()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        # Python allows signal handlers in the main thread only.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._end)
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            os._exit(130)
        self.came = True
        threading.Thread(target=self._insist, daemon=True).start()
        raise KeyboardInterrupt

    def _insist(self) -> None:
        if not self._ended.wait(GRACE):
            for child in multiprocessing.active_children():
                child.terminate()
            _fail("interrupted", 130)
            os._exit(130)


def _open_streams() -> None:
    """Give a process whose output is closed (`>&-`) streams that go nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115


def _drop_output() -> None:
    """Send what is still to be written nowhere, so that the end of the process cannot fail."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _describe(error: EquipoiseError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return shortened(
            f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        )
    return " ".join(str(error).split())


def _is_out_of_memory(error: Exception) -> bool:
    """True for an error of memory, which PyTorch tells by the words of a RuntimeError."""
    words = str(error)
    told = "can't allocate memory" in words or "out of memory" in words
    return told or isinstance(error, MemoryError)


def _describe_memory(error: Exception) -> str:
    """One line without the place in PyTorch's source."""
    reason = " ".join(str(error).split()).rpartition("DefaultCPUAllocator: ")[2][:200]
    shown = f" ({reason})" if reason else ""
    return f"out of memory{shown}; choose a smaller --batch_size, --width or size of the samples"


def _fail(message: str, code: int, alone: bool = False) -> int:
    """Print an error and return its exit code.

    The ranks of a distributed run mostly meet the same error, so that only the first one prints it.

    Args:
        message: in one line.
        code: exit code.
        alone: True for an error that a rank may meet alone; then every rank prints it.
    """
    rank = os.environ.get("RANK", "0")
    if rank == "0":
        print(f"equipoise: {printable(message)}", file=sys.stderr)
    elif alone:
        print(f"equipoise, rank {rank}: {printable(message)}", file=sys.stderr)
    return code
