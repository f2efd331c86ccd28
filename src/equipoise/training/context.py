"""The one door to whatever changes a parameter: gradients, steps, randomness and exchange between ranks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.batch import Batch, Output
from equipoise.data.loader import Loader
from equipoise.errors import TrainingError
from equipoise.evaluating import evaluating
from equipoise.methods.base import Method, Phase
from equipoise.model import Model
from equipoise.settings import OptimiserSettings
from equipoise.training.checkpoint import finished_weights
from equipoise.training.cost import PassCounter
from equipoise.training.finite import LossWatch, weights_complaint
from equipoise.training.gradients import average_gradients, gradient, sample_mean
from equipoise.training.journal import Journal, Loggable
from equipoise.training.observer import Observer, Silent, Trial
from equipoise.training.optimisation import SHARED, Optimisers
from equipoise.training.position import Position, seed_generators
from equipoise.training.reading import Reading
from equipoise.training.runtime import Runtime


class Context:
    """What a method is given.

    Args:
        model: on `runtime.device` already.
        train: loader of the training table.
        holdout: loader of a part cut from train, for methods that estimate on data; None where nobody asked for it.
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
        self.reading = Reading(train)
        self._losses = LossWatch()
        self._rows = torch.empty(0, dtype=torch.int64)

    # --- what a method asks -------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Epochs finished, hence the number of the current one, from 0."""
        return self.position.epoch

    @property
    def training(self) -> tuple[str, ...]:
        """The modalities that train in this phase."""
        return self.phase.modalities or self.model.modalities

    def trained(self, modality: str) -> int:
        """Epochs in which this modality has trained, as its learning rate counts them: of `epochs` in the end.

        It is `epoch` where all modalities train together; where they take turns that counts everybody's.
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
        """Mean of per-sample values (B, …) over the samples of all ranks, or over those where `where` (B,) is True.

        The result is scaled so that the mean over ranks of its value, and of its gradient, is that of the whole
        batch. Without any sample it is 0.
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

    def fork(
        self, model: Model | None = None, optimiser: OptimiserSettings | None = None, epochs: int | None = None
    ) -> Context:
        """A copy to try things on, at the start of an epoch: what happens to it leaves this training as it is.

        Model, optimisers and schedules are copies; loaders, ranks and the seed are the same. Its passes are not
        counted, its "validation" is the training loss, and a signal stops this training, from where it stands.

        Args:
            model: to train instead of the copy, by fresh optimisers.
            optimiser: settings of these; the training's own by default.
            epochs: length of the learning-rate schedules; the training's own by default.
        """
        other = model
        if other is None:
            with self.passes.detached():  # its hooks would be copied with the model
                other = copy.deepcopy(self.model)
        twin = Context(
            other,
            self.train,
            holdout=self.holdout,
            optimiser=optimiser or self.optimisers.settings,
            epochs=epochs or self.epochs,
            seed=self.seed,
            runtime=self.runtime,
            observer=Trial(self),
        )
        twin.passes.close()
        if model is None:
            twin.optimisers.load_state_dict(copy.deepcopy(self.optimisers.state_dict()))
            twin.optimisers.forget_metric()
        twin.position, twin.phase = replace(self.position), self.phase
        twin.rng.set_state(self.rng.get_state())
        return twin

    @torch.no_grad()
    def loss_on(self, loader: Loader, losses: Callable[[Output, Batch], Tensor]) -> Tensor:
        """Means over a whole table, in evaluation mode, without gradients.

        Args:
            loader: of the table, in any order.
            losses: of a batch, (B,) or (B, K); NaN where a sample does not count.

        Returns:
            The mean over the samples of all ranks, () or (K,); NaN where none counts.
        """
        total: Tensor | None = None
        with evaluating(self.model), self.passes.paused():
            for batch in self.batches(loader, epoch=0):
                values = losses(self.model(batch), batch).double()
                known = ~values.isnan()
                part = torch.stack([torch.where(known, values, 0.0).sum(0), known.double().sum(0)])
                total = part if total is None else total + part
        assert total is not None, "a loader has at least one batch"
        whole = self.sum(total)
        return whole[0] / whole[1]

    def weights_of(self, run: str) -> dict[str, Tensor]:
        """What another run has learned: its model at its best epoch, by names of `Model.state_dict`.

        Args:
            run: the folder of a finished run.

        Raises:
            RunError: it holds no finished run, or the weights are damaged.
        """
        return finished_weights(Path(run))

    def resample(self, rows: Tensor, shown: Mapping[str, Tensor] | None = None, shuffle: bool = True) -> None:
        """Let the coming epochs read these rows of the training table instead of each row once.

        To be called before an epoch starts; it holds until the next call, and is checkpointed.

        Args:
            rows: int64 (K,), K ≥ 1, the same on every rank; a row may come any number of times.
            shown: {modality: bool (K,)}; a present cell is hidden where it is False. None hides nothing.
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

    # --- what the loop asks -------------------------------------------------------------------------------------

    def phases(self, method: Method, epochs: int) -> Iterator[Phase]:
        """The phases not yet finished; the one in progress first."""
        for number, phase in enumerate(method.phases(epochs)):
            if number < self.position.phase:
                continue
            if self.observer.stopped():
                return
            self.phase = phase
            yield phase
            self.position.phase, self.position.phase_epoch = number + 1, 0

    def starts_phase(self) -> bool:
        """True at the beginning of a phase, False when a checkpoint was taken inside it."""
        self._seed_generators(1)
        return self.position.phase_epoch == 0 and self.position.batch == 0

    def wants_epoch(self) -> bool:
        """True while the phase has an epoch left."""
        self._seed_generators(3)
        return self.position.phase_epoch < self.phase.epochs and not self.observer.stopped()

    def starts_epoch(self) -> bool:
        """True at the beginning of an epoch, False when a checkpoint was taken inside it."""
        self._seed_generators(2)
        return self.position.batch == 0

    def steps(self) -> Iterator[Batch]:
        """The batches left in this epoch, in train mode, each with its own seed."""
        self.model.train()
        for batch in self.reading.loader.batches(self.epoch, self.position.batch):
            self._seed_generators(0)
            self._rows = batch.index
            self.passes.active = True
            yield batch.to(self.runtime.device)
            self.passes.active = False
            self.position.batch += 1
            self.position.step += 1
            self.observer.after_step(self)

    def end_epoch(self) -> None:
        """Validate, advance the learning rates, and let the observer write."""
        self.require_finite()
        self.synchronise_buffers()
        self.position.batch = 0
        self.position.epoch += 1
        self.position.phase_epoch += 1
        self.optimisers.end_epoch(self.training, self.observer.validate(self))
        self.observer.record(self)

    def require_finite(self) -> None:
        """See to it that the weights are worth keeping; whatever is wrong on one rank stops them all.

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
            name: sum(values[name] for values in ranks) / len(ranks) if isinstance(value, float) else value
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

    # ------------------------------------------------------------------------------------------------------------

    def _seed_generators(self, kind: int) -> None:
        seed_generators(self.rng, self.seed, self.position.step, kind, self.runtime.rank, self.runtime.device)
