"""The loss of a sample, the weighted mean, and what both do in a training."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.batch import Batch
from equipoise.errors import ConfigError
from equipoise.methods.baselines.joint import Joint
from equipoise.methods.parts.losses import mean_loss
from equipoise.testing.world import differing, snapshot
from equipoise.training.context import Context
from equipoise.training.criterion import Criterion
from equipoise.training.loop import fit
from equipoise.training.method import Method

INPUTS = {2: {"a": 3, "b": 4}, 3: {"a": 3, "b": 4, "c": 2}}


def weighted(batch: Batch, weight: torch.Tensor) -> Batch:
    return Batch(batch.inputs, batch.present, batch.label, batch.index, weight=weight)


def test_without_gamma_and_smoothing_it_is_the_cross_entropy_bit_for_bit():
    logits, label = 5 * torch.randn(40, 6), torch.randint(6, (40,))
    expected = F.cross_entropy(logits, label, reduction="none")
    assert torch.equal(Criterion()(logits, label), expected)
    assert torch.equal(Criterion(focal_gamma=0.0)(logits, label), expected)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_the_focal_loss(gamma):
    logits, label = 3 * torch.randn(30, 4).double(), torch.randint(4, (30,))
    p = logits.softmax(1)[torch.arange(30), label]
    found = Criterion(gamma)(logits, label)
    torch.testing.assert_close(found, -((1 - p) ** gamma) * p.log())
    assert (found <= F.cross_entropy(logits, label, reduction="none")).all()


def test_smoothing_is_that_of_torch_and_combines_with_gamma():
    logits, label = torch.randn(30, 4).double(), torch.randint(4, (30,))
    smooth = F.cross_entropy(logits, label, reduction="none", label_smoothing=0.2)
    torch.testing.assert_close(Criterion(0.0, 0.2)(logits, label), smooth)
    p = logits.softmax(1)[torch.arange(30), label]
    torch.testing.assert_close(Criterion(2.0, 0.2)(logits, label), (1 - p) ** 2 * smooth)


def test_a_certain_prediction_has_finite_gradients():
    logits = torch.tensor([[80.0, 0, 0], [200.0, 0, 0]], requires_grad=True)
    Criterion(0.5)(logits, torch.tensor([0, 1])).sum().backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("count", [2, 3])
def test_class_weights_are_those_of_torch(world: SimpleNamespace, count: int) -> None:
    model = world.model("concat", INPUTS[count])
    batch = world.batch(INPUTS[count], rows=20)
    of_class = torch.rand(world.classes) + 0.1
    # Divided by their mean over the training samples, which are this batch.
    weight = of_class[batch.label] / of_class[batch.label].mean()
    batch = weighted(batch, weight)
    ctx = world.context(model, [batch])
    output = model(batch)
    expected = F.cross_entropy(output.fused, batch.label, weight=of_class)
    torch.testing.assert_close(Joint().loss(output, batch, ctx), expected)


def test_weights_and_presence_combine(world: SimpleNamespace) -> None:
    ctx = world.context(world.model("sum", INPUTS[2]), [])
    values, where, weight = torch.randn(9, 2), torch.rand(9) < 0.6, torch.rand(9)
    where[0] = True
    expected = (values * weight[:, None])[where].mean(0)
    torch.testing.assert_close(ctx.sample_mean(values, where, weight), expected)
    hidden = torch.where(where[:, None], values, torch.nan)
    torch.testing.assert_close(ctx.sample_mean(hidden, where, weight), expected)
    assert (ctx.sample_mean(values, where, torch.zeros(9)) == 0).all()


def test_batches_of_one_class_count_by_its_weight(world: SimpleNamespace) -> None:
    """The mean over batches is that over all samples, however the rare class falls on them."""
    ctx = world.context(world.model("sum", INPUTS[2]), [])
    label = torch.arange(40) % 20 == 0
    weight = torch.where(label, 1000.0, 1.0)
    weight = weight / weight.mean()
    losses = torch.rand(40)
    order = torch.randperm(40)
    parts = [ctx.sample_mean(losses[rows], weight=weight[rows]) for rows in order.split(4)]
    expected = (weight * losses).sum() / weight.sum()
    torch.testing.assert_close(torch.stack(parts).mean(), expected)


def after_a_step(method, head, batch, world, seed):
    torch.manual_seed(seed)
    model = world.model(head, {m: x.shape[1] for m, x in batch.inputs.items()})
    world.train(method, world.context(model, [batch]))
    return snapshot(model)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(
    ("method", "head"),
    [("joint", "concat"), ("late", "late"), ("cml", "concat"), ("mmpareto", "sum")],
)
def test_a_sample_of_weight_two_is_two_samples(
    world: SimpleNamespace, method: str, head: str, count: int
) -> None:
    batch = world.batch(INPUTS[count], rows=6)
    weight = torch.ones(6)
    weight[2] = 2
    weight = weight / weight.mean()
    twice = batch.rows(torch.tensor([0, 1, 2, 2, 3, 4, 5]))
    seed = int(torch.randint(1000, ()))
    one, other = (
        after_a_step(method, head, b, world, seed) for b in (weighted(batch, weight), twice)
    )
    plain = after_a_step(method, head, batch, world, seed)
    assert differing(one, plain)
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("head", ["concat", "sum"])
def test_the_label_of_a_sample_without_weight_does_not_matter(
    world: SimpleNamespace, head: str
) -> None:
    batch = world.batch(INPUTS[3], rows=8)
    weight = torch.rand(8)
    weight[3] = 0
    label = batch.label.clone()
    label[3] = (label[3] + 1) % world.classes
    other = Batch(batch.inputs, batch.present, label, batch.index)
    ends = [after_a_step("joint", head, weighted(b, weight), world, 5) for b in (batch, other)]
    assert not differing(*ends)


class OwnLoss(Method):
    """A method of somebody else, which knows nothing of the settings of the loss."""

    def loss(self, output, batch, ctx):
        return ctx.sample_mean(F.cross_entropy(output.fused, batch.label, reduction="none"))


class SharedLoss(Method):
    def loss(self, output, batch, ctx):
        return mean_loss(output.fused, batch, ctx)


@pytest.mark.parametrize("case", ["loss", "weight"])
def test_what_a_method_would_ignore_is_refused_by_name(world: SimpleNamespace, case: str) -> None:
    model = world.model("concat", INPUTS[2])
    batch = world.batch(INPUTS[2])
    if case == "weight":
        batch = weighted(batch, torch.rand(8))
    plain = world.context(model, [batch])
    criterion = Criterion(2.0) if case == "loss" else None
    ctx = Context(model, plain.train, criterion=criterion)
    with pytest.raises(ConfigError, match=r"OwnLoss .*leave"):
        fit(OwnLoss(), ctx, 1)
    fit(SharedLoss(), Context(model, plain.train, criterion=criterion), 1)


def test_without_such_settings_any_loss_will_do(world: SimpleNamespace) -> None:
    ctx = world.context(world.model("concat", INPUTS[2]), [world.batch(INPUTS[2])])
    fit(OwnLoss(), ctx, 1)
