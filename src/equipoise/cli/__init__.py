"""The command line. Exit codes: 0 done, 1 failed, 2 misused, 130 interrupted.

Commands import heavy packages only when they run, so that `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import equipoise
from equipoise.errors import EquipoiseError, TrainingError, printable, shortened


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. An error that the user can mend is printed as one line on stderr.

    Args:
        arguments: of the command line, without the program's name; those of the process by default.

    Returns:
        The exit code.
    """
    from equipoise.cli.parser import parse_command

    given = list(sys.argv[1:] if arguments is None else arguments)
    usual = warnings.formatwarning
    warnings.formatwarning = partial(_warning, usual)
    try:
        command = parse_command(given)
        return int(command.run(command))
    except SystemExit as done:  # argparse, after --help and --version
        return int(done.code or 0)
    except BrokenPipeError:  # the reader of our output is gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except (EquipoiseError, OSError) as error:
        if "--debug" in given:
            raise
        code = error.exit_code if isinstance(error, EquipoiseError) else 1
        return _fail(_describe(error), code, alone=isinstance(error, TrainingError | OSError))
    except (MemoryError, RuntimeError) as error:
        if "--debug" in given or not _is_out_of_memory(error):
            raise
        return _fail(_describe_memory(error), 1, alone=True)
    finally:
        warnings.formatwarning = usual


def _warning(
    usual: Callable[..., str],
    message: Warning | str,
    category: type[Warning],
    filename: str,
    *place: Any,
) -> str:
    """Format a warning: ours are for the user of the command, without a line of code."""
    if Path(filename).is_relative_to(Path(equipoise.__file__).parent):
        return f"equipoise: warning: {printable(str(message))}\n"
    return usual(message, category, filename, *place)


def _describe(error: EquipoiseError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return shortened(
            f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        )
    return " ".join(str(error).split())


def _is_out_of_memory(error: MemoryError | RuntimeError) -> bool:
    """True for an error of memory, which PyTorch tells by the words of a RuntimeError."""
    words = str(error)
    told = "can't allocate memory" in words or "out of memory" in words
    return told or isinstance(error, MemoryError)


def _describe_memory(error: MemoryError | RuntimeError) -> str:
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
