"""Two processes against one: the same parameters, whatever the method and whoever lacks a modality."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from equipoise.testing.world import World, farthest, snapshot
from equipoise.training import runtime

ROUNDING = 1e-7
"""How far apart the order of float64 sums may leave two trainings: 1e-12 as a rule, but a hundred passes of a small
network (DCCA's) have been seen to make 2e-8 of it. What ranks forgot to exchange shows from 1e-4 on."""


def rank_difference(worlds: Sequence[World], ranks: int = 2) -> list[float]:
    """Train each world once in this process and once over several gloo ranks.

    All of them share one start of the processes, which is what takes time.

    Returns:
        The largest absolute difference of a parameter or of the method's memory, per world.
    """
    with tempfile.TemporaryDirectory() as scratch:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        spawn(_train, (ranks, port, list(worlds), scratch), nprocs=ranks)  # type: ignore[no-untyped-call]
        differences = []
        for number, world in enumerate(worlds):
            alone = _state(world, runtime.Runtime())
            ends = [torch.load(Path(scratch) / f"{number}-{rank}.pt", weights_only=True) for rank in range(ranks)]
            differences.append(max(farthest(alone, end) for end in ends))
        return differences


def _train(rank: int, ranks: int, port: int, worlds: list[World], scratch: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(
        WORLD_SIZE=str(ranks), RANK=str(rank), LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    here = runtime.start("cpu")
    for number, world in enumerate(worlds):
        torch.save(_state(world, here), Path(scratch) / f"{number}-{rank}.pt")
    runtime.leave(0)


def _state(world: World, here: runtime.Runtime) -> dict[str, Tensor]:
    method, ctx = world.train(here)
    memory = {f"method.{name}": value for name, value in snapshot(method).items()}
    return {**snapshot(ctx.model), **memory}
