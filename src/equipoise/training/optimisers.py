"""The optimisers of a model's parameter groups: a group for each modality, and a shared one.

Stepping one group does not affect the others. All groups that move together move in one fused call.

A schedule by steps, milestones or cosine counts the epochs in which its modality trains, and a
plateau schedule looks at these epochs. A warm-up counts them too, and the steps within an epoch.
The shared group trains with every modality: where M modalities take turns, M times as often as each
of them. A count of its own would run through the schedule M times too fast. Instead, the shared
group follows the modalities that it trains with, so that every modality meets the same learning
rates in the shared group as in its own.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.model import Model
from equipoise.settings import OptimiserSettings
from equipoise.training.rules import Memory, update_rule

SHARED = "shared"

# A smaller improvement, as a fraction of the best value, is none (PyTorch's `ReduceLROnPlateau`).
LEAST_IMPROVEMENT = 1e-4


@dataclass
class Plateau:
    """The state of a plateau schedule for one group.

    Attributes:
        best: smallest value so far under every goal. Losses of different goals do not compare: that
            of a modality alone, and that of all modalities together.
        waited: epochs since a value improved.
        drops: how often the learning rate has fallen.
    """

    best: dict[str, float] = field(default_factory=dict)
    waited: int = 0
    drops: int = 0

    def add(self, value: float, goal: str, step_size: int) -> None:
        """Count an epoch, and let the rate fall after `step_size` epochs without improvement.

        Args:
            value: of the epoch; smaller is better.
            goal: names what the value measures.
            step_size: epochs to wait.
        """
        best = self.best.get(goal, math.inf)
        if best == math.inf or value < best - LEAST_IMPROVEMENT * abs(best):
            self.best[goal] = value
            self.waited = 0
            return
        self.waited += 1
        if self.waited >= step_size:
            self.drops += 1
            self.waited = 0


class Optimisers:
    """The optimisers and learning-rate schedules of a model's groups.

    Args:
        model: its groups are those of the modalities, and "shared".
        settings: the same for every group.
        epochs: length of the cosine schedule, in epochs of a modality, of which the warm-up is a
            fraction. The learning rate of a modality that trains for longer stays at zero.
    """

    def __init__(self, model: Model, settings: OptimiserSettings, epochs: int) -> None:
        self.settings = settings
        self._epochs = epochs
        self._factors: dict[str, float] = {}
        self._trained: dict[str, int] = {}
        self._warmup = settings.warmup * epochs
        # Of the epoch that is in progress, for the warm-up; none has begun.
        self._within = 0.0
        self.groups: dict[str, list[nn.Parameter]] = {
            m: [p for p in (*model.group(m).encoder, *model.group(m).head) if p.requires_grad]
            for m in model.modalities
        }
        self.groups[SHARED] = [p for p in model.shared if p.requires_grad]
        self._rule = update_rule(settings)
        # Of the groups that have something to train.
        self._rates: dict[str, float] = {}
        self._memories: dict[str, list[Memory]] = {}
        self._plateaus: dict[str, Plateau] = {}
        self.reset(self.groups)

    def reset(self, names: Iterable[str]) -> None:
        """Give these groups fresh optimisers and schedules."""
        for name in names:
            self._trained[name] = 0
            self._plateaus[name] = Plateau()
            if self.groups[name]:
                self._rates[name] = self.settings.lr * self._factors.get(name, 1.0)
                self.forget([name])

    def forget(self, names: Iterable[str]) -> None:
        """Clear momentum and other averages of these groups; their schedules go on."""
        for name in names:
            if self.groups[name]:
                self._memories[name] = [{} for _ in self.groups[name]]

    def remembers(self, name: str) -> bool:
        """True if a group has momentum or other averages of its gradients."""
        return any(self._memories.get(name, ()))

    def scale(self, name: str, factor: float) -> None:
        """Multiply the learning rate of a group, now and as its schedule changes it, by a factor.

        Args:
            name: of the group.
            factor: replaces an earlier factor.
        """
        change = factor / self._factors.get(name, 1.0)
        self._factors[name] = factor
        if name in self._rates:
            self._rates[name] *= change

    @torch.no_grad()
    def step(self, modalities: Sequence[str], within: float = 1.0) -> list[str]:
        """Clip, step and clear the groups of these modalities and the shared one.

        A parameter whose gradient is None does not move.

        Args:
            modalities: their groups and the shared one move.
            within: fraction of the epoch's steps that are taken with this one, for the warm-up.

        Returns:
            The groups that have moved.
        """
        self._follow(modalities)
        names = [name for name in dict.fromkeys((*modalities, SHARED)) if name in self._rates]
        self._within = within
        for name in names:
            if self._trained[name] < self._warmup:
                self._set_rate(name)
        if self.settings.clip:
            moving = [p for name in names for p in self.groups[name] if p.grad is not None]
            torch.nn.utils.clip_grad_norm_(moving, self.settings.clip)
        # A fused call takes tensors of one device and type, and one learning rate.
        calls: dict[object, tuple[list[Tensor], list[Tensor], list[Memory], float]] = {}
        for name in names:
            rate = self._rates[name]
            kind: tuple[object, object] | None = None
            for parameter, memory in zip(self.groups[name], self._memories[name], strict=True):
                gradient = parameter.grad
                if gradient is None:
                    continue
                if kind != (kind := (gradient.device, gradient.dtype)):
                    call = calls.setdefault((rate, *kind), ([], [], [], rate))
                call[0].append(parameter)
                call[1].append(gradient)
                call[2].append(memory)
        for call in calls.values():
            self._rule(*call)
        for name in names:
            for parameter in self.groups[name]:
                parameter.grad = None
        return names

    def trained(self, name: str) -> int:
        """Epochs for which a group has trained since its last reset."""
        return self._trained[name]

    @property
    def reads_loss(self) -> bool:
        """True where the schedule goes by the training loss of an epoch."""
        return self.settings.schedule == "plateau" and self.settings.plateau_on == "loss"

    def end_epoch(self, modalities: Sequence[str], value: float, goal: str = "") -> None:
        """Advance the schedules of the groups that trained.

        Args:
            modalities: the modalities that trained.
            value: of the epoch, read by the plateau schedule: the training loss where `reads_loss`,
                else the validation metric.
            goal: names what the value measures; values of different goals are not compared.
        """
        self._within = 0.0
        for name in modalities:
            self._trained[name] += 1
            if self.settings.schedule == "plateau":
                smaller_is_better = value if self.reads_loss else -value
                self._plateaus[name].add(smaller_is_better, goal, self.settings.step_size)
            self._set_rate(name)
        self._follow(modalities)

    def forget_values(self) -> None:
        """Let plateau schedules start over, because they are given other values from now on."""
        for plateau in self._plateaus.values():
            plateau.best = {}
            plateau.waited = 0

    def learning_rate(self, name: str) -> float:
        """The current learning rate of a group, also of one that has nothing to train."""
        return self._rates[name] if name in self._rates else self._scheduled(name)

    def state_dict(self) -> dict[str, Any]:
        return {
            "rates": dict(self._rates),
            "memories": {
                # Of a parameter that has not moved yet there is nothing to save.
                name: {index: dict(memory) for index, memory in enumerate(memories) if memory}
                for name, memories in self._memories.items()
            },
            "plateaus": {name: asdict(p) for name, p in self._plateaus.items()},
            "trained": dict(self._trained),
            "factors": dict(self._factors),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._factors = dict(state["factors"])
        self._trained = dict(state["trained"])
        self._rates = dict(state["rates"])
        for name, parameters in self.groups.items():
            self.forget([name])
            for index, memory in state["memories"].get(name, {}).items():
                device = parameters[index].device
                self._memories[name][index] = {
                    kind: tensor.to(device, copy=True) for kind, tensor in memory.items()
                }
        self._plateaus = {name: Plateau(**p) for name, p in state["plateaus"].items()}

    def _follow(self, modalities: Sequence[str]) -> None:
        """Bring the shared group to where the modality stands that has come furthest."""
        if not modalities:
            return
        trained = max(self._trained[name] for name in modalities)
        drops = max(self._plateaus[name].drops for name in modalities)
        if (trained, drops) != (self._trained[SHARED], self._plateaus[SHARED].drops):
            self._trained[SHARED] = trained
            self._plateaus[SHARED].drops = drops
            self._set_rate(SHARED)

    def _set_rate(self, name: str) -> None:
        """Give a group the learning rate of its schedule.

        The rate is computed from counts, never from the rate before: a group that is advanced
        again, or restored from a checkpoint, has the same rate.
        """
        if self._scheduling and name in self._rates:
            self._rates[name] = self._scheduled(name)

    @property
    def _scheduling(self) -> bool:
        """True where learning rates change."""
        return self.settings.schedule != "none" or self._warmup > 0

    def _scheduled(self, name: str) -> float:
        """The learning rate that warm-up and schedule give to a group."""
        rate = self.settings.lr * self._factors.get(name, 1.0) * self._decay(name)
        if not self._warmup:
            return rate
        risen = min((self._trained[name] + self._within) / self._warmup, 1.0)
        start = self.settings.warmup_from
        return rate * (start + (1 - start) * risen)

    def _decay(self, name: str) -> float:
        """The factor of the schedule on the learning rate of a group."""
        trained = self._trained[name]
        if self.settings.schedule == "none":
            return 1.0
        if self.settings.schedule == "step":
            return self.settings.gamma ** (trained // self.settings.step_size)
        if self.settings.schedule == "milestones":
            return self.settings.gamma ** bisect_right(self.settings.milestones, trained)
        if self.settings.schedule == "plateau":
            return self.settings.gamma ** self._plateaus[name].drops
        return (1 + math.cos(math.pi * min(trained / self._epochs, 1.0))) / 2
