"""The ranks of one training, and the exchange between them.

No other file imports torch.distributed.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor

from equipoise.errors import SIGNS, ConfigError, LostRankError, TrainingError

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

CPU = torch.device("cpu")


FROZEN = 45.0
"""Seconds without a sign of life after which a rank counts as frozen."""


@contextmanager
def answered() -> Iterator[None]:
    """Turn the failure of an exchange, which PyTorch reports at length, into one line.

    Raises:
        LostRankError: another rank ended or stopped answering.
    """
    try:
        yield
    except RuntimeError as error:
        raise LostRankError(
            "another rank of this training ended or stopped answering; go on from the last "
            "checkpoint with --resume"
        ) from error


@dataclass(frozen=True)
class Runtime:
    """This process among the ranks. With one rank every exchange is the identity and costs nothing.

    Attributes:
        rank: number of this process, from 0.
        world: number of ranks.
        device: the device of this rank.
    """

    rank: int = 0
    world: int = 1
    device: torch.device = CPU

    @property
    def main(self) -> bool:
        """True on the rank that writes files and prints messages."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over ranks, without gradient."""
        if self.world == 1:
            return tensor.detach()
        total = tensor.detach().clone()
        with answered():
            dist.all_reduce(total)
        return total

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over ranks; it can be differentiated any number of times."""
        if self.world == 1:
            return tensor
        mean: Tensor = _Mean.apply(tensor)  # type: ignore[no-untyped-call]
        return mean

    def gather(self, tensor: Tensor) -> Tensor:
        """The rows of all ranks, in the order of the ranks.

        Ranks may have unequal numbers of rows. It can be differentiated any number of times.
        """
        if self.world == 1:
            return tensor
        counts = torch.zeros(self.world, dtype=torch.int64, device=self.device)
        counts[self.rank] = len(tensor)
        with answered():
            dist.all_reduce(counts)
        gathered: Tensor = _Gather.apply(  # type: ignore[no-untyped-call]
            tensor, tuple(counts.tolist()), self.rank
        )
        return gathered

    def objects(self, value: Any) -> list[Any]:
        """The values of all ranks, in the order of the ranks. They are pickled."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        with answered():
            dist.all_gather_object(values, value)
        return values

    def any(self, flag: bool) -> bool:
        """True on every rank if it is True on at least one."""
        if self.world == 1:
            return flag
        # A number, not an object: this is asked in every step.
        total = torch.tensor(int(flag), device=self.device)
        with answered():
            dist.all_reduce(total)
        return bool(total)

    def barrier(self) -> None:
        """Wait until every rank has come here."""
        if self.world > 1:
            with answered():
                dist.barrier()


class _Mean(torch.autograd.Function):
    """The mean over ranks. Its derivative is itself."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        with answered():
            dist.all_reduce(total)
        return total / dist.get_world_size()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        result: Tensor = _Mean.apply(gradient)  # type: ignore[no-untyped-call]
        return result


class _Gather(torch.autograd.Function):
    """The rows of all ranks. Its derivative is `_Scatter`."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, rows: tuple[int, ...], rank: int) -> Tensor:
        ctx.rows = rows
        ctx.rank = rank
        # all_gather takes tensors of one shape only.
        padded = tensor.new_zeros(max(rows), *tensor.shape[1:])
        padded[: len(tensor)] = tensor
        parts = [torch.empty_like(padded) for _ in rows]
        with answered():
            dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, rows, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Scatter.apply(gradient, ctx.rows, ctx.rank), None, None  # type: ignore[no-untyped-call]


class _Scatter(torch.autograd.Function):
    """This rank's rows of the sum over ranks. Its derivative is `_Gather`."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, rows: tuple[int, ...], rank: int) -> Tensor:
        ctx.rows = rows
        ctx.rank = rank
        total = tensor.clone()
        with answered():
            dist.all_reduce(total)
        start = sum(rows[:rank])
        return total[start : start + rows[rank]]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Gather.apply(gradient, ctx.rows, ctx.rank), None, None  # type: ignore[no-untyped-call]


def pick_device(name: str, local_rank: int = 0) -> torch.device:
    """The device of a name.

    Args:
        name: "cpu", "cuda", or "auto" for a GPU where there is one.
        local_rank: number of this process on this machine, hence of its GPU.

    Raises:
        ConfigError: this machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        if not torch.cuda.is_available():
            raise ConfigError(
                "device 'cuda' was asked for, and PyTorch sees no GPU here; "
                "use device 'cpu' or 'auto'"
            )
        return torch.device("cuda", local_rank)
    if name != "cpu":
        raise ConfigError(f"'device' must be 'auto', 'cpu' or 'cuda', found {name!r}")
    return torch.device("cpu")


def start(device: str = "auto") -> Runtime:
    """Join the ranks that torchrun started; without torchrun this process is the only one."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Runtime(device=pick_device(device))
    place = pick_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if place.type == "cuda":
        torch.cuda.set_device(place)
    _give_signs(int(os.environ["RANK"]))
    if not dist.is_initialized():
        dist.init_process_group(
            "nccl" if place.type == "cuda" else "gloo", timeout=timedelta(minutes=10)
        )
    return Runtime(dist.get_rank(), world, place)


def stop() -> None:
    """Leave the group of ranks, if this process is in one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def leave(code: int) -> NoReturn:
    """End the process of this rank at once.

    Not by `sys.exit`: a thread of gloo may outlive the group, and the interpreter then aborts now
    and then while it shuts down. A finished training would be reported as failed.
    """
    if code != LostRankError.exit_code:  # a group that has lost a rank cannot be left in order
        stop()
    if SIGNS in os.environ:
        (Path(os.environ[SIGNS]) / os.environ["RANK"]).unlink(missing_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def inside_torchrun() -> bool:
    """True in a process that torchrun started."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def _give_signs(rank: int) -> None:
    """Touch a file every second, in a thread that ends with the process or freezes with it."""
    if SIGNS not in os.environ:
        return
    path = Path(os.environ[SIGNS]) / str(rank)
    path.write_text(str(os.getpid()), encoding="ascii")

    def touch() -> None:
        with suppress(OSError):  # the folder is gone, hence the process that watches
            while True:
                time.sleep(1)
                os.utime(path)

    threading.Thread(target=touch, daemon=True).start()


class _Watch(threading.Thread):
    """Ends a rank that gives no sign of life, so that torchrun notices.

    Args:
        folder: of the signs.
        patience: seconds without a sign. They are counted in looks of this thread, and not by the
            clock: a computer that slept has frozen no rank.
    """

    def __init__(self, folder: Path, patience: float) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.patience = patience
        self.frozen: int | None = None
        self.done = threading.Event()

    def run(self) -> None:
        last: dict[str, int] = {}
        still: dict[str, int] = {}
        while not self.done.wait(1):
            for path in self.folder.glob("*"):
                with suppress(OSError, ValueError):  # the rank has just ended
                    sign = path.stat().st_mtime_ns
                    same = sign == last.get(path.name)
                    still[path.name] = still.get(path.name, 0) + 1 if same else 0
                    last[path.name] = sign
                    if still[path.name] >= self.patience:
                        self.frozen = int(path.name)
                        os.kill(int(path.read_text(encoding="ascii")), signal.SIGKILL)
                        path.unlink(missing_ok=True)


def launch(
    devices: int,
    arguments: Sequence[str],
    device: str = "auto",
    *,
    patience: float = FROZEN,
    advice: Callable[[], str] = lambda: "start again",
) -> int:
    """Run `equipoise <arguments>` once per device under torchrun.

    Args:
        devices: number of ranks.
        arguments: of the command.
        device: kind of device, as for `pick_device`.
        patience: seconds without a sign of life after which a rank is ended.
        advice: says how to go on when a rank was lost.

    Returns:
        The exit code.

    Raises:
        TrainingError: a rank was killed, or gave no sign of life.
        ConfigError: the machine has fewer GPUs, or processor cores, than asked for.
    """
    # Not at the top: they take longer to import than a small training takes.
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    place = pick_device(device)
    available = torch.cuda.device_count() if place.type == "cuda" else os.cpu_count() or 1
    if not 1 <= devices <= available:
        kind = "GPUs" if place.type == "cuda" else "processor cores"
        raise ConfigError(
            f"--devices {devices}: this machine has {available} {kind}; "
            "give a number from 1 to that"
        )
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // devices)))
    logging.disable(logging.ERROR)  # the ranks print what is wrong themselves
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",  # a free port: a fixed one would be shared by two trainings
        local_addr="127.0.0.1",
        max_restarts=0,
        monitor_interval=0.1,
    )
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    with TemporaryDirectory() as signs:
        os.environ[SIGNS] = signs
        watch = _Watch(Path(signs), patience)
        watch.start()
        try:
            elastic_launch(config, sys.executable)("-m", "equipoise.cli", *arguments)
        except ChildFailedError as error:
            return _why(error, watch, advice())
        except SignalException:  # the ranks were sent the signal, and have checkpointed
            return 130
        finally:
            watch.done.set()
            del os.environ[SIGNS]
    return 0


def _why(error: ChildFailedError, watch: _Watch, advice: str) -> int:
    """The exit code of ranks that failed.

    Raises:
        TrainingError: a rank was lost, and no other rank can say so.
    """
    if watch.frozen is not None:
        raise TrainingError(
            f"rank {watch.frozen} gave no sign of life for {watch.patience:g} s and was ended; "
            f"{advice}"
        )
    codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
    for rank, code in codes.items():
        if code < 0:
            raise TrainingError(
                f"rank {rank} was ended by {signal.Signals(-code).name} (is the memory too small?);"
                f" {advice}"
            )
    if set(codes.values()) == {LostRankError.exit_code}:
        raise TrainingError(f"a rank stopped answering; {advice}")
    return next((code for code in codes.values() if code > 0), 1)
