"""MIE against its equations written by hand, and its promises."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from itertools import groupby
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from equipoise.data.modality import ModalitySpec
from equipoise.data.table.loader import Loader
from equipoise.data.table.table import Table
from equipoise.errors import ConfigError
from equipoise.heads import HEADS
from equipoise.methods import METHODS
from equipoise.methods.balance.mie import MIE, mixup
from equipoise.methods.parts.projection.layers import deepest_layers
from equipoise.methods.parts.projection.matrices import flat_projection
from equipoise.methods.parts.stages import cycle_lengths
from equipoise.testing import World
from equipoise.testing.methods import resumes
from equipoise.testing.world import CastLoader, differing, snapshot
from equipoise.training.context import Context
from equipoise.training.loop import fit
from equipoise.training.phase import Phase
from plain import plain

INPUTS = {"a": 3, "b": 4, "c": 2}
HIDDEN = {"hidden": [6, 5]}


def named(count: int) -> dict[str, int]:
    return dict(list(INPUTS.items())[:count])


def context(
    model: nn.Module, shapes: dict[str, tuple[int, ...]], epochs: int = 1, **optimiser: object
) -> Context:
    """A context over a real loader of 24 rows, with a sixth of the cells absent.

    The statistic is taken from the whole table.
    """
    present = {m: torch.rand(24) < 5 / 6 for m in shapes}
    present["a"] |= ~torch.stack(list(present.values())).any(0)
    table = Table(
        {m: ModalitySpec(m, "vector", shape) for m, shape in shapes.items()},
        {m: torch.randn(24, *shape).numpy() for m, shape in shapes.items()},
        torch.arange(24).numpy(),
        torch.randint(4, (24,)).numpy(),
        {m: p.numpy() for m, p in present.items()},
        ["w", "x", "y", "z"],
        [str(row) for row in range(24)],
    )
    settings = plain(**{"lr": 0.1, **optimiser})  # type: ignore[arg-type]
    kind = CastLoader if next(model.parameters()).dtype is torch.float64 else Loader
    return Context(model, kind(table, 6, seed=2, shuffle=True), optimiser=settings, epochs=epochs)  # type: ignore[arg-type]


def vectors(inputs: dict[str, int]) -> dict[str, tuple[int, ...]]:
    return {m: (width,) for m, width in inputs.items()}


def normalised(world: SimpleNamespace, inputs: dict[str, int]) -> nn.Module:
    """In float64: batch norm of a few rows magnifies rounding without bound."""
    model = world.model("per-modality", inputs, **HIDDEN)
    for encoder in model.encoders.values():
        encoder.layers.append(nn.BatchNorm1d(encoder.width))
    return model.double()


def ready(method: MIE, ctx: Context, phase: int) -> MIE:
    """Set up, and standing in this phase."""
    method.setup(ctx)
    ctx.position.phase = phase
    ctx.phase = list(method.phases(12))[phase]
    return method


def inputs_of(layers: Sequence[nn.Module], run: Callable[[], object]) -> list[torch.Tensor]:
    """The inputs of each layer while this runs; every layer must be called."""
    found: dict[nn.Module, torch.Tensor] = {}
    handles = [
        layer.register_forward_pre_hook(lambda m, x: found.__setitem__(m, x[0])) for layer in layers
    ]
    run()
    for handle in handles:
        handle.remove()
    return [found[layer] for layer in layers]


def gradients(
    method: MIE, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> dict[str, torch.Tensor]:
    """The gradients that one step hands to the optimiser, by parameter name."""
    found: dict[str, torch.Tensor] = {}

    def keep(modalities: tuple[str, ...]) -> None:
        found.update(
            {n: p.grad.clone() for n, p in ctx.model.named_parameters() if p.grad is not None}
        )
        ctx.model.zero_grad()

    monkeypatch.setattr(ctx, "update", keep)
    ctx.model.train()
    batch = next(ctx.batches(ctx.train))
    ctx.seed_generators("step")
    method.step(batch, ctx)
    return found


def two_lines(
    model: nn.Module, batch: object, modality: str, rho: float
) -> dict[str, torch.Tensor]:
    """Sharpness-aware minimisation of one modality, on a copy of the network."""
    moved = copy.deepcopy(model)
    rows = batch.present[modality]

    def loss() -> torch.Tensor:
        features = moved.encoders[modality](batch.inputs[modality][rows])
        return F.cross_entropy(moved.head.blocks[modality](features), batch.label[rows])

    mine = {n: p for n, p in moved.named_parameters() if f".{modality}." in n}
    first = torch.autograd.grad(loss(), list(mine.values()))
    norm = sum(float((g**2).sum()) for g in first) ** 0.5
    with torch.no_grad():
        for p, g in zip(mine.values(), first, strict=True):
            p += rho * g / norm
    return dict(zip(mine, torch.autograd.grad(loss(), list(mine.values())), strict=True))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("flat_weight", [1.0, 0.3, 0.0])
def test_the_gradient_is_that_of_sharpness_aware_minimisation(
    seed: int,
    world: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    flat_weight: float,
) -> None:
    model = normalised(world, named(count))
    ctx = context(model, vectors(named(count)))
    method = ready(MIE(rho=0.2, flat_weight=flat_weight), ctx, 0)
    batch = next(ctx.batches(ctx.train))
    sharp, plain = (two_lines(model, batch, "a", rho) for rho in (0.2, 0.0))
    before = copy.deepcopy(list(model.parameters()))
    found = gradients(method, ctx, monkeypatch)
    assert set(found) == set(sharp)
    for name, gradient in found.items():
        expected = flat_weight * sharp[name] + (1 - flat_weight) * plain[name]
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6, msg=name)
    if flat_weight:
        assert any(float((sharp[n] - plain[n]).abs().max()) > 1e-4 for n in sharp)
    for parameter, value in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter, value)  # the step was withheld: nothing moved


def test_sam_of_the_head_goes_by_the_features_of_the_first_pass(
    seed: int, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = normalised(world, named(2))
    ctx = context(model, vectors(named(2)))
    batch = next(ctx.batches(ctx.train))
    rows, other = batch.present["a"], copy.deepcopy(model)
    head, features = (
        other.head.blocks["a"],
        other.encoders["a"](batch.inputs["a"][batch.present["a"]]),
    )
    first = torch.autograd.grad(
        F.cross_entropy(head(features), batch.label[rows]), head.parameters(), retain_graph=True
    )
    with torch.no_grad():
        for p, g in zip(head.parameters(), first, strict=True):
            p += 0.2 * g / g.norm()  # each tensor by itself
    F.cross_entropy(head(features), batch.label[rows]).backward()
    found = gradients(ready(MIE(rho=0.2, sam="head"), ctx, 0), ctx, monkeypatch)
    for name, parameter in other.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(
                found.pop(name), parameter.grad, rtol=1e-4, atol=1e-6, msg=name
            )
    assert not found


def test_sam_of_the_head_compares_mixed_inputs_with_unmixed_labels(
    seed: int, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So long as ρ is nothing, the loss is 0.7 of that of both labels and 0.3 of that of one."""
    model = normalised(world, named(2))
    ctx = context(model, vectors(named(2)))
    batch = next(ctx.batches(ctx.train))
    ctx.seed_generators("step")
    blend = mixup("a", batch, 1.0, ctx)
    rows, other = batch.present["a"], copy.deepcopy(model)
    logits = other.head.blocks["a"](other.encoders["a"](blend.batch.inputs["a"][rows]))
    part = blend.fraction[rows]
    own, partner = (
        F.cross_entropy(logits, label[rows], reduction="none")
        for label in (batch.label, blend.partner_label)
    )
    (0.7 * (part * own + (1 - part) * partner) + 0.3 * own).mean().backward()
    method = ready(MIE(rho=0.0, sam="head", flat_weight=0.3, mixup_alpha=1.0), ctx, 0)
    found = gradients(method, ctx, monkeypatch)
    for name, parameter in other.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(found.pop(name), parameter.grad, msg=name)
    assert not found
    assert not torch.equal(blend.partner_label, batch.label)


@pytest.mark.parametrize("phase", [0, 1])
def test_every_modality_has_its_own_radius(
    seed: int, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, phase: int
) -> None:
    model = normalised(world, named(2))
    ctx = context(model, vectors(named(2)))
    batch = next(ctx.batches(ctx.train))
    radii = {"a": 0.3, "b": 0.02}
    found = gradients(ready(MIE(rho=radii, tau=0.0), ctx, phase), ctx, monkeypatch)
    modality = "ab"[phase]
    expected = two_lines(model, batch, modality, radii[modality])
    assert set(found) == set(expected)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6, msg=name)


def test_radii_are_for_all_modalities_of_the_data(world: SimpleNamespace) -> None:
    ctx = world.context(world.model("per-modality", named(2), **HIDDEN), [])
    with pytest.raises(ConfigError, match="'rho' gives no radius for 'b'"):
        MIE(rho={"a": 0.1}).setup(ctx)
    with pytest.raises(ConfigError, match="no modality 'z'"):
        MIE(rho={"a": 0.1, "z": 0.1}).setup(ctx)


def test_turns_are_taken_in_the_order_asked_for(world: SimpleNamespace) -> None:
    ctx = world.context(world.model("per-modality", INPUTS, **HIDDEN), [])
    method = MIE(order=["c"], phases=[1, 2, 3, 4])
    method.setup(ctx)
    phases = [Phase(n, (m,)) for n, m in zip((1, 2, 3, 4), "cabc", strict=True)]
    assert list(method.phases(9)) == phases
    sources = []
    for ctx.position.phase, modality in enumerate("cabc"):
        sources.append(method.source(modality, ctx))
    assert sources == [None, "c", "a", "b"]
    with pytest.raises(ConfigError, match="no modality 'z'"):
        MIE(order=["z"]).setup(ctx)


def test_the_second_pass_leaves_no_trace_in_the_batch_statistics(
    seed: int, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    statistics = []
    model = normalised(world, named(2))
    for method in (MIE(sam="none"), MIE(rho=0.5), MIE(rho=0.5, sam="head")):
        same = copy.deepcopy(model)
        torch.manual_seed(seed)
        ctx = context(same, vectors(named(2)))
        gradients(ready(method, ctx, 0), ctx, monkeypatch)
        statistics.append(dict(same.named_buffers()))
    for name, value in statistics[0].items():
        assert all(torch.equal(value, other[name]) for other in statistics[1:]), name


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(
    "options", [{"sam": "none", "tau": 0.0}, {"rho": 0.0, "tau": 0.0, "sam": "head"}]
)
def test_without_radius_and_modification_it_is_plain_training_in_turn(
    seed: int, world: SimpleNamespace, count: int, options: dict[str, object]
) -> None:
    """The modalities train alone, one after the other, each for the same number of epochs."""
    model = normalised(world, named(count))
    neutral, alone = copy.deepcopy(model), copy.deepcopy(model)
    torch.manual_seed(seed)
    world.train("mie", context(model, vectors(named(count)), 4), 4, cycles=2, **options)
    torch.manual_seed(seed)
    world.train("mie", context(neutral, vectors(named(count)), 4), 4, cycles=2, rho=0.0, tau=0.0)
    for name, value in model.state_dict().items():
        assert torch.equal(value, neutral.state_dict()[name]), name
    torch.manual_seed(seed)
    ctx = context(alone, vectors(named(count)), 4)
    for phase in range(2 * count):
        modality = list(named(count))[phase % count]
        for epoch in (2 * phase, 2 * phase + 1):
            for batch in ctx.train.batches(epoch):
                rows = batch.present[modality]
                if rows.any():
                    features = alone.encode(batch, (modality,))[modality][rows]
                    F.cross_entropy(
                        alone.head.blocks[modality](features), batch.label[rows]
                    ).backward()
                    ctx.optimisers.step((modality,))
    for (name, p), q in zip(model.named_parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(
            p, q, rtol=1e-2, atol=1e-3, msg=name
        )  # batch norm of two rows magnifies rounding


@pytest.mark.parametrize("count", [2, 3])
def test_a_phase_moves_one_modality_only(seed: int, world: SimpleNamespace, count: int) -> None:
    model = normalised(world, named(count))
    ctx = context(model, vectors(named(count)))
    method = MIE(cycles=2)
    method.setup(ctx)
    for number, phase in enumerate(method.phases(4)):
        ctx.phase = phase
        ctx.position.phase = number
        before = copy.deepcopy(model.state_dict())
        for batch in ctx.steps():
            method.step(batch, ctx)
        ctx.position.batch = 0
        method.on_phase_end(ctx)
        for name, value in model.state_dict().items():
            moved = not torch.equal(value, before[name])
            assert moved == (f".{phase.modalities[0]}." in name), name
    assert number + 1 == 2 * count


@pytest.mark.parametrize("count", [2, 3])
def test_the_gradients_of_a_head_go_through_the_transforms_of_the_one_before(
    seed: int, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    model = normalised(world, named(count))
    ctx = context(model, vectors(named(count)))
    method, plain = MIE(), MIE(tau=0.0)
    ready(plain, ctx, 1)
    ready(method, ctx, 1)
    raw = gradients(plain, ctx, monkeypatch)
    for spectrum in (s for of in method.memory.spectra.values() for s in of):
        root = torch.randn_like(spectrum.transform)
        spectrum.transform.copy_(root + root.T)
    for phase in range(4):
        modality = list(named(count))[phase % count]
        ctx.position.phase, ctx.phase = phase, Phase(1, (modality,))
        raw, found = (gradients(m, ctx, monkeypatch) for m in (plain, method))
        before = None if phase == 0 else list(named(count))[(phase - 1) % count]
        transforms = {} if before is None else {s.transform for s in method.memory.spectra[before]}
        assert len(transforms) in (0, 3)
        weights = [f"head.blocks.{modality}.{k}.weight" for k in (3, 2, 0)]  # from the logits back
        for name, gradient in found.items():
            expected = raw[name]
            if name in weights and before is not None:
                expected = expected @ method.memory.spectra[before][weights.index(name)].transform
            torch.testing.assert_close(gradient, expected, msg=f"{name} in phase {phase}")


def test_one_direction_modifies_one_modality_once_the_other_has_trained(
    seed: int, world: SimpleNamespace
) -> None:
    ctx = context(world.model("per-modality", INPUTS, **HIDDEN), vectors(INPUTS))
    method = ready(MIE(one_direction=["c", "a"]), ctx, 0)
    sources = []
    for ctx.position.phase in range(5):
        sources.append([method.source(m, ctx) for m in INPUTS])
    assert sources == [[None] * 3] * 3 + [["c", None, None]] * 2


def test_every_modality_keeps_to_the_one_before_it(seed: int, world: SimpleNamespace) -> None:
    ctx = context(world.model("per-modality", INPUTS, **HIDDEN), vectors(INPUTS))
    method = ready(MIE(), ctx, 0)
    found = []
    for ctx.position.phase, modality in enumerate("abcab"):
        found.append(method.source(modality, ctx))
    assert found == [None, "a", "b", "c", "a"]


class Convolutional(nn.Module):
    """Two convolutions and a linear layer; `width` features."""

    width = 5

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 2, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Conv2d(2, 3, 2),
            nn.Flatten(),
            nn.Linear(12, 5),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def images(world: SimpleNamespace, **options: object) -> tuple[nn.Module, Context]:
    model = world.model("per-modality", {"a": 1, "b": 1}, **HIDDEN)
    model.encoders["a"], model.encoders["b"] = Convolutional(), Convolutional()
    return model, context(model, {"a": (1, 6, 6), "b": (1, 6, 6)}, **options)


@pytest.mark.parametrize("scope", [0.0, 1.3e-2, 0.3, 0.5, 0.8, 1.0, None])
def test_scope_is_a_share_of_the_parameters_from_the_logits_back(
    seed: int, world: SimpleNamespace, scope: float | None
) -> None:
    """Without the shallowest layer taken there are too few weights, unless it is the head's."""
    model, ctx = images(world)
    share = float(torch.rand(())) if scope is None else scope
    method = ready(MIE(scope=share), ctx, 0)
    taken = [len(s.transform) for s in method.memory.spectra["a"]]
    assert taken == [5, 6, 5, 12, 2 * 4, 9][: len(taken)]
    weights = [5 * 4, 6 * 5, 5 * 6, 12 * 5, 3 * 2 * 4, 2 * 9][: len(taken)]
    asked = share * sum(
        p.numel() for m in (model.encoders["a"], model.head.blocks["a"]) for p in m.parameters()
    )
    assert len(taken) >= 3
    assert len(taken) == 3 or sum(weights[:-1]) < asked
    assert len(taken) == 6 or sum(weights) >= asked


class Attending(nn.Module):
    """A transformer layer, and a layer that is never called.

    Attention uses its output projection without calling it.
    """

    width = 4

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True)
        self.idle = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).mean(1)


def test_layers_that_are_never_called_are_left_alone(seed: int, world: SimpleNamespace) -> None:
    model = world.model("per-modality", {"a": 1, "b": 1}, width=4, **HIDDEN)
    model.encoders["a"], model.encoders["b"] = Attending(), Attending()
    ctx = context(model, {"a": (5, 4), "b": (5, 4)})
    method = world.train(MIE(scope=1.0, cycles=1), ctx)
    spectra = [s.transform for s in method.memory.spectra["a"]]
    neutral = [torch.equal(t, torch.eye(len(t))) for t in spectra]
    assert [len(t) for t in spectra] == [
        5,
        6,
        4,
        3,
        6,
        4,
    ]  # the head's, the idle one, and the two after the attention
    assert neutral == [False, False, False, True, False, False]


def test_deep_scope_modifies_convolutions_by_their_patches(
    seed: int, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ctx = images(world)
    method, plain = (ready(m, ctx, 1) for m in (MIE(scope=1.0, statistic_batch=5), MIE(tau=0.0)))
    ctx.phase = Phase(1, ("a",))
    method.on_phase_end(ctx)
    model.eval()
    moment = torch.zeros(9, 9)
    table = ctx.train.table
    order = np.random.default_rng((ctx.seed, 0)).permutation(24)
    for start in range(0, 24, 5):
        batch = table.rows(order[start : start + 5])
        mean = batch.inputs["a"][batch.present["a"]].mean(0)
        padded = F.pad(mean, (1, 1, 1, 1))[0]
        for i in range(0, 6, 2):
            for j in range(0, 6, 2):
                patch = padded[i : i + 3, j : j + 3].reshape(-1)
                moment += torch.outer(patch, patch)
    expected = flat_projection(moment, 0.4)
    torch.testing.assert_close(
        method.memory.spectra["a"][5].transform, expected, rtol=1e-3, atol=1e-3
    )
    ctx.phase = Phase(1, ("b",))
    raw, found = (gradients(m, ctx, monkeypatch) for m in (plain, method))
    name = "encoders.b.layers.0.weight"
    expected = raw[name].flatten(1) @ method.memory.spectra["a"][5].transform
    torch.testing.assert_close(found[name].flatten(1), expected)
    assert not torch.allclose(found[name], raw[name])


@pytest.mark.parametrize(("epochs", "cycles"), [(12, 3), (10, 3), (2, 5), (1, 1), (7, 7)])
@pytest.mark.parametrize("count", [2, 3])
def test_every_modality_sees_the_data_as_often_as_asked(
    world: SimpleNamespace, epochs: int, cycles: int, count: int
) -> None:
    method = MIE(cycles=cycles)
    method.setup(
        context(world.model("per-modality", named(count), **HIDDEN), vectors(named(count)))
    )
    phases = list(method.phases(epochs))
    order = [m for (m,) in (p.modalities for p in phases)]
    assert order == list(named(count)) * min(epochs, cycles)
    for m in named(count):
        assert sum(p.epochs for p in phases if p.modalities == (m,)) == epochs
    lengths = [k for k, _ in groupby(cycle_lengths(epochs, cycles))]
    assert max(lengths) - min(lengths) <= 1


def test_given_phases_run_as_given(world: SimpleNamespace) -> None:
    method = MIE(phases=[25, 50, 25])
    method.setup(context(world.model("per-modality", named(2), **HIDDEN), vectors(named(2))))
    assert list(method.phases(100)) == [Phase(25, ("a",)), Phase(50, ("b",)), Phase(25, ("a",))]


@pytest.mark.parametrize("count", [2, 3])
def test_phases_leave_no_modality_out(world: SimpleNamespace, count: int) -> None:
    ctx = context(world.model("per-modality", named(count), **HIDDEN), vectors(named(count)))
    MIE(phases=[1] * count).setup(ctx)
    with pytest.raises(
        ConfigError, match=f"'phases' must be at least {count}, one for each modality"
    ):
        MIE(phases=[4] * (count - 1)).setup(ctx)


@pytest.mark.parametrize(
    ("phases", "schedule", "fresh", "warned"),
    [
        ([8, 8], "cosine", False, "'a' for 8, 'b' for 8"),
        ([1, 4, 3], "cosine", False, ""),
        ([2, 2], "cosine", False, "'a' for 2, 'b' for 2"),
        ([4, 5], "cosine", False, "'a' for 4, 'b' for 5"),
        ([8, 8], "cosine", True, ""),
        ([8, 8], "step", False, ""),
        (None, "cosine", False, ""),
    ],
)
def test_phases_that_do_not_fit_the_schedule_are_warned_of(
    world: SimpleNamespace, phases: list[int] | None, schedule: str, fresh: bool, warned: str
) -> None:
    model = world.model("per-modality", named(2), **HIDDEN)
    ctx = context(model, vectors(named(2)), 4, schedule=schedule)
    method = MIE(phases=phases, fresh_optimiser=fresh)
    if warned:
        with pytest.warns(UserWarning, match=f"ends after 4 epochs.*'phases' train {warned}"):
            method.setup(ctx)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        method.setup(ctx)


def test_a_fresh_optimiser_forgets_the_momentum_of_the_phase_before(
    seed: int, world: SimpleNamespace
) -> None:
    model = world.model("per-modality", named(2), **HIDDEN)
    for fresh in (True, False):
        ctx = context(copy.deepcopy(model), vectors(named(2)))
        method = ready(MIE(fresh_optimiser=fresh), ctx, 0)
        method.step(next(ctx.batches(ctx.train)), ctx)
        method.on_phase_start(ctx)
        assert ctx.optimisers.remembers("a") != fresh


def test_mixup_keeps_to_the_modality_in_hand(seed: int, world: SimpleNamespace) -> None:
    model = normalised(world, named(2))
    ctx = context(model, vectors(named(2)), momentum=0.0)
    before = copy.deepcopy(model.state_dict())
    method = ready(MIE(mixup_alpha=1.0), ctx, 0)
    for batch in ctx.steps():
        method.step(batch, ctx)
    for name, value in model.state_dict().items():
        assert (".a." in name) == (not torch.equal(value, before[name])), name


def test_refuses_heads_without_a_part_for_each_modality(world: SimpleNamespace) -> None:
    ctx = world.context(world.model("shared", named(2)), [])
    with pytest.raises(ConfigError, match="use head 'per-modality'"):
        MIE().setup(ctx)


@pytest.mark.parametrize("head", HEADS.names())
@pytest.mark.parametrize("method", ["mie", "compose"])
def test_a_head_suits_or_is_refused_before_training(
    seed: int, world: SimpleNamespace, head: str, method: str
) -> None:
    model = world.model(head, named(2))
    ctx = context(model, vectors(named(2)), 2, lr=1e-30)
    options = {} if method == "mie" else {"projection": "flat"}
    built = METHODS.build(method, options)
    refusal = ""
    try:
        built.setup(ctx)
    except ConfigError as error:
        refusal = str(error)
    if refusal:
        assert head not in ("late", "sum", "per-modality")
        assert f"{type(model.head).__name__} " in refusal
        assert "; use head '" in refusal
        return
    fit(built, ctx, 2)
    memory = built.memory if method == "mie" else built.projection.memory
    batch = ctx.train.table.rows(torch.arange(24).numpy())
    shown = batch.rows(batch.present["a"])
    read = inputs_of(deepest_layers(model, "a", 0.0), lambda: model.eval()(shown, only=("a",)))
    flat = [torch.equal(s.transform, torch.eye(len(s.transform))) for s in memory.spectra["a"]]
    dead = [not x.any() for x in read]  # zeros come from a rectifier that is dead for every row
    assert sum(flat) == sum(dead), "T is the identity for other layers than those that read nothing"


@pytest.mark.parametrize("head", ["concat", "vote", "cca", "cpm-net", "sustained"])
def test_a_head_whose_layers_are_not_called_is_refused_with_the_reason(
    world: SimpleNamespace, head: str
) -> None:
    ctx = world.context(world.model(head, named(2)), [])
    with pytest.raises(
        ConfigError, match=r"method 'mie' needs a head per modality, .*; use head 'per-modality'"
    ):
        MIE().setup(ctx)


def test_one_direction_names_modalities_of_the_data(world: SimpleNamespace) -> None:
    ctx = world.context(world.model("per-modality", named(2), **HIDDEN), [])
    with pytest.raises(ConfigError, match="no modality 'z'"):
        MIE(one_direction=["a", "z"]).setup(ctx)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("rho", -0.1),
        ("rho", math.inf),
        ("rho", {}),
        ("order", "a"),
        ("order", ["a", "a"]),
        ("tau", -1.0),
        ("tau", math.inf),
        ("sam", "asam"),
        ("flat_weight", 1.1),
        ("scope", 2.0),
        ("one_direction", ["a"]),
        ("one_direction", ["a", "a"]),
        ("mixup_alpha", -1.0),
        ("mixup_alpha", math.inf),
        ("cycles", 0),
        ("cycles", 1.5),
        ("phases", []),
        ("phases", [3, 0]),
        ("phases", [3, 1.5]),
        ("statistic_batch", 0),
        ("statistic_batch", 7.5),
    ],
)
def test_refuses_bad_options(option: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"MIE: '{option}' must be (?!left out)"):
        MIE(**{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "option", "value"),
    [
        ({"sam": "none"}, "rho", 0.05),
        ({"sam": "none"}, "flat_weight", 1.0),
        ({"tau": 0.0}, "scope", 0.0),
        ({"tau": 0.0}, "one_direction", ["a", "b"]),
        ({"tau": 0.0}, "statistic_batch", 12),
        ({"phases": [2, 2]}, "cycles", 3),
    ],
)
def test_refuses_options_without_effect(
    given: dict[str, object], option: str, value: object
) -> None:
    METHODS.build("mie", given)
    with pytest.raises(ConfigError, match=f"MIE: '{option}' must be left out unless"):
        METHODS.build("mie", {**given, option: value})


@pytest.mark.parametrize("tau", [0.0, 0.4])
def test_a_phase_ends_with_the_best_weights_and_their_transforms_if_asked(
    seed: int, world: SimpleNamespace, tau: float
) -> None:
    ctx = context(world.model("per-modality", named(2), **HIDDEN), vectors(named(2)))
    best = {
        n: torch.randn_like(v) if v.is_floating_point() else v
        for n, v in ctx.model.state_dict().items()
    }
    method = ready(MIE(reload_best=True, tau=tau), ctx, 0)
    method.on_phase_end(ctx)  # nothing was validated yet: the weights stay
    assert not torch.equal(next(ctx.model.parameters()), next(iter(best.values())))
    other = context(copy.deepcopy(ctx.model), vectors(named(2)))
    other.model.load_state_dict(best)
    other.train = ctx.train
    ctx.observer.best_weights = lambda: best
    method.on_phase_end(ctx)
    assert all(torch.equal(value, best[name]) for name, value in ctx.model.state_dict().items())
    fresh = ready(MIE(tau=tau), other, 0)
    fresh.on_phase_end(other)
    assert not differing(snapshot(fresh), snapshot(method))


def test_reloading_the_best_weights_resumes_bit_for_bit(seed: int) -> None:
    options, settings = {"reload_best": True, "cycles": 2}, {"checkpoint_every": 2}
    resumes(World("mie", 2, seed % 1000, options=options, missing=0.2, epochs=4, settings=settings))


@pytest.mark.parametrize("count", [2, 3])
def test_igm_is_mie_with_the_published_settings(seed: int, count: int) -> None:
    published = {
        "rho": 1e-10,
        "sam": "head",
        "flat_weight": 0.3,
        "mixup_alpha": 1.0,
        "fresh_optimiser": True,
        "reload_best": True,
    }
    ours = World("igm", count, seed % 9999, epochs=3)
    other = World("mie", count, seed % 9999, published, epochs=3)
    assert not differing(*(snapshot(w.train()[1].model) for w in (ours, other)))
