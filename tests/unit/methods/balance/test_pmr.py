"""PMR: prototypes, their distribution, and the coefficients of the paper's two-modality form."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods.balance.pmr import PMR, lag, lead, log_distribution

INPUTS = {"a": 3, "b": 4, "c": 2}
ALL = torch.ones(4, dtype=torch.bool)


def set_up(
    world: SimpleNamespace, inputs: dict[str, int], **options: object
) -> tuple[PMR, object, object]:
    batch = replace(
        world.batch(inputs, rows=24, absent={"b": [1, 5]}), label=torch.arange(24) % world.classes
    )
    ctx = world.context(world.model("concat", inputs), [batch])
    method = PMR(**{"share": 1.0, **options})  # type: ignore[arg-type]
    method.setup(ctx)
    return method, ctx, batch


def test_distribution_by_hand() -> None:
    prototypes = torch.tensor([[3.0, 0.0], [0.0, 4.0], [9.0, 9.0]])
    found = log_distribution(torch.zeros(1, 2), prototypes, torch.tensor([True, True, False]))
    weights = [math.exp(-3), math.exp(-4)]
    assert found.exp()[0].tolist() == pytest.approx([*(w / sum(weights) for w in weights), 0.0])


def test_distribution_moves_with_features_and_prototypes(seed: int) -> None:
    features, prototypes, shift = (torch.randn(n, 3, dtype=torch.float64) for n in (5, 4, 1))
    moved = log_distribution(features + shift, prototypes + shift, ALL)
    torch.testing.assert_close(moved, log_distribution(features, prototypes, ALL))


def test_a_feature_on_its_prototype_has_a_finite_gradient(seed: int) -> None:
    features = torch.randn(4, 3, requires_grad=True)
    log_distribution(features, features.detach().clone(), ALL).diagonal().sum().backward()
    assert features.grad is not None
    assert bool(features.grad.isfinite().all())


def test_coefficients_of_two_are_the_papers(seed: int) -> None:
    seen = torch.ones(2, dtype=torch.bool)
    for scores in torch.rand(50, 2, dtype=torch.float64) + 0.05:
        rho = float(scores[0] / scores[1])
        beta = min(max(1 / rho - 1, 0), 1)  # on modality 0 where it lags, in the paper's notation
        gamma = min(max(rho - 1, 0), 1)  # on modality 1 where it lags
        assert lag(scores, seen).tolist() == pytest.approx([beta, gamma])
        assert lead(scores, seen).tolist() == pytest.approx([gamma, beta])
        assert (lag(scores, seen) > 0).sum() == 1


def test_coefficients_of_three_ignore_who_is_absent() -> None:
    scores, everyone = torch.tensor([0.4, 0.5, 0.8]), torch.ones(3, dtype=torch.bool)
    assert lag(scores, everyone).tolist() == pytest.approx([1.0, 0.6, 0.0])
    assert lead(scores, everyone).tolist() == pytest.approx([0.0, 0.25, 1.0])
    some = torch.tensor([True, True, False])
    scores[2] = 0
    assert lag(scores, some).tolist() == pytest.approx([0.25, 0.0, 0.0])
    assert lead(scores, some).tolist() == pytest.approx([0.0, 0.25, 0.0])


def test_prototypes_are_the_class_means_of_who_has_the_modality(
    seed: int, world: SimpleNamespace
) -> None:
    method, ctx, batch = set_up(world, INPUTS, momentum=1.0)
    model = ctx.model
    method.on_epoch_start(ctx)
    with torch.no_grad():
        features = model.eval()(batch).features
    columns = dict(zip(INPUTS, method.prototypes.means.split(5, dim=1), strict=True))
    for number, modality in enumerate(INPUTS):
        for k in range(world.classes):
            assert bool(method.prototypes.known[number, k])
            rows = batch.present[modality] & (batch.label == k)
            torch.testing.assert_close(columns[modality][k], features[modality][rows].mean(0))


def test_the_only_sample_of_a_class_is_its_prototype(seed: int, world: SimpleNamespace) -> None:
    batch = replace(world.batch(INPUTS, rows=world.classes), label=torch.randperm(world.classes))
    ctx = world.context(world.model("concat", INPUTS), [batch])
    method = PMR(share=1.0)
    method.setup(ctx)
    method.on_epoch_start(ctx)
    with torch.no_grad():
        features = torch.cat(list(ctx.model(batch).features.values()), dim=1)
    assert bool(method.prototypes.known.all())
    torch.testing.assert_close(method.prototypes.means[batch.label], features)


def test_momentum_is_the_share_of_the_newest_as_in_batch_normalisation(
    seed: int, world: SimpleNamespace
) -> None:
    norm = torch.nn.BatchNorm1d(5 * len(INPUTS), momentum=0.25).train()
    method, ctx, batch = set_up(world, INPUTS, momentum=norm.momentum)
    method.on_epoch_start(ctx)
    first = method.prototypes.means.clone()
    with torch.no_grad():
        for parameter in ctx.model.parameters():
            parameter.normal_()
    method.on_epoch_start(ctx)
    second = method.prototypes.means.clone()
    method.momentum = 1.0
    method.on_epoch_start(ctx)
    newest = method.prototypes.means
    for label in range(world.classes):
        norm.running_mean.copy_(first[label])
        norm(newest[label].expand(2, -1))
        torch.testing.assert_close(second[label], norm.running_mean)
    missing = 2
    ctx.train.all = [batch.rows(batch.label != missing)]
    before = method.prototypes.means.clone()
    method.on_epoch_start(ctx)
    assert torch.equal(method.prototypes.means[missing], before[missing])


@pytest.mark.parametrize("epoch", [0, 3])
@pytest.mark.parametrize("count", [2, 3])
def test_the_loss_written_out(seed: int, world: SimpleNamespace, count: int, epoch: int) -> None:
    inputs = dict(list(INPUTS.items())[:count])
    method, ctx, batch = set_up(world, inputs, alpha=1.5, mu=0.3, entropy_epochs=2)
    method.on_epoch_start(ctx)
    ctx.position.epoch = epoch
    output = ctx.model(batch)
    q, shown = {}, batch.present
    for modality, prototypes in zip(inputs, method.prototypes.means.split(5, dim=1), strict=True):
        z = output.features[modality][shown[modality]]
        q[modality] = torch.softmax(-(z[:, None] - prototypes[None]).norm(dim=2), dim=1)
    label = {m: batch.label[shown[m]] for m in inputs}
    true = {m: q[m][torch.arange(len(q[m])), label[m]] for m in inputs}
    scores = torch.stack([true[m].mean() for m in inputs]).detach()
    expected = F.cross_entropy(output.fused, batch.label)
    for number, m in enumerate(inputs):
        expected = (
            expected - 1.5 * (scores.max() / scores[number] - 1).clamp(0, 1) * true[m].log().mean()
        )
        if epoch < 2:
            entropy = -(q[m] * q[m].log()).sum(1).mean()
            expected = expected - 0.3 * (scores[number] / scores.min() - 1).clamp(0, 1) * entropy
    found = method.loss(output, batch, ctx)
    torch.testing.assert_close(found, expected)
    parameters = [p for m in inputs for p in ctx.model.encoders[m].parameters()]
    for a, b in zip(
        *(torch.autograd.grad(x, parameters, retain_graph=True) for x in (found, expected)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_it_reaches_neither_the_head_nor_the_leading_encoder(
    seed: int, world: SimpleNamespace
) -> None:
    inputs = {"a": 3, "b": 4}
    method, ctx, batch = set_up(world, inputs, alpha=5.0, mu=0.0)
    method.on_epoch_start(ctx)
    output = ctx.model(batch)
    log_q = [method.prototypes.log_distribution(m, output.features[m]) for m in inputs]
    scores = torch.stack([q.exp().gather(1, batch.label[:, None])[batch.present[m]].mean()
                          for q, m in zip(log_q, inputs, strict=True)])  # fmt: skip
    leader = list(inputs)[int(scores.argmax())]
    named = dict(ctx.model.named_parameters())
    extra = method.loss(output, batch, ctx) - F.cross_entropy(output.fused, batch.label)
    found = torch.autograd.grad(
        extra, list(named.values()), allow_unused=True, materialize_grads=True
    )
    moved = {name for name, g in zip(named, found, strict=True) if g.abs().max() > 1e-6}
    assert moved
    assert not any(name.startswith(("head", f"encoders.{leader}")) for name in moved)


def test_binary_coefficients(seed: int, world: SimpleNamespace) -> None:
    method, _, _ = set_up(world, INPUTS, clipped=False)
    beta, gamma = method.coefficients(
        torch.tensor([0.5, 0.6, 0.7]), torch.ones(3, dtype=torch.bool)
    )
    assert beta.tolist() == [1, 1, 0]
    assert gamma.tolist() == [0, 1, 1]


def test_without_prototypes_nothing_is_added(seed: int, world: SimpleNamespace) -> None:
    method, ctx, batch = set_up(world, INPUTS)
    output = ctx.model(batch)
    loss = method.loss(output, batch, ctx)
    torch.testing.assert_close(loss, F.cross_entropy(output.fused, batch.label))
    loss.backward()
    assert all(bool(p.grad.isfinite().all()) for p in ctx.model.parameters())


def test_a_class_without_prototype_does_not_count(seed: int, world: SimpleNamespace) -> None:
    method, ctx, batch = set_up(world, INPUTS, mu=0.0)
    seen = batch.label != 1
    ctx.train.all = [batch.rows(seen)]
    method.on_epoch_start(ctx)
    assert method.prototypes.known.tolist() == [[True, False, True, True]] * 3
    output = ctx.model(batch)
    extra = method.loss(output, batch, ctx) - F.cross_entropy(output.fused, batch.label)
    known = ctx.train.all[0]
    output = ctx.model(known)
    expected = method.loss(output, known, ctx) - F.cross_entropy(output.fused, known.label)
    torch.testing.assert_close(extra, expected)


def test_prototypes_come_from_a_share_of_the_batches(seed: int, world: SimpleNamespace) -> None:
    batches = [world.batch(INPUTS, rows=12) for _ in range(11)]
    ctx = world.context(world.model("concat", INPUTS), batches)
    found = []
    for method in (PMR(share=0.1), PMR(share=1.0)):
        ctx.train.all = batches if method.share < 1 else batches[:2]
        method.setup(ctx)
        method.on_epoch_start(ctx)
        found.append(method.prototypes.means)
    assert torch.equal(*found)
    assert ctx.model.training


@pytest.mark.parametrize(
    "wrong", [{"entropy_epochs": 1.5}, {"clipped": "no"}, {"alpha": -1.0}, {"momentum": 0.0}]
)
def test_refuses_counts_and_switches_that_are_none(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"PMR: '{next(iter(wrong))}' must be"):
        PMR(**wrong)  # type: ignore[arg-type]
