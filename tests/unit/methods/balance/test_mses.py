"""MSES: the scripted stop of the reference, and the parts that a stop leaves unchanged."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.methods.balance.mses import MSES
from equipoise.testing.world import World, differing, snapshot

INPUTS = {"a": 3, "b": 4, "c": 2}


def set_up(
    world: SimpleNamespace, inputs: dict[str, int] = INPUTS, **options: object
) -> tuple[MSES, object]:
    ctx = world.context(world.model("auxiliary", inputs), [world.batch(inputs) for _ in range(2)])
    method = MSES(**options)  # type: ignore[arg-type]
    method.setup(ctx)
    return method, ctx


def scramble(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    return snapshot(module)


def test_stops_after_the_fifth_epoch_and_goes_back_to_the_second(
    seed: int, world: SimpleNamespace
) -> None:
    """The scripted case of the reference: V = 1, 0.9, 0.95, 1, 1.1 with P = 2 and no smoothing."""
    method, ctx = set_up(world, smoothing=0.0)
    states, stops = [], []
    for epoch, loss in enumerate([1.0, 0.9, 0.95, 1.0, 1.1], start=1):
        states.append(scramble(ctx.model))
        falling = 1.0 / epoch
        method.judge(torch.tensor([falling, loss, falling], dtype=torch.float64), epoch, 2)
        stops.append(method.stopped.tolist())
    assert [s[1] for s in stops] == [False, False, False, False, True]
    assert not any(s[0] or s[2] for s in stops)
    now = snapshot(ctx.model)
    for name, value in now.items():
        rewound = name.startswith(("encoders.b", "head.blocks.b.own"))
        assert torch.equal(value, states[1 if rewound else 4][name]), name
    assert method.active(ctx) == ("a", "c")


def test_smoothing_is_a_mean_of_two_epochs(seed: int, world: SimpleNamespace) -> None:
    method, _ = set_up(world, smoothing=0.25)
    losses = torch.rand(3, 3, dtype=torch.float64).sort(0, descending=True).values
    for epoch, row in enumerate(losses, start=1):
        method.judge(row, epoch, 10)
    smooth = torch.stack(
        [losses[0], 0.25 * losses[0] + 0.75 * losses[1], 0.25 * losses[1] + 0.75 * losses[2]]
    )
    torch.testing.assert_close(method.best, smooth.amin(0))
    assert method.best_epoch.tolist() == (smooth.argmin(0) + 1).tolist()


def test_what_cannot_be_measured_does_not_stop(seed: int, world: SimpleNamespace) -> None:
    method, _ = set_up(world)
    for epoch in range(1, 5):
        method.judge(torch.tensor([torch.nan, 1.0, 1.0]), epoch, 0)
    assert method.stopped.tolist() == [False, True, True]


def test_a_stopped_modality_does_not_move_at_all(seed: int, world: SimpleNamespace) -> None:
    model = world.model("auxiliary", INPUTS)
    model.encoders["b"].layers.append(torch.nn.BatchNorm1d(5))
    ctx = world.context(
        model, [world.batch(INPUTS) for _ in range(3)], momentum=0.9, weight_decay=0.1
    )
    method = world.train(MSES(patience=0, smoothing=0.0), ctx)
    method.judge(torch.tensor([2.0, 2.0, 2.0]), 1, 0)
    method.judge(torch.tensor([1.0, 3.0, 1.0]), 2, 0)
    before = snapshot(model)
    ctx.model.train()
    for batch in ctx.train.all:
        method.step(batch, ctx)
    still = [name for name in before if name not in differing(before, snapshot(model))]
    expected = [name for name in before if name.startswith(("encoders.b", "head.blocks.b.own"))]
    assert sorted(still) == sorted(expected)


@pytest.mark.parametrize("count", [2, 3])
def test_the_loss_is_the_sum_of_all_classifiers(
    seed: int, world: SimpleNamespace, count: int
) -> None:
    inputs = dict(list(INPUTS.items())[:count])
    method, ctx = set_up(world, inputs, weight=0.7)
    batch = world.batch(inputs)
    output = ctx.model(batch)
    entropy = torch.nn.functional.cross_entropy
    expected = entropy(output.fused, batch.label) + 0.7 * sum(
        entropy(v, batch.label) for v in output.logits.values()
    )
    torch.testing.assert_close(method.loss(output, batch, ctx), expected)


def test_monitors_held_out_samples_only(seed: int, world: SimpleNamespace) -> None:
    method, ctx = set_up(world, smoothing=0.0)
    held = world.batch(INPUTS, absent={"a": [0, 3]})
    ctx.holdout = copy.copy(ctx.train)
    ctx.holdout.all = [held]
    ctx.position.epoch = 1
    method.on_epoch_start(ctx)
    ctx.model.eval()
    with torch.no_grad():
        output = ctx.model(held)
    expected = [
        float(
            torch.nn.functional.cross_entropy(
                output.logits[m][held.present[m]], held.label[held.present[m]]
            )
        )
        for m in INPUTS
    ]
    assert method.previous.tolist() == pytest.approx(expected, rel=1e-5)


def test_a_stop_survives_a_checkpoint(seed: int) -> None:
    world = World("mses", 2, seed, {"patience": 0, "smoothing": 0.0})
    method, ctx = world.train()
    method.judge(torch.tensor([0.0, 0.0]), 3, 0)
    method.judge(torch.tensor([9.0, -1.0]), 4, 0)
    other, twin = world.build()
    other.load_state_dict(method.state_dict())
    assert other.active(twin) == method.active(ctx) == (ctx.model.modalities[1],)
    assert not any(
        p.requires_grad for p in twin.model.encoders[ctx.model.modalities[0]].parameters()
    )


def test_wants_classifiers_and_a_holdout(seed: int, world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="use head 'auxiliary'"):
        MSES().setup(world.context(world.model("concat", INPUTS), []))
    ctx = world.context(world.model("auxiliary", INPUTS), [])
    ctx.holdout = None
    MSES(patience=float("inf")).setup(ctx)
    with pytest.raises(ConfigError, match=r"data\.holdout"):
        MSES().setup(ctx)


def test_wants_the_classifiers_it_monitors_to_be_trained(world: SimpleNamespace) -> None:
    with pytest.raises(
        ConfigError, match=r"by classifiers of Auxiliary that only unimodal.*; set 'weight' above 0"
    ):
        MSES(weight=0).setup(world.context(world.model("auxiliary", INPUTS), []))
    MSES(weight=0).setup(
        world.context(world.model("late", INPUTS), [])
    )  # its fused loss trains them
    MSES(weight=0, patience=float("inf")).setup(world.context(world.model("auxiliary", INPUTS), []))
