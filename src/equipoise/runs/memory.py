"""Peak memory of a run, although several runs may share a process."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

import torch

PROCESS = Path("/proc/self")


def forget_peak(device: torch.device) -> None:
    """Let the peak start anew from what is held now, where the system allows it (CUDA, Linux)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):
        (PROCESS / "clear_refs").write_text("5")


def peak_memory(device: torch.device) -> float:
    """MB: tensors on a CUDA device, else all of the process, at the worst moment since `forget_peak`."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    with suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+) kB", (PROCESS / "status").read_text())
        if found:
            return int(found[1]) / 2**10
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 2**10
    )
