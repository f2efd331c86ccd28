"""The context of a training: all that a method may use to change a parameter or its own memory.

Gradients, optimiser steps, random numbers and exchange between ranks go through it. That is why a
training gives the same weights on one rank and on several, and resumed as well as uninterrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.batch import Batch
from equipoise.data.table.loader import Loader
from equipoise.errors import ConfigError, EquipoiseError, TrainingError
from equipoise.evaluating import evaluating
from equipoise.model import Model
from equipoise.settings import OptimiserSettings
from equipoise.training.average import WeightAverage
from equipoise.training.checkpoint import finished_weights
from equipoise.training.cost import PassCounter
from equipoise.training.criterion import Criterion
from equipoise.training.epoch_loader import EpochLoader
from equipoise.training.finite import LossWatch, remedy, weights_complaint
from equipoise.training.gradients import average_gradients, gradient, sample_mean
from equipoise.training.journal import Journal, Loggable
from equipoise.training.observer import Observer, Silent
from equipoise.training.optimisers import SHARED, Optimisers
from equipoise.training.phase import Phase, Plan
from equipoise.training.position import Moment, Position, seed_generators
from equipoise.training.runtime import Runtime

T = TypeVar("T")


@dataclass
class Asked:
    """Whether a method has asked for what the settings say of the loss.

    Attributes:
        loss: it has asked for the loss of samples.
        weight: it has taken a mean with the weights of samples.
    """

    loss: bool = False
    weight: bool = False


class Context:
    """The context of a training, which its method and the training loop share.

    Args:
        model: on `runtime.device` already.
        train: loader of the training table.
        holdout: loader of a part cut from the training table, for methods that estimate something
            on data they do not train on; None where the method needs none.
        optimiser: settings of the optimisers, learning-rate schedules and average.
        epochs: length of the training.
        seed: seed of every random number.
        runtime: this process among the ranks.
        observer: validates and records at the end of an epoch.
        criterion: the loss of a sample.

    Attributes:
        rng: generator on the CPU that gives the same numbers on every rank.
        phase: the phase in progress.
        plan: all phases of the training.
        learning_rate: that of the last finished epoch.
        average: the moving average of the weights, by which the training is judged.
        position: how far the training has come.
        reading: the rows of the training table that an epoch reads.
        passes: counts the passes of the encoders.
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
        criterion: Criterion | None = None,
    ) -> None:
        self.model = model
        self.train = train
        self.holdout = holdout
        self.epochs = epochs
        self.seed = seed
        self.runtime = runtime or Runtime()
        self.observer = observer or Silent()
        self.optimisers = Optimisers(model, optimiser or OptimiserSettings(), epochs)
        self.average = WeightAverage(
            model, self.optimisers.groups, self.optimisers.settings.average
        )
        self.position = Position()
        self.phase = Phase(epochs)
        self.plan = Plan((self.phase,), model.modalities)
        self.learning_rate = 0.0
        self.rng = torch.Generator()
        self.journal = Journal()
        self.passes = PassCounter(model)
        self.reading = EpochLoader(train)
        self._remedy = remedy(self.optimisers.settings)
        self._losses = LossWatch(self._remedy)
        self._rows = torch.empty(0, dtype=torch.int64)
        self._criterion = criterion or Criterion()
        self._asked = Asked()
        self._weighs = False
        self._heard = False

    # --- for methods ---

    @property
    def epoch(self) -> int:
        """Number of the current epoch, from 0; also the number of epochs finished."""
        return self.position.epoch

    @property
    def training(self) -> tuple[str, ...]:
        """The modalities that train in this phase."""
        return self.phase.modalities or self.model.modalities

    def trained(self, modality: str) -> int:
        """Epochs in which this modality has trained; its learning-rate schedule counts these.

        Where all modalities train together this is `epoch`. Where they take turns, `epoch` counts
        the epochs of all of them.
        """
        return self.optimisers.trained(modality)

    def backward(self, loss: Tensor) -> None:
        """Back-propagate a loss, and average the gradients over ranks.

        A gradient is None afterwards only if it is None on every rank.

        Args:
            loss: scalar; one that no parameter reaches is allowed, since a rank may lack samples.

        Raises:
            TrainingError: the loss of a step before was not finite.
        """
        complaint = self._losses.due()
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
        """`torch.autograd.grad` averaged over ranks.

        Args:
            loss: scalar.
            parameters: with respect to which it is differentiated; the same on every rank.
            create_graph: the result can be differentiated again, by this same function.
            retain_graph: the loss can be differentiated again.

        Returns:
            A gradient for each parameter; zeros where the loss does not reach it.
        """
        return gradient(loss, parameters, self.runtime, create_graph, retain_graph)

    def sample_loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """The loss (B,) of each sample that the settings name: cross-entropy, or focal.

        Args:
            logits: (B, C).
            label: int64 (B,).
        """
        self._asked.loss = True
        return self._criterion(logits, label)

    def sample_mean(
        self, values: Tensor, where: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Mean of values over the samples of all ranks.

        Each rank gets its own part of the mean, scaled so that the average over ranks of the
        values, and of their gradients, is that of the whole batch. Without any sample it is 0.

        Args:
            values: (B, …), a row for each sample of this rank.
            where: bool (B,), the samples that count; None for all.
            weight: float (B,), how much each counts, as `batch.weight`, whose mean over the
                training samples is 1; None for all alike.

        Returns:
            Mean over the first dimension (…), Σ w v / n of the n samples that count. It is not
            divided by the weights of the batch: a batch of one class would then count as much
            whatever that class weighs.
        """
        self._asked.weight = self._asked.weight or weight is not None
        return sample_mean(values, where, self.runtime, weight)

    def mean_loss(
        self,
        logits: Tensor,
        label: Tensor,
        where: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """`sample_mean` of `sample_loss`, in one operation where the settings ask for no more.

        Args:
            logits: (B, C).
            label: int64 (B,).
            where: bool (B,), the samples that count; None for all.
            weight: float (B,), how much each counts; None for all alike.
        """
        plain = self._criterion.is_cross_entropy and where is None and weight is None
        if plain and self.runtime.world == 1 and len(label):
            self._asked.loss = True
            return F.cross_entropy(logits, label)
        return self.sample_mean(self.sample_loss(logits, label), where, weight)

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over ranks, without gradient."""
        return self.runtime.sum(tensor)

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over ranks; it can be differentiated twice."""
        return self.runtime.mean(tensor)

    def gather(self, tensor: Tensor) -> Tensor:
        """The rows of all ranks, in the order of the ranks; it can be differentiated twice."""
        return self.runtime.gather(tensor)

    def anyone_has(self, modality: str, batch: Batch) -> bool:
        """True if the modality is present in some sample of the batch, on any rank."""
        return self.runtime.any(batch.counts[modality] > 0)

    def present_in(self, batch: Batch) -> list[str]:
        """The training modalities that some sample of the batch has, on any rank."""
        return [m for m in self.training if self.anyone_has(m, batch)]

    def update(self, modalities: Sequence[str] | None = None) -> None:
        """Clip the gradients, step the optimisers, and clear the gradients.

        Args:
            modalities: their groups move, and the shared one; by default the modalities that train
                in this phase.
        """
        moving = self.training if modalities is None else modalities
        self.passes.moved(len(moving))
        # The batch in progress is not counted by the position yet.
        within = (self.position.batch + 1) / self.steps_per_epoch
        self.average.update(self.optimisers.step(moving, within))
        self.model.moved()

    def reset_optimisers(self, modalities: Sequence[str]) -> None:
        """Give these modalities fresh optimisers and learning-rate schedules."""
        self.optimisers.reset(modalities)

    def forget_momentum(self, groups: Sequence[str] | None = None) -> None:
        """Clear the momentum of groups; their learning-rate schedules go on.

        Args:
            groups: names of modalities, and `SHARED`; None for those that train in this phase and
                the shared one.
        """
        self.optimisers.forget([*self.training, SHARED] if groups is None else groups)

    def reload_best(self) -> None:
        """Load the weights of the best epoch so far.

        Before every modality has trained no epoch is the best, and the weights stay as they are.
        """
        best = self.observer.best_weights()
        if best is not None:
            self.model.load_state_dict(best)
            self.restart_average()

    def restart_average(self, modalities: Sequence[str] | None = None) -> None:
        """Begin the moving average of the weights anew, because they were replaced.

        A method that overwrites weights, instead of letting `update` move them, calls it after.

        Args:
            modalities: whose groups were overwritten; None for all groups and the shared one.
        """
        self.average.restart((*self.model.modalities, SHARED) if modalities is None else modalities)

    @property
    def adaptive(self) -> bool:
        """True under Adam and AdamW, whose steps do not change when all gradients are scaled."""
        return self.optimisers.settings.name != "sgd"

    def scale_learning_rate(self, modality: str, factor: float) -> None:
        """Multiply the learning rate of a modality's group by a factor from now on.

        Args:
            modality: the modality.
            factor: multiplies what the schedule gives; it replaces an earlier factor.
        """
        self.optimisers.scale(modality, factor)

    def weights_of(self, run: str) -> dict[str, Tensor]:
        """The model of another run at its best epoch, as a `state_dict`.

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

        Call it before an epoch starts. It holds until the next call, and is checkpointed.

        Args:
            rows: int64 (K,), K ≥ 1, the same on every rank; a row may occur any number of times.
            shown: {modality: bool (K,)}; a present cell is hidden where it is False. None hides
                nothing.
            shuffle: True for a new order in each epoch, False for the order of `rows`.

        Raises:
            ConfigError: the settings choose the rows too.
        """
        if self.train.balanced:
            raise ConfigError(
                "the method chooses the rows of an epoch itself; leave out --sampling balanced"
            )
        self.reading.draw(rows, shown, shuffle)

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in the current epoch."""
        return len(self.reading.loader)

    def log(self, **values: Loggable) -> None:
        """Record scalars, which are averaged over the epoch, or lists, of which the last counts."""
        self.journal.add({f"method/{name}": value for name, value in values.items()})

    def batches(self, loader: Loader, epoch: int | None = None) -> Iterator[Batch]:
        """Read any loader outside the steps, for an estimate.

        Args:
            loader: of a table; this rank reads its own rows.
            epoch: whose order of the rows a shuffling loader takes; the current one by default.

        Yields:
            Its batches, on this rank's device.
        """
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
            function: takes a batch on this rank's device.
            epoch: whose order of the rows a shuffling loader takes.
            limit: number of batches after which to stop; None for the whole table.

        Returns:
            The results, one for each batch.
        """
        with evaluating(self.model), self.passes.paused():
            return [function(batch) for batch in islice(self.batches(loader, epoch), limit)]

    # --- for the loop and the observer ---

    def seed_generators(self, moment: Moment) -> None:
        """Seed this rank's generators, and the one that all ranks share, for one moment.

        A resumed training must draw the numbers that an uninterrupted one draws. Seeding from the
        position, before every moment, makes them independent of everything drawn before.
        """
        seed_generators(
            self.rng, self.seed, self.position.step, moment, self.runtime.rank, self.runtime.device
        )

    def steps(self) -> Iterator[Batch]:
        """Yield the batches left in this epoch, in training mode, each with its own seed."""
        self.model.train()
        for batch in self.reading.loader.batches(self.epoch, self.position.batch):
            self.seed_generators("step")
            self._rows = batch.index
            self._weighs = batch.weight is not None
            self.passes.begin_step(self.position.batch)
            yield batch.to(self.runtime.device)
            self.passes.end_step()
            # Before the observer, whose checkpoint must not repeat the step that was just taken.
            self.position.batch += 1
            self.position.step += 1
            self.observer.after_step()

    def require_heard(self, method: str) -> None:
        """Check, after a step, that the method trains by the loss and the weights of the settings.

        The methods of this library say beforehand if they do not. This is for those of others,
        which would ignore such a setting without a word.

        Args:
            method: its name, for the message.

        Raises:
            ConfigError: it has not asked for what is set.
        """
        if self._heard or not self.phase.selectable:
            return  # the first stage of a method may have no use for labels
        self._heard = True
        if not self._criterion.is_cross_entropy and not self._asked.loss:
            raise ConfigError(
                f"method {method} has a loss of its own, which 'loss' and 'label_smoothing' do not "
                "change; leave them out (its author: take losses from ctx.sample_loss)"
            )
        if self._weighs and not self._asked.weight:
            raise ConfigError(
                f"method {method} does not weight samples, as 'class_weight' and 'data.weight' "
                "ask; leave them out (its author: give batch.weight to ctx.sample_mean)"
            )

    def end_epoch(self) -> None:
        """Validate, advance the learning rates, and let the observer record the epoch."""
        self.require_finite()
        self.synchronise_buffers()
        # The position advances first: the checkpoint that `record` writes is one of a finished
        # epoch, with learning rates that are those of the next.
        self.position.batch = 0
        self.position.epoch += 1
        self.position.phase_epoch += 1
        self.learning_rate = self.optimisers.learning_rate(self.training[0])
        # Before validation, after which an observer clears the journal.
        loss = self._epoch_loss() if self.optimisers.reads_loss else None
        metric = self.observer.validate()
        # The stages of a method have losses of their own, as modalities that train alone have.
        goal = f"{'+'.join(self.training)}, selectable: {self.phase.selectable}"
        self.optimisers.end_epoch(self.training, metric if loss is None else loss, goal)
        self.observer.record()

    def _epoch_loss(self) -> float:
        """The mean training loss of the epoch, over its steps and over ranks.

        Raises:
            TrainingError: the method back-propagates no loss.
        """
        found: list[Any] = self.runtime.objects(self.journal.mean("loss"))
        if None in found:
            raise TrainingError(
                "the schedule 'plateau' goes by the training loss, and this method back-propagates "
                "none; set --optimiser.plateau_on metric"
            )
        return float(sum(found) / len(found))

    def require_finite(self) -> None:
        """Check that the weights are worth keeping; a fault on one rank stops all ranks.

        Raises:
            TrainingError: the last loss, or a parameter after the last step, is not finite.
        """
        for found in self.runtime.objects(self.complaint()):
            if found:
                raise TrainingError(found)

    @contextmanager
    def blaming_numbers(self) -> Iterator[None]:
        """Turn an error of another library into the reason, if a loss or weight is not finite.

        Numbers that are not finite end in errors such as that of a decomposition that fails.

        Raises:
            TrainingError: the loss or a parameter is not finite.
        """
        try:
            yield
        except (ArithmeticError, RuntimeError, ValueError) as error:
            complaint = "" if isinstance(error, EquipoiseError) else self.complaint()
            if not complaint:
                raise
            raise TrainingError(complaint) from None

    def complaint(self) -> str:
        """A message if the last loss or a weight on this rank is not finite, else ""."""
        return self._losses.complaint() or weights_complaint(
            self.model, self.position, self._remedy
        )

    def read_journal(self) -> dict[str, Any]:
        """The values that the epoch logged, scalars averaged over ranks; the journal is cleared."""
        ranks = self.runtime.objects(self.journal.read())
        return {
            name: sum(values[name] for values in ranks) / len(ranks)
            if isinstance(value, float)
            else value
            for name, value in ranks[0].items()
        }

    def synchronise_buffers(self) -> None:
        """Average running statistics, such as those of BatchNorm, over ranks.

        Each rank has seen other samples. Evaluation and checkpoints need one and the same model.
        """
        if self.runtime.world > 1:
            for buffer in self.model.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(self.runtime.mean(buffer))
            self.average.synchronise(self.runtime)

    def state_dict(self) -> dict[str, Any]:
        return {
            "position": asdict(self.position),
            "optimisers": self.optimisers.state_dict(),
            "average": self.average.state_dict(),
            "journal": self.journal.state_dict(),
            "passes": self.passes.state_dict(),
            "drawn": self.reading.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = Position(**state["position"])
        self.optimisers.load_state_dict(state["optimisers"])
        self.average.load_state_dict(state["average"])
        self.journal.load_state_dict(state["journal"])
        self.passes.load_state_dict(state["passes"])
        self.reading.load_state_dict(state["drawn"])
