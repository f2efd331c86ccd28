"""Methods in two phases: a teacher trains on all content, then a student on the content shown."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from equipoise.batch import Batch
from equipoise.checks import flag, inside, not_negative, require
from equipoise.evaluating import evaluating
from equipoise.methods.parts.own_head import H, OwnHead
from equipoise.methods.parts.reconstruction import clip_networks
from equipoise.methods.parts.snapshot import Snapshot
from equipoise.model import Model
from equipoise.training.context import Context
from equipoise.training.phase import Phase

T = TypeVar("T")


class Teacher(Snapshot):
    """A frozen copy of a model, which answers as the model would have when it was taken.

    Args:
        model: to copy. Only the copy is registered here.
    """

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._model = (model,)  # a tuple is not registered
        self._names = [f"model.{name}" for name in model.state_dict()]

    @torch.no_grad()
    def answer(self, question: Callable[[Model, Batch], T], batch: Batch) -> T:
        """`question(model, batch)`, in evaluation mode and with the weights of the copy.

        The passes are counted as those of the model.
        """
        (model,) = self._model
        weights = dict(zip(self._names, self.buffers(), strict=True))
        with evaluating(model):
            found: T = functional_call(_Asked(model, question), weights, (batch,))
        return found


class _Asked(nn.Module):
    """A question about a model as a module of its own, which `functional_call` needs."""

    def __init__(self, model: Model, question: Callable[[Model, Batch], object]) -> None:
        super().__init__()
        self.model = model
        self.question = question

    def forward(self, batch: Batch) -> object:
        return self.question(self.model, batch)


class TeacherStudent(OwnHead[H]):
    """Base of a method that trains a teacher first, and then a student from the same weights.

    Args:
        teacher: fraction of the epochs that train the teacher; it gets at least one epoch where
            there are two.
        include_complete: let the student see complete samples too; false is the published draw.
        clip: largest norm of the gradient of each encoder and each part of the head, 1 as
            published; 0 for no limit.
    """

    teacher: Teacher

    def __init__(self, teacher: float, include_complete: bool, clip: float = 0.0) -> None:
        super().__init__()
        require(
            type(self).__name__,
            inside("teacher", teacher, "[0, 1)"),
            not_negative("clip", clip),
            flag("include_complete", include_complete),
        )
        self.teacher_fraction = teacher
        self.include_complete = include_complete
        self.clip = clip

    def setup(self, ctx: Context) -> None:
        super().setup(ctx)
        self.teacher = Teacher(ctx.model)

    def phases(self, epochs: int) -> Iterator[Phase]:
        first = min(max(round(self.teacher_fraction * epochs), 1), epochs - 1)
        # The student is what predicts, and it has not begun.
        yield Phase(first, selectable=False)
        yield Phase(epochs - first)

    def on_phase_end(self, ctx: Context) -> None:
        if ctx.position.phase == 0:
            self.teacher.take()

    @abstractmethod
    def teach(self, batch: Batch, ctx: Context) -> Tensor:
        """The teacher's loss, on the batch with all its content."""

    @abstractmethod
    def study(self, batch: Batch, ctx: Context) -> Tensor:
        """The student's loss."""

    def step(self, batch: Batch, ctx: Context) -> None:
        teaching = ctx.position.phase == 0
        ctx.backward(self.teach(batch.revealed(), ctx) if teaching else self.study(batch, ctx))
        clip_networks(self.clip, ctx)
        ctx.update()
