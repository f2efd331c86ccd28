"""The moving average of the weights follows its recursion, and is what a run judges and keeps."""

import json
import random

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from equipoise.evaluation.metrics import measure
from equipoise.evaluation.predict import predict
from equipoise.model import Model
from equipoise.runs import run
from equipoise.testing.methods import resumes
from equipoise.testing.world import NAMES, OPTIMISER, World, differing, snapshot
from equipoise.training.average import WeightAverage
from equipoise.training.context import Context
from equipoise.training.optimisers import SHARED


@pytest.fixture
def ctx(seed):
    return World("joint", 3, seed, head="concat").build()[1]


def averaged(ctx):
    with ctx.average.applied():
        return snapshot(ctx.model)


def move(ctx, modalities):
    for parameter in ctx.model.parameters():
        parameter.grad = torch.randn_like(parameter)
    ctx.update(modalities)


def test_the_recursion(ctx):
    decay = ctx.average.decay
    expected = None
    for taken in range(random.randrange(5, 30)):
        move(ctx, NAMES[:3])
        now = snapshot(ctx.model)
        beta = min(decay, (1 + taken) / (10 + taken))
        expected = (
            {name: beta * expected[name] + (1 - beta) * now[name] for name in now}
            if expected
            else now
        )
    found = averaged(ctx)
    assert all(torch.allclose(found[name], expected[name], atol=1e-6) for name in expected)
    assert differing(found, snapshot(ctx.model))


def test_the_weights_are_put_back_bit_for_bit_also_after_an_error(ctx):
    for _ in range(5):
        move(ctx, NAMES[:3])
    before = snapshot(ctx.model)
    with pytest.raises(ZeroDivisionError), ctx.average.applied():
        raise ZeroDivisionError
    assert not differing(before, snapshot(ctx.model))


def test_a_modality_that_waits_keeps_its_average(ctx):
    for _ in range(5):
        move(ctx, NAMES[:3])
    before = averaged(ctx)
    move(ctx, NAMES[:1])
    moved = set(differing(before, averaged(ctx)))
    own = {id(p) for part in ctx.model.group(NAMES[0]) for p in part}
    own |= {id(p) for p in ctx.model.shared}
    assert moved == {name for name, p in ctx.model.named_parameters() if id(p) in own}


def test_replaced_weights_begin_a_new_average(ctx):
    for _ in range(5):
        move(ctx, NAMES[:3])
    with torch.no_grad():
        for parameter in ctx.model.group(NAMES[0]).encoder:
            parameter.zero_()
    ctx.restart_average(NAMES[:1])
    held = averaged(ctx)
    now = snapshot(ctx.model)
    own = [name for name in now if name.startswith(f"encoders.{NAMES[0]}.")]
    assert not differing({n: held[n] for n in own}, {n: now[n] for n in own})
    assert differing(held, now)


def test_running_statistics_are_averaged_with_the_weights(seed):
    """The statistics of other weights would not fit the averaged ones."""
    model = World("joint", 2, seed).build()[1].model
    layer = nn.BatchNorm1d(model.encoders[NAMES[0]].width)
    encoder = nn.Sequential(model.encoders[NAMES[0]], layer)
    encoder.width = layer.num_features
    whole = Model({NAMES[0]: encoder, NAMES[1]: model.encoders[NAMES[1]]}, model.head)
    groups = {m: list(whole.group(m).encoder) for m in NAMES[:2]} | {SHARED: list(whole.shared)}
    average = WeightAverage(whole, groups, 0.9)
    means = []
    for _ in range(3):
        layer(torch.randn(8, layer.num_features) + 3)
        average.update(NAMES[:1])
        means.append(layer.running_mean.clone())
    expected = means[0]
    for taken, mean in enumerate(means[1:], start=1):
        beta = (1 + taken) / (10 + taken)
        expected = beta * expected + (1 - beta) * mean
    count = layer.num_batches_tracked.clone()
    with average.applied():
        assert torch.allclose(layer.running_mean, expected)
        assert layer.num_batches_tracked == count
    assert torch.equal(layer.running_mean, means[-1])


def test_a_run_is_judged_by_the_average_and_keeps_it(seed, tmp_path):
    world = World("joint", 2, seed, epochs=4, missing=0.2)
    splits = world.data()
    with_average = run.train(world.run_settings(), tmp_path / "with", splits=splits)
    plain = World(
        "joint",
        2,
        seed,
        epochs=4,
        missing=0.2,
        settings={"optimiser": {**OPTIMISER, "average": 0.0}},
    )
    without = run.train(plain.run_settings(), tmp_path / "without", splits=splits)
    newest, raw = (
        load_file(sorted((r.folder / "checkpoints").glob("epoch-*"))[-1] / "model.safetensors")
        for r in (with_average, without)
    )
    # The average only watches: the weights themselves are those of a run without it.
    assert not differing(newest, raw)
    (best,) = (with_average.folder / "checkpoints").glob("best-epoch-*")
    model = world.build()[1].model
    model.load_state_dict(load_file(best / "model.safetensors"))
    lines = (with_average.folder / "metrics.jsonl").read_text().splitlines()
    chosen = json.loads(lines[with_average.result["best_epoch"]])
    assert measure(predict(model, splits.validation))["fused"]["accuracy"] == pytest.approx(
        chosen["validation"]["fused"]["accuracy"]
    )


WARM = {"optimiser": {**OPTIMISER, "name": "adamw", "lr": 0.01, "warmup": 0.5}}


@pytest.mark.parametrize("method", ["joint", "mla", "mie"])
def test_killed_and_resumed_it_ends_the_same(method, seed):
    settings = {"checkpoint_every": 2, **WARM}
    resumes(World(method, 2, seed, missing=0.2, epochs=3, settings=settings))


def test_without_decay_nothing_is_held(seed):
    world = World("joint", 2, seed, settings={"optimiser": {**OPTIMISER, "average": 0.0}})
    ctx: Context = world.train()[1]
    assert ctx.average.state_dict() == {"averages": {}, "steps": {}}
