"""A comparison of a training in several processes with the same training in one."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Sequence
from multiprocessing import current_process
from pathlib import Path

import torch
from torch import Tensor
from torch.multiprocessing.spawn import ProcessExitedException, spawn

from equipoise.encoders import ENCODERS
from equipoise.errors import ConfigError
from equipoise.heads import HEADS
from equipoise.methods import METHODS
from equipoise.registry import Entry
from equipoise.testing.world import World, farthest, snapshot
from equipoise.training import runtime

ROUNDING = 1e-7
"""Largest difference of two trainings that the order of float64 sums can explain. It is usually
1e-12, but a hundred passes of a small network (DCCA's) have been seen to turn it into 2e-8. A value
that ranks forgot to exchange makes a difference of 1e-4 or more."""

REGISTRIES = (METHODS, HEADS, ENCODERS)


def rank_difference(worlds: Sequence[World], ranks: int = 2) -> list[float]:
    """Train each world once in this process and once over several gloo ranks.

    All worlds share one start of the processes, since the start takes most of the time.

    Returns:
        The largest absolute difference of a parameter or of the method's memory, per world.

    Raises:
        ConfigError: a rank died, as it does where the calling script is not guarded.
    """
    # A new process does not know entries that were added at run time.
    entries = [list(registry) for registry in REGISTRIES]
    with tempfile.TemporaryDirectory() as scratch:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        try:
            spawn(_train, (ranks, port, list(worlds), scratch, entries), nprocs=ranks)  # type: ignore[no-untyped-call]
        except ProcessExitedException as error:
            raise ConfigError(
                f"a rank died ({error}); every rank imports the calling script, "
                "so check a method there under if __name__ == '__main__':"
            ) from None
        differences = []
        for number, world in enumerate(worlds):
            alone = _state(world, runtime.Runtime())
            ends = [
                torch.load(Path(scratch) / f"{number}-{rank}.pt", weights_only=True)
                for rank in range(ranks)
            ]
            differences.append(max(farthest(alone, end) for end in ends))
        return differences


def leave_if_starting() -> None:
    """End a rank that came here by importing the calling script.

    The process that started it raises the error.
    """
    if getattr(current_process(), "_inheriting", False):  # the flag that multiprocessing checks
        raise SystemExit(1)


def _train(
    rank: int, ranks: int, port: int, worlds: list[World], scratch: str, entries: list[list[Entry]]
) -> None:
    torch.set_num_threads(1)
    for registry, known in zip(REGISTRIES, entries, strict=True):
        for entry in known:
            registry.add(entry)
    os.environ.update(
        WORLD_SIZE=str(ranks),
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    here = runtime.start("cpu")
    for number, world in enumerate(worlds):
        torch.save(_state(world, here), Path(scratch) / f"{number}-{rank}.pt")
    runtime.leave(0)


def _state(world: World, here: runtime.Runtime) -> dict[str, Tensor]:
    method, ctx = world.train(here)
    memory = {f"method.{name}": value for name, value in snapshot(method).items()}
    with ctx.average.applied():
        averaged = {f"average.{name}": value for name, value in snapshot(ctx.model).items()}
    return {**snapshot(ctx.model), **averaged, **memory}
