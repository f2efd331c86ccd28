"""Compose: the papers' methods are settings of it, bit for bit, and all combinations train."""

from __future__ import annotations

import copy
import math
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from equipoise.data.modality import ModalitySpec
from equipoise.data.table.loader import Loader
from equipoise.data.table.table import Table
from equipoise.errors import ConfigError
from equipoise.methods import METHODS
from equipoise.methods.balance.compose import Compose
from equipoise.training.context import Context
from equipoise.training.observer import Silent
from plain import plain

INPUTS = {"a": 3, "b": 4, "c": 2}

SAME = [
    ("joint", {}, "concat", {}),
    ("late", {}, "late", {"loss": "separate"}),
    ("mla", {}, "shared", {"schedule": "step", "projection": "orthogonal"}),
    (
        "mla",
        {"alpha": "epoch-decay", "normalize_projection": True, "projection_order": "previous"},
        "shared",
        {
            "schedule": "step",
            "projection": "orthogonal",
            "projection_alpha": "epoch-decay",
            "normalize_projection": True,
            "projection_order": "previous",
        },
    ),
    ("mla", {"projection": False}, "shared", {"schedule": "step"}),
    ("lfm", {}, "concat", {"alignment": "infonce"}),
    (
        "lfm",
        {"alignment": "js", "alpha": "stepwise", "alpha_value": 0.3},
        "sum",
        {"alignment": "js", "alpha": "stepwise", "alpha_value": 0.3},
    ),
    ("mie", {}, "per-modality", {"schedule": "phase", "projection": "flat", "flatness": "sam"}),
    (
        "mie",
        {"sam": "none", "cycles": 2},
        "per-modality",
        {"schedule": "phase", "projection": "flat", "cycles": 2},
    ),
    ("mie", {"tau": 0.0, "rho": 0.2}, "late", {"schedule": "phase", "flatness": "sam", "rho": 0.2}),
]


def table(inputs: dict[str, int], rows: int = 40) -> Table:
    """Random vectors, some cells of them absent."""
    draw = np.random.default_rng(int(torch.randint(2**31, ())))
    present = {m: draw.random(rows) < 0.8 for m in inputs}
    present["a"] |= ~np.logical_or.reduce(list(present.values()))
    return Table(
        {m: ModalitySpec(m, "vector", (width,)) for m, width in inputs.items()},
        {m: draw.standard_normal((rows, width)).astype(np.float32) for m, width in inputs.items()},
        np.arange(rows),
        draw.integers(4, size=rows),
        present,
        ["w", "x", "y", "z"],
        [str(row) for row in range(rows)],
    )


def context(model: torch.nn.Module, data: Table, epochs: int, clip: float = 0.0) -> Context:
    loader = Loader(data, 10, seed=1, shuffle=True)
    return Context(model, loader, optimiser=plain(lr=0.05, clip=clip), epochs=epochs)  # type: ignore[arg-type]


@pytest.mark.parametrize("clip", [0.0, 0.05])
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(("method", "options", "head", "settings"), SAME)
def test_the_papers_methods_are_settings(
    seed: int,
    world: SimpleNamespace,
    method: str,
    options: dict,
    head: str,
    settings: dict,
    count: int,
    clip: float,
) -> None:
    inputs = dict(list(INPUTS.items())[:count])
    model = world.model(head, inputs)
    for encoder in model.encoders.values():
        encoder.layers.append(torch.nn.BatchNorm1d(encoder.width))
    other, data = copy.deepcopy(model), table(inputs)
    start = copy.deepcopy(model.state_dict())
    world.train(method, context(model, data, 4, clip), 4, **options)
    world.train("compose", context(other, data, 4, clip), 4, **settings)
    moved = 0
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
        moved += not torch.equal(value, start[name])
    assert moved > 4


@pytest.mark.parametrize(
    ("schedule", "projection", "flatness", "alignment"),
    list(
        product(
            ["joint", "step", "phase"],
            ["none", "orthogonal", "flat"],
            ["none", "sam"],
            ["none", "infonce", "js"],
        )
    ),
)
def test_every_combination_trains(
    seed: int, world: SimpleNamespace, schedule: str, projection: str, flatness: str, alignment: str
) -> None:
    model = world.model("late", INPUTS)
    before = copy.deepcopy(model.state_dict())
    ctx = context(model, table(INPUTS, rows=20), 2)
    settings = {
        **({"cycles": 2} if schedule == "phase" else {}),
        "schedule": schedule,
        "projection": projection,
        "flatness": flatness,
        "alignment": alignment,
    }
    world.train("compose", ctx, 2, **settings)
    for name, value in model.state_dict().items():
        assert bool(value.isfinite().all())
        assert torch.equal(value, before[name]) == (name == "head.active"), name


def test_aligning_in_turn_moves_the_modality_in_hand_only(
    seed: int, world: SimpleNamespace
) -> None:
    model = world.model("late", INPUTS)
    for encoder in model.encoders.values():
        encoder.layers.append(torch.nn.BatchNorm1d(encoder.width))
    method = Compose(
        schedule="phase", alignment="infonce", alpha="constant", alpha_value=1.0, cycles=1
    )
    ctx = context(model, table(INPUTS), 1)
    method.setup(ctx)
    ctx.phase = next(iter(method.phases(1)))
    before = {m: copy.deepcopy(model.encoders[m].state_dict()) for m in INPUTS}
    method.step(next(ctx.steps()), ctx)
    for m in INPUTS:
        same = [
            torch.equal(value, before[m][name])
            for name, value in model.encoders[m].state_dict().items()
        ]
        assert not any(same[:2]) if m == "a" else all(same)


@pytest.mark.parametrize("turns", ["joint", "step", "phase"])
def test_the_alignment_follows_the_epochs_of_the_modality_in_hand(
    seed: int, world: SimpleNamespace, turns: str
) -> None:
    ctx = context(world.model("late", INPUTS), table(INPUTS), 4)
    logged: dict[tuple[str, ...], list[float]] = {}

    class Reader(Silent):
        def record(self) -> None:
            logged.setdefault(ctx.training, []).append(ctx.read_journal()["method/alpha"])

    ctx.observer = Reader()
    options = {"alpha": "stepwise", "alpha_value": 0.9}
    if turns == "phase":
        options["cycles"] = 2
    world.train("compose", ctx, 4, schedule=turns, alignment="js", **options)
    expected = [("a",), ("b",), ("c",)] if turns == "phase" else [("a", "b", "c")]
    assert logged == {moving: pytest.approx([0.9, 0.9, 0.1, 0.1]) for moving in expected}


def test_orthogonal_memory_of_a_joint_step_sees_every_modality(
    seed: int, world: SimpleNamespace
) -> None:
    model = world.model("shared", INPUTS, fusion="mean")
    ctx = context(model, table(INPUTS), 1)
    method = world.train("compose", ctx, projection="orthogonal")
    assert int(method.projection.memory.updates) == 3 * len(ctx.train)


@pytest.mark.parametrize("alignment", ["infonce", "js"])
def test_a_single_modality_is_trained_but_not_aligned(
    seed: int, world: SimpleNamespace, alignment: str
) -> None:
    alone = {"a": 3}
    world.train("compose", context(world.model("concat", alone), table(alone), 1))
    with pytest.raises(
        ConfigError, match=r"Compose aligns modalities .* only 'a'; set 'alignment' to none"
    ):
        Compose(alignment=alignment).setup(context(world.model("concat", alone), table(alone), 1))


def test_what_does_not_fit_is_refused(world: SimpleNamespace) -> None:
    ctx = world.context(world.model("shared", INPUTS), [])
    with pytest.raises(ConfigError, match="projection 'flat' needs a head per modality"):
        Compose(projection="flat").setup(ctx)


ORTHOGONAL = {"projection": "orthogonal"}
FLAT = {"projection": "flat"}
SAM = {"flatness": "sam"}
ALIGNED = {"alignment": "infonce"}


@pytest.mark.parametrize(
    ("given", "option", "value"),
    [
        ({}, "schedule", "cyclic"),
        ({}, "loss", "sum"),
        ({"schedule": "step"}, "loss", "sum"),
        ({}, "projection", "p"),
        ({}, "flatness", "asam"),
        ({}, "alignment", "clip"),
        ({"schedule": "phase"}, "cycles", 0),
        ({"schedule": "phase"}, "cycles", 2.5),
        (FLAT, "statistic_batch", 7.5),
        (ORTHOGONAL, "projection_alpha", 0.0),
        (ORTHOGONAL, "projection_order", "next"),
        (ORTHOGONAL, "normalize_projection", "no"),
        (SAM, "rho", -1.0),
        (SAM, "rho", math.inf),
        (FLAT, "tau", -1.0),
        (FLAT, "tau", math.inf),
        (ALIGNED, "alpha", "learned"),
        ({**ALIGNED, "alpha": "constant"}, "alpha_value", 2.0),
        (ALIGNED, "temperature", 0.0),
    ],
)
def test_refuses_bad_options(given: dict[str, object], option: str, value: object) -> None:
    Compose(**given)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=f"Compose: '{option}' must be (?!left out)"):
        Compose(**given, **{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "option", "value"),
    [
        ({"schedule": "step"}, "cycles", 3),
        (FLAT, "projection_alpha", 0.1),
        (FLAT, "projection_order", "current"),
        (FLAT, "normalize_projection", True),
        (ORTHOGONAL, "tau", 0.4),
        (ORTHOGONAL, "statistic_batch", 12),
        ({}, "rho", 0.05),
        ({}, "alpha", "heuristic"),
        (ALIGNED, "alpha_value", 0.5),
        ({**ALIGNED, "alpha": "polynomial"}, "alpha_value", 0.5),
        ({"alignment": "js"}, "temperature", 0.1),
    ],
)
def test_refuses_options_without_effect(
    given: dict[str, object], option: str, value: object
) -> None:
    METHODS.build("compose", given)
    condition = f"left out unless '{Compose.effect[option][0]}' is "
    with pytest.raises(ConfigError, match=f"Compose: '{option}' must be {condition}"):
        METHODS.build("compose", {**given, option: value})


def test_modalities_that_train_in_turn_have_separate_losses() -> None:
    for schedule, separate in (("joint", False), ("step", True), ("phase", True)):
        assert Compose(schedule=schedule).separate == separate
        assert Compose(schedule=schedule, loss="separate").separate
    assert not Compose(loss="fused").separate
    for schedule in ("step", "phase"):
        with pytest.raises(ConfigError, match="'loss' must be separate where modalities train in"):
            Compose(schedule=schedule, loss="fused")
