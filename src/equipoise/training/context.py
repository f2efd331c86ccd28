"""The one door to whatever changes a parameter: gradients, steps, randomness and exchange between ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from equipoise.batch import Batch
from equipoise.data.table.loader import Loader
from equipoise.errors import TrainingError
from equipoise.evaluating import evaluating
from equipoise.model import Model
from equipoise.settings import OptimiserSettings
from equipoise.training.checkpoint import finished_weights
from equipoise.training.cost import PassCounter
from equipoise.training.epoch_loader import EpochLoader
from equipoise.training.finite import LossWatch, weights_complaint
from equipoise.training.gradients import average_gradients, gradient, sample_mean
from equipoise.training.journal import Journal, Loggable
from equipoise.training.observer import Observer, Silent
from equipoise.training.optimisers import SHARED, Optimisers
from equipoise.training.phase import Phase
from equipoise.training.position import Moment, Position, seed_generators
from equipoise.training.runtime import Runtime

T = TypeVar("T")


class Context:
    """What a method is given.

    Args:
        model: on `runtime.device` already.
        train: loader of the training table.
        holdout: loader of a part cut from train, for methods that estimate on data; None where
            nobody asked for it.
        optimiser: how parameters move.
        epochs: length of the training.
        seed: of every random draw.
        runtime: this process among the ranks.
        observer: validates and records at the end of an epoch.

    Attributes:
        rng: generator on the CPU with the same stream on every rank.
        phase: the phase in progress.
        reading: what an epoch reads of the training table.
    """

    def __init__(
        self,
        model: Model,
        train: Loader,
        *,
        holdout: Loader | None = None,
        optimiser: OptimiserSettings | None = None,
        epochs: int = 1,
        seed: int = 0,
        runtime: Runtime | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.model = model
        self.train = train
        self.holdout = holdout
        self.epochs = epochs
        self.seed = seed
        self.runtime = runtime or Runtime()
        self.observer = observer or Silent()
        self.optimisers = Optimisers(model, optimiser or OptimiserSettings(), epochs)
        self.position = Position()
        self.phase = Phase(epochs)
        self.rng = torch.Generator()
        self.journal = Journal()
        self.passes = PassCounter(model)
        self.reading = EpochLoader(train)
        self._losses = LossWatch()
        self._rows = torch.empty(0, dtype=torch.int64)

    # --- what a method asks
    # -------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Epochs finished, hence the number of the current one, from 0."""
        return self.position.epoch

    @property
    def training(self) -> tuple[str, ...]:
        """The modalities that train in this phase."""
        return self.phase.modalities or self.model.modalities

    def trained(self, modality: str) -> int:
        """Epochs in which this modality has trained, as its learning rate counts them: of `epochs`
        in the end.

        It is `epoch` where all modalities train together; where they take turns that counts
        everybody's.
        """
        return self.optimisers.trained(modality)

    def backward(self, loss: Tensor) -> None:
        """Back-propagate, and average the gradients over ranks; a gradient is None only if None on every rank."""
        complaint = self._losses.complaint()
        if complaint:
            raise TrainingError(complaint)
        self._losses.note(loss, self.position, self._rows)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(self.model.parameters(), self.runtime)
        self.journal.add({"loss": loss})

    def gradient(
        self,
        loss: Tensor,
        parameters: Sequence[nn.Parameter],
        create_graph: bool = False,
        retain_graph: bool = False,
    ) -> tuple[Tensor, ...]:
        """`torch.autograd.grad` averaged over ranks, zeros for a parameter the loss does not reach.

        With `create_graph` the result can be differentiated again (through this same function).
        """
        return gradient(loss, parameters, self.runtime, create_graph, retain_graph)

    def sample_mean(self, values: Tensor, where: Tensor | None = None) -> Tensor:
        """Mean of per-sample values (B, …) over the samples of all ranks, or over those where
        `where` (B,) is True.

        The result is scaled so that the mean over ranks of its value, and of its gradient, is that
        of the whole batch. Without any sample it is 0.
        """
        return sample_mean(values, where, self.runtime)

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum over ranks, detached."""
        return self.runtime.sum(tensor)

    def mean(self, tensor: Tensor) -> Tensor:
        """Mean over ranks; differentiable twice."""
        return self.runtime.mean(tensor)

    def gather(self, tensor: Tensor) -> Tensor:
        """The rows of all ranks; differentiable twice."""
        return self.runtime.gather(tensor)

    def anyone_has(self, modality: str, batch: Batch) -> bool:
        """True if the modality is present in some sample of the batch, on any rank."""
        return self.runtime.any(batch.counts[modality] > 0)

    def present_in(self, batch: Batch) -> list[str]:
        """The training modalities that some sample of the batch has, on any rank."""
        return [m for m in self.training if self.anyone_has(m, batch)]

    def update(self, modalities: Sequence[str] | None = None) -> None:
        """Clip, step and clear the groups of these modalities (default: those of the phase) and the shared one."""
        moving = self.training if modalities is None else modalities
        self.passes.updates += len(moving)
        self.optimisers.step(moving)

    def reset_optimisers(self, modalities: Sequence[str]) -> None:
        """Fresh optimisers for these modalities."""
        self.optimisers.reset(modalities)

    def forget_momentum(self) -> None:
        """Momentum of the groups that train in this phase, and the shared one, starts afresh; schedules go on."""
        self.optimisers.forget([*self.training, SHARED])

    def reload_best(self) -> None:
        """Go back to the weights that validation liked best so far, if there are any."""
        best = self.observer.best_weights()
        if best is not None:
            self.model.load_state_dict(best)

    @property
    def adaptive(self) -> bool:
        """True under Adam and its kin, whose steps do not change when a gradient is multiplied by a constant."""
        return self.optimisers.settings.name != "sgd"

    def scale_learning_rate(self, modality: str, factor: float) -> None:
        """Multiply the learning rate of a modality's group by a factor from now on, below the schedule."""
        self.optimisers.scale(modality, factor)

    def weights_of(self, run: str) -> dict[str, Tensor]:
        """What another run has learned: its model at its best epoch, by names of
        `Model.state_dict`.

        Args:
            run: the folder of a finished run.

        Raises:
            RunError: it holds no finished run, or the weights are damaged.
        """
        return finished_weights(Path(run))

    def resample(
        self, rows: Tensor, shown: Mapping[str, Tensor] | None = None, shuffle: bool = True
    ) -> None:
        """Let the coming epochs read these rows of the training table instead of each row once.

        To be called before an epoch starts; it holds until the next call, and is checkpointed.

        Args:
            rows: int64 (K,), K ≥ 1, the same on every rank; a row may come any number of times.
            shown: {modality: bool (K,)}; a present cell is hidden where it is False. None hides
                nothing.
            shuffle: a new order each epoch; otherwise the order of `rows`.
        """
        self.reading.draw(rows, shown, shuffle)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of the current epoch."""
        return len(self.reading.loader)

    def log(self, **values: Loggable) -> None:
        """Record scalars (averaged over the epoch) or lists (the last one counts) under the method's name."""
        self.journal.add({f"method/{name}": value for name, value in values.items()})

    def batches(self, loader: Loader, epoch: int | None = None) -> Iterator[Batch]:
        """Batches of any loader on this rank's device, for estimates outside the steps."""
        for batch in loader.batches(self.epoch if epoch is None else epoch):
            yield batch.to(self.runtime.device)

    @torch.no_grad()
    def over(
        self,
        loader: Loader,
        function: Callable[[Batch], T],
        *,
        epoch: int = 0,
        limit: int | None = None,
    ) -> list[T]:
        """Apply a function to every batch of a table, in evaluation mode and without gradients.

        Running statistics stay as they are, and the passes are not counted as those of a step.

        Args:
            loader: of the table; this rank reads its own rows.
            function: of a batch on this rank's device.
            epoch: whose order of the rows a shuffling loader takes.
            limit: stop after so many batches; None for the whole table.

        Returns:
            The results, batch by batch.
        """
        with evaluating(self.model), self.passes.paused():
            return [function(batch) for batch in islice(self.batches(loader, epoch), limit)]

    # --- what the loop asks
    # -------------------------------------------------------------------------------------

    def seed_generators(self, moment: Moment) -> None:
        """Seed this rank's generators and the one that ranks share, for the draws of a moment of
        the training.

        A resumed training must draw the numbers that an uninterrupted one draws; seeding from the
        position before every moment makes them independent of all that was drawn before.
        """
        seed_generators(
            self.rng, self.seed, self.position.step, moment, self.runtime.rank, self.runtime.device
        )

    def steps(self) -> Iterator[Batch]:
        """The batches left in this epoch, in train mode, each with its own seed."""
        self.model.train()
        for batch in self.reading.loader.batches(self.epoch, self.position.batch):
            self.seed_generators("step")
            self._rows = batch.index
            self.passes.active = True
            yield batch.to(self.runtime.device)
            self.passes.active = False
            self.position.batch += 1
            self.position.step += 1
            self.observer.after_step()

    def end_epoch(self) -> None:
        """Validate, advance the learning rates, and let the observer write."""
        self.require_finite()
        self.synchronise_buffers()
        self.position.batch = 0
        self.position.epoch += 1
        self.position.phase_epoch += 1
        self.optimisers.end_epoch(self.training, self.observer.validate())
        self.observer.record()

    def require_finite(self) -> None:
        """See to it that the weights are worth keeping; whatever is wrong on one rank stops them
        all.

        Raises:
            TrainingError: the last loss, or a parameter after the last step, is not finite.
        """
        complaint = self._losses.complaint() or weights_complaint(self.model, self.position.step)
        for found in self.runtime.objects(complaint):
            if found:
                raise TrainingError(found)

    def read_journal(self) -> dict[str, Any]:
        """What the epoch logged, scalars averaged over ranks."""
        ranks = self.runtime.objects(self.journal.read())
        return {
            name: sum(values[name] for values in ranks) / len(ranks)
            if isinstance(value, float)
            else value
            for name, value in ranks[0].items()
        }

    def synchronise_buffers(self) -> None:
        """Average running statistics (BatchNorm's) over ranks, as evaluation and saving need them alike."""
        if self.runtime.world > 1:
            for buffer in self.model.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(self.runtime.mean(buffer))

    def state_dict(self) -> dict[str, Any]:
        return {
            "position": asdict(self.position),
            "optimisers": self.optimisers.state_dict(),
            "journal": self.journal.state_dict(),
            "passes": self.passes.state_dict(),
            "drawn": self.reading.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = Position(**state["position"])
        self.optimisers.load_state_dict(state["optimisers"])
        self.journal.load_state_dict(state["journal"])
        self.passes.load_state_dict(state["passes"])
        self.reading.load_state_dict(state["drawn"])
