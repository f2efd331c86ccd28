"""The peak memory of one run, although several runs may share a process."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

import torch

PROCESS = Path("/proc/self")


def forget_peak(device: torch.device) -> None:
    """Reset the peak to the memory that is held now, where the system can do so (CUDA, Linux)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):
        (PROCESS / "clear_refs").write_text("5")


def peak_memory(device: torch.device) -> float:
    """The highest memory use since `forget_peak`, in MB.

    On a CUDA device it counts the tensors there, else the whole process. Where the system cannot
    reset the peak, it is the highest use since the process started.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    with suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+) kB", (PROCESS / "status").read_text())
        if found:
            return int(found[1]) / 2**10
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
