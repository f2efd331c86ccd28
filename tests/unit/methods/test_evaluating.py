"""Questions to a network during training: answered as in evaluation, unnoticed by training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.evaluating import evaluating
from equipoise.heads.base import Head
from equipoise.methods.balance.agm import AGM
from equipoise.methods.balance.compose import with_the_others
from equipoise.methods.balance.pmr import Prototypes
from equipoise.methods.parts.frozen_encoders import FrozenEncoders
from equipoise.methods.parts.projection.flat import FlatMemory
from equipoise.methods.parts.reconstruction import encoded_aside
from equipoise.methods.parts.table_values import read_features, table_means, table_values
from equipoise.methods.parts.teacher import Teacher
from equipoise.runs.frozen_features import cache_features
from equipoise.testing.world import World, differing, snapshot
from equipoise.training.context import Context


class Unsteady(nn.Module):
    """An encoder whose features in training depend on the other rows, and on chance."""

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.width, self.encoder, self.dropout = width, encoder, nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(width, affine=False)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2.0)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.dropout(self.norm(self.encoder(inputs)))

    backbone_features = forward


def unsteady(seed: int) -> Context:
    """A training of three such encoders, one of which is not quite in training mode."""
    ctx = World("joint", 3, seed % 9999, head="late", missing=0.2).build()[1]
    for modality, encoder in ctx.model.encoders.items():
        ctx.model.encoders[modality] = Unsteady(encoder, ctx.model.head.widths[modality])
    ctx.model.train()
    ctx.model.encoders["beta"].dropout.eval()
    return ctx


def first(ctx: Context) -> Batch:
    return next(ctx.batches(ctx.train))


def joined(features: dict[str, Tensor]) -> Tensor:
    return torch.cat([features[m] for m in sorted(features)], 1)


def prototypes(ctx: Context) -> Tensor:
    memory = Prototypes(ctx.model.head.widths, ctx.model.head.classes, torch.float32)
    memory.take(ctx, 1.0, 0.0)
    return memory.means


def values(ctx: Context) -> Tensor:
    return table_values(ctx, ctx.train, lambda output, batch: output.fused)


def losses(ctx: Context) -> Tensor:
    return table_means(
        ctx,
        ctx.train,
        lambda output, batch: F.cross_entropy(output.fused, batch.label, reduction="none"),
    )


def features(ctx: Context) -> Tensor:
    return joined(read_features(ctx).features)


def aside(ctx: Context) -> Tensor:
    return joined(encoded_aside(ctx.model, first(ctx)))


def others(ctx: Context) -> Tensor:
    return joined(with_the_others((), Output({}, {}, torch.empty(0)), first(ctx), ctx).features)


def blank(ctx: Context) -> Tensor:
    return joined(AGM().blank(ctx.model.modalities, first(ctx), ctx)[0])


def directions(ctx: Context) -> Tensor:
    memory = FlatMemory({"alpha": [ctx.model.head.blocks["alpha"]]}, 0.4)
    memory.collect("alpha", ctx, ctx.train)
    (found,) = memory.buffers()
    return found


def taught(ctx: Context) -> Tensor:
    teacher = Teacher(ctx.model)
    before = snapshot(teacher)
    found = teacher.answer(lambda model, batch: joined(model.encode(batch)), first(ctx))
    assert not differing(before, snapshot(teacher)), "the copy learns no statistics either"
    return found


class Fitted(FrozenEncoders[Head]):
    """Keeps what it is to fit its head to."""

    kind = Head

    def encoder_loss(self, *_: object) -> Tensor:
        raise AssertionError("the encoders are frozen")

    def fit(self, features: dict[str, Tensor], batch: Batch, ctx: Context) -> None:
        self.seen = joined(features)


def fitted(ctx: Context) -> Tensor:
    method, ctx.position.phase = Fitted(0.5), 1
    method.step(first(ctx), ctx)
    assert not method.seen.requires_grad
    return method.seen


ASKED = [prototypes, values, losses, features, aside, others, blank, directions, taught, fitted]


@pytest.mark.parametrize("ask", ASKED)
def test_training_asks_as_evaluation_does_and_goes_on_as_before(
    seed: int, ask: Callable[[Context], Tensor]
) -> None:
    ctx = unsteady(seed)
    before, modes = snapshot(ctx.model), [part.training for part in ctx.model.modules()]
    found = ask(ctx)
    assert not differing(before, snapshot(ctx.model)), "running statistics stay"
    assert [part.training for part in ctx.model.modules()] == modes
    ctx.model.eval()
    assert torch.equal(found, ask(ctx))
    assert not any(part.training for part in ctx.model.modules())


def test_features_are_cached_in_evaluation_mode(seed: int, tmp_path: Path) -> None:
    ctx, splits = unsteady(seed), World("joint", 3, seed % 9999).data()
    ctx.model.encoders["alpha"].frozen = True
    before, modes = snapshot(ctx.model), [part.training for part in ctx.model.modules()]
    cached = cache_features(splits, ctx.model, tmp_path, torch.device("cpu"))
    assert not differing(before, snapshot(ctx.model))
    assert [part.training for part in ctx.model.modules()] == modes
    rows = np.random.default_rng().permutation(len(splits.train))
    found, plain = (s.train.rows(rows).inputs["alpha"] for s in (cached, splits))
    with torch.no_grad():
        torch.testing.assert_close(found["feature"], ctx.model.encoders["alpha"].eval()(plain))


def test_modes_come_back_after_an_exception_too(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", {"a": 3, "b": 4})
    for part in model.modules():
        part.training = bool(torch.rand(()) < 0.5)
    chosen = (model.encoders["a"], model.head)
    modes, inside = [part.training for part in model.modules()], []

    def fail() -> None:
        with evaluating(*chosen):
            inside.extend(part.training for part in model.modules())
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        fail()
    parts = {part for module in chosen for part in module.modules()}
    assert inside == [
        m and part not in parts for part, m in zip(model.modules(), modes, strict=True)
    ]
    assert [part.training for part in model.modules()] == modes


def test_gradients_flow_in_evaluation_mode(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", {"a": 3, "b": 4})
    with evaluating(model):
        model(world.batch({"a": 3, "b": 4})).fused.sum().backward()
    assert all(p.grad is not None for p in model.encoders.parameters())
