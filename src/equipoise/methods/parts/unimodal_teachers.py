"""Teachers that were trained on one modality each, from the start of the network they teach."""

from __future__ import annotations

import copy

import torch
from torch import nn

from equipoise.batch import Batch, Output
from equipoise.heads.linear import Late as LateHead
from equipoise.methods.baselines.late import Late
from equipoise.model import Model
from equipoise.training.context import Context
from equipoise.training.phase import Phase
from equipoise.training.trial import fork, try_out


def make_teachers(ctx: Context) -> Model:
    """Copies of the encoders, with a linear classifier for each; not trained yet.

    Their passes are counted as those of the model.
    """
    # Copied without their counters: the passes of the teachers are counted once, below.
    with ctx.passes.detached():
        encoders = copy.deepcopy(ctx.model.encoders)
    head = ctx.model.head
    teachers = Model(
        dict(encoders.items()), LateHead(head.widths, head.classes), ctx.model.precision
    )
    teachers.to(next(ctx.model.parameters()))
    ctx.passes.attach(teachers)
    return teachers


def train_teachers(teachers: Model, epochs: int, ctx: Context) -> None:
    """Train each alone, from the encoders as they are now and classifiers of zeros.

    The optimiser and its schedule are those of the training, over this number of epochs.
    """
    teachers.encoders.load_state_dict(ctx.model.encoders.state_dict())
    for parameter in teachers.head.parameters():
        nn.init.zeros_(parameter)
    try_out(fork(ctx, teachers, epochs=epochs), Late(), Phase(epochs))


@torch.no_grad()
def ask(teachers: Model, batch: Batch) -> Output:
    """Features and logits of the teachers, in evaluation mode."""
    teachers.eval()
    answer: Output = teachers(batch)
    return answer
