"""Learning rates follow their closed forms, and stepping one group leaves the others be."""

import math
import random

import pytest
import torch

from equipoise.settings import OptimiserSettings
from equipoise.testing.world import NAMES, World, differing, snapshot
from equipoise.training.optimisers import SHARED, Optimisers

EPOCHS = 12
PLAIN = {
    "name": "sgd",
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "warmup": 0.0,
    "schedule": "none",
    "clip": 0.0,
}
"""Settings of the optimiser without anything that some test is about."""


@pytest.fixture
def build(seed):
    """Optimisers of a fresh model with a head that has blocks and a shared part."""

    def make(count=3, **options):
        model = World("joint", count, seed, head="concat").build()[1].model
        return model, Optimisers(model, OptimiserSettings(**{**PLAIN, **options}), EPOCHS)

    return make


def fill_gradients(model, generator=None):
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def rates(optimisers, name, metrics=None, modalities=NAMES[:3]):
    """The learning rate in every epoch."""
    found = []
    for epoch in range(EPOCHS):
        found.append(optimisers.learning_rate(name))
        optimisers.step(modalities)
        optimisers.end_epoch(modalities, metrics[epoch] if metrics else 0.0)
    return found


@pytest.mark.parametrize("name", [NAMES[0], SHARED])
def test_closed_forms_of_the_schedules(build, name):
    lr, size, gamma = random.uniform(0.01, 1), random.randrange(1, 5), random.uniform(0.1, 0.9)
    milestones = sorted(random.sample(range(1, EPOCHS), 3))
    forms = {
        "none": lambda e: lr,
        "step": lambda e: lr * gamma ** (e // size),
        "milestones": lambda e: lr * gamma ** sum(e >= m for m in milestones),
        "cosine": lambda e: lr * (1 + math.cos(math.pi * e / EPOCHS)) / 2,
    }
    for schedule, form in forms.items():
        given = milestones if schedule == "milestones" else []
        optimisers = build(lr=lr, schedule=schedule, step_size=size, gamma=gamma, milestones=given)[
            1
        ]
        assert rates(optimisers, name) == pytest.approx(
            [form(e) for e in range(EPOCHS)], rel=1e-6, abs=1e-9
        ), schedule


@pytest.mark.parametrize("start", [0.0, 1 / 3])
@pytest.mark.parametrize("schedule", ["none", "cosine"])
def test_a_warm_up_rises_step_by_step_below_the_schedule(build, schedule, start):
    """Each modality has its own, over the epochs that it trains in itself."""
    warmup, steps = random.choice([0.1, 0.25, 0.5]), random.randrange(2, 6)
    optimisers = build(lr=1.0, schedule=schedule, warmup=warmup, warmup_from=start)[1]
    met = {name: [] for name in NAMES[:2]}
    for name in NAMES[:2] * EPOCHS:
        for step in range(steps):
            optimisers.step([name], (step + 1) / steps)
            met[name].append(optimisers.learning_rate(name))
            assert optimisers.learning_rate(SHARED) == met[name][-1]
        optimisers.end_epoch([name], 0.0)
    schedules = {
        "none": lambda e: 1.0,
        "cosine": lambda e: (1 + math.cos(math.pi * e / EPOCHS)) / 2,
    }
    form = [
        schedules[schedule](s // steps)
        * (start + (1 - start) * min((s + 1) / steps / (warmup * EPOCHS), 1.0))
        for s in range(EPOCHS * steps)
    ]
    assert met[NAMES[0]] == met[NAMES[1]] == pytest.approx(form)


def test_a_restored_warm_up_goes_on(build):
    optimisers, other = (build(lr=1.0, warmup=0.5)[1] for _ in range(2))
    optimisers.step(NAMES[:3], 0.5)
    other.load_state_dict(optimisers.state_dict())
    for one in (optimisers, other):
        one.step(NAMES[:3], 1.0)
    assert optimisers.learning_rate(SHARED) == other.learning_rate(SHARED) == pytest.approx(1 / 6)


def test_the_schedule_of_a_code_that_steps_it_before_the_epoch_is_told_by_milestones(build):
    """StepLR(3), stepped before each epoch: the fourth epoch is not the first at the lower rate."""
    parameter = [torch.nn.Parameter(torch.zeros(1))]
    theirs = torch.optim.SGD(parameter, lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(theirs, 3, 0.1)
    expected = []
    for _ in range(EPOCHS):
        theirs.step()
        scheduler.step()
        expected.append(theirs.param_groups[0]["lr"])
    optimisers = build(lr=1.0, schedule="milestones", milestones=[2, 5, 8, 11], gamma=0.1)[1]
    assert rates(optimisers, NAMES[0]) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["step", "cosine"])
def test_what_is_shared_follows_the_modalities_that_train_with_it(build, schedule):
    """In phases it trains M times as often as each: its rates are those of the modality in hand."""
    size, gamma = random.randrange(1, 5), random.uniform(0.1, 0.9)
    optimisers = build(lr=0.5, schedule=schedule, step_size=size, gamma=gamma)[1]
    met = {name: [] for name in NAMES[:3]}
    for _ in range(3):
        for name in NAMES[:3]:
            for _ in range(EPOCHS // 3):
                optimisers.step([name])
                met[name].append(optimisers.learning_rate(SHARED))
                assert optimisers.learning_rate(name) == met[name][-1]
                optimisers.end_epoch([name], 0.0)
    form = {
        "step": [0.5 * gamma ** (e // size) for e in range(EPOCHS)],
        "cosine": [0.25 * (1 + math.cos(math.pi * e / EPOCHS)) for e in range(EPOCHS)],
    }
    assert all(rates == pytest.approx(form[schedule], abs=1e-12) for rates in met.values())


def test_the_shared_group_follows_the_furthest_of_several(build):
    optimisers = build(lr=1.0, schedule="step", step_size=1, gamma=0.5)[1]
    for name, epochs in zip(NAMES[:2], (3, 1), strict=True):
        for _ in range(epochs):
            optimisers.step([name])
            optimisers.end_epoch([name], 0.0)
    optimisers.step(NAMES[:2])
    assert optimisers.learning_rate(SHARED) == 0.125
    optimisers.reset(NAMES[:1])
    optimisers.step(NAMES[:2])
    assert optimisers.learning_rate(SHARED) == 0.5


def test_it_is_followed_where_modalities_have_no_parameters_to_train(seed):
    model = World("joint", 2, seed, head="concat").build()[1].model
    for parameter in {p for m in NAMES[:2] for part in model.group(m) for p in part}:
        parameter.requires_grad_(False)
    optimisers = Optimisers(
        model, OptimiserSettings(**{**PLAIN, "lr": 1.0, "schedule": "cosine"}), EPOCHS
    )
    assert rates(optimisers, SHARED, modalities=NAMES[:2])[-1] == pytest.approx(
        (1 + math.cos(math.pi * (EPOCHS - 1) / EPOCHS)) / 2
    )
    # A run writes down the rate of a modality, whatever it trains.
    for name in NAMES[:2]:
        assert optimisers.learning_rate(name) == optimisers.learning_rate(SHARED)


def test_a_cosine_never_rises_again(build):
    """Trials and teachers may train for longer than the run."""
    optimisers = build(lr=1.0, schedule="cosine")[1]
    found = rates(optimisers, NAMES[0]) + rates(optimisers, NAMES[0])
    assert found == sorted(found, reverse=True)
    assert found[EPOCHS:] == [0.0] * EPOCHS


@pytest.mark.parametrize("schedule", ["none", "step", "cosine", "plateau"])
def test_a_factor_stays_below_the_schedule(build, schedule):
    """The ratio of the rates of two groups under one schedule is always the factor of one."""
    optimisers = build(lr=1.0, schedule=schedule, step_size=2, gamma=0.5)[1]
    for _ in range(EPOCHS):
        factor = random.uniform(0.1, 3)
        optimisers.scale(NAMES[0], factor)
        rate = optimisers.learning_rate(NAMES[1])
        assert optimisers.learning_rate(NAMES[0]) == pytest.approx(factor * rate)
        optimisers.step(NAMES[:3])
        optimisers.end_epoch(NAMES[:3], 0.5)
        assert optimisers.learning_rate(NAMES[0]) == pytest.approx(
            factor * optimisers.learning_rate(NAMES[1])
        )


@pytest.mark.parametrize("on", ["loss", "metric"])
def test_plateau_waits_for_an_improvement(build, on):
    """The rate falls after `step_size` epochs in a row that are no better than the best before."""
    size, gamma = random.randrange(1, 4), 0.5
    values = [random.choice([0.2, 0.4, 0.6, 0.8]) for _ in range(EPOCHS)]
    optimisers = build(lr=1.0, schedule="plateau", plateau_on=on, step_size=size, gamma=gamma)[1]
    expected, rate, best, waited = [], 1.0, -math.inf, 0
    for value in values:
        expected.append(rate)
        good = -value if on == "loss" else value
        best, waited = (good, 0) if good > best else (best, waited + 1)
        if waited == size:
            rate, waited = rate * gamma, 0
    assert rates(optimisers, NAMES[1], values) == pytest.approx(expected), values


@pytest.mark.parametrize("size", [1, 3])
def test_plateau_acts_after_step_size_epochs_without_improvement(build, size):
    optimisers = build(lr=1.0, schedule="plateau", step_size=size, gamma=0.5)[1]
    found = rates(optimisers, NAMES[0], [2.0, *[3.0] * (EPOCHS - 1)])
    # The first epoch is the best, and the next `size` are not better.
    assert found[: size + 2] == [1.0] * (size + 1) + [0.5]


def test_under_a_plateau_the_shared_group_follows_the_modalities_that_take_turns(build):
    """A count of its own would let its rate fall once for each modality."""
    optimisers = build(lr=1.0, schedule="plateau", step_size=2, gamma=0.5)[1]
    met = {name: [] for name in NAMES[:3]}
    for _ in range(4):
        for name in NAMES[:3]:
            optimisers.step([name])
            met[name].append(optimisers.learning_rate(SHARED))
            assert optimisers.learning_rate(name) == met[name][-1]
            optimisers.end_epoch([name], 1.0, name)
    assert met == {name: [1.0, 1.0, 1.0, 0.5] for name in NAMES[:3]}


def test_losses_of_different_goals_are_not_compared(build):
    """The loss of one modality alone may be a hundredth of that of all together."""
    optimisers = build(lr=1.0, schedule="plateau", step_size=2, gamma=0.5)[1]
    falling = [1 / (1 + epoch) for epoch in range(6)]
    for loss in falling:
        for goal, scale in (("alone", 0.01), ("together", 1.0)):
            optimisers.step(NAMES[:1])
            optimisers.end_epoch(NAMES[:1], scale * loss, goal)
    assert optimisers.learning_rate(NAMES[0]) == 1.0


def test_only_the_groups_that_trained_advance(build):
    optimisers = build(lr=1.0, schedule="step", step_size=1, gamma=0.5)[1]
    optimisers.step(NAMES[:1])
    optimisers.end_epoch(NAMES[:1], 0.0)
    assert [optimisers.learning_rate(n) for n in (*NAMES[:3], SHARED)] == [0.5, 1.0, 1.0, 0.5]


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_one_group_steps_as_if_it_were_alone(build, name):
    """Stepping other groups does not affect its momentum, moments and weight decay."""
    betas = [random.uniform(0.5, 0.95), random.uniform(0.9, 0.999)]
    options = {"name": name, "lr": 0.05, "momentum": 0.9, "weight_decay": 0.1, "betas": betas}
    model, optimisers = build(**options)
    before = snapshot(model)
    own = [p.detach().clone().requires_grad_() for group in model.group(NAMES[0]) for p in group]
    alone = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.1),
        "adam": lambda p: torch.optim.Adam(p, lr=0.05, betas=betas, weight_decay=0.1),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, betas=betas, weight_decay=0.1),
    }[name](own)
    for turn in range(6):
        fill_gradients(model)
        if turn % 2:
            optimisers.step(NAMES[1:2])
            continue
        for parameter, ours in zip(own, (p for g in model.group(NAMES[0]) for p in g), strict=True):
            parameter.grad = ours.grad.clone()
        alone.step()
        optimisers.step(NAMES[:1])
    for parameter, ours in zip(own, (p for g in model.group(NAMES[0]) for p in g), strict=True):
        torch.testing.assert_close(ours.detach(), parameter.detach(), rtol=1e-5, atol=1e-6)
    third = {id(p) for group in model.group(NAMES[2]) for p in group}
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters() if id(p) in third)


@pytest.mark.parametrize("schedule", ["none", "step", "cosine", "plateau"])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_saved_and_restored_it_goes_on_bit_by_bit(build, name, schedule):
    options = {"name": name, "lr": 0.05, "schedule": schedule, "step_size": 1, "gamma": 0.5}
    ends = []
    for restored in (False, True):
        (model, optimisers), generator = build(**options), torch.Generator().manual_seed(5)
        for epoch in range(4):
            fill_gradients(model, generator)
            trained = NAMES[: 1 + epoch % 3]
            optimisers.step(trained)
            optimisers.end_epoch(trained, 0.5)
            if restored and epoch == 1:
                weights, state = snapshot(model), optimisers.state_dict()
                model, optimisers = build(**options)
                model.load_state_dict(weights)
                optimisers.load_state_dict(state)
        ends.append(snapshot(model))
    assert not differing(*ends)


def test_a_reset_forgets_momentum_and_schedule_of_that_group_alone(build):
    model, optimisers = build(
        lr=1.0, momentum=0.9, weight_decay=0.0, schedule="step", step_size=1, gamma=0.5
    )
    fill_gradients(model)
    optimisers.step(NAMES[:3])
    optimisers.end_epoch(NAMES[:3], 0.0)
    optimisers.reset(NAMES[:1])
    assert [optimisers.learning_rate(n) for n in NAMES[:3]] == [1.0, 0.5, 0.5]
    before = snapshot(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimisers.step(NAMES[:3])
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert not any(NAMES[0] in n for n in moved), "momentum was kept"
    assert any(NAMES[1] in n for n in moved), "momentum of the others was forgotten"


def test_forgetting_momentum_leaves_the_schedule_and_the_other_groups(build):
    model, optimisers = build(
        lr=1.0, momentum=0.9, weight_decay=0.0, schedule="step", step_size=1, gamma=0.5
    )
    fill_gradients(model)
    optimisers.step(NAMES[:3])
    optimisers.end_epoch(NAMES[:3], 0.0)
    optimisers.forget([NAMES[0], SHARED])
    assert [optimisers.learning_rate(n) for n in (*NAMES[:3], SHARED)] == [0.5] * 4
    before = snapshot(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimisers.step(NAMES[:3])
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert not any(NAMES[0] in n or n == "head.bias" for n in moved), "momentum was kept"
    assert all(n in moved for n, _ in model.named_parameters() if NAMES[1] in n), (
        "momentum of another was forgotten"
    )


def test_frozen_parameters_belong_to_no_group(seed):
    model = World("joint", 2, seed).build()[1].model
    frozen = list(model.encoders[NAMES[0]].parameters())
    for parameter in frozen:
        parameter.requires_grad_(False)
    optimisers = Optimisers(model, OptimiserSettings(), EPOCHS)
    held = {id(p) for group in optimisers.groups.values() for p in group}
    assert held == {id(p) for p in model.parameters()} - {id(p) for p in frozen}


def test_what_moves_later_than_the_rest_of_its_group_starts_like_the_rest(build):
    """A classifier without a loss in the first steps; fused SGD needs momentum of all or none."""
    options = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}
    model, optimisers = build(**options)
    group = [p for part in model.group(NAMES[0]) for p in part]
    own = [p.detach().clone().requires_grad_() for p in group]
    alone = torch.optim.SGD(own, lr=0.05, momentum=0.9, weight_decay=0.1, foreach=False)
    for turn in range(4):
        fill_gradients(model)
        if turn < 2:
            group[-1].grad = None
        for parameter, ours in zip(own, group, strict=True):
            parameter.grad = None if ours.grad is None else ours.grad.clone()
        alone.step()
        optimisers.step(NAMES[:1])
    for parameter, ours in zip(own, group, strict=True):
        torch.testing.assert_close(ours.detach(), parameter.detach(), rtol=1e-5, atol=1e-6)
