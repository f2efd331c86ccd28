"""MMIN and IF-MMIN: targets, the frozen teacher, cycle and invariance."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods.missing.if_mmin import IFMMIN, discrepancy
from equipoise.methods.missing.mmin import MMIN, imagination_loss
from equipoise.model import Model

INPUTS = {"a": 3, "b": 4, "c": 2}
KINDS = {"mmin": MMIN, "if-mmin": IFMMIN}


def masked(world: SimpleNamespace) -> object:
    """A batch whose first three samples have one modality hidden, and the fourth two."""
    shown = {m: torch.ones(8, dtype=torch.bool) for m in INPUTS}
    for row, name in enumerate([*INPUTS, "a"]):
        shown[name][row] = False
    shown["b"][3] = False
    return world.batch(INPUTS).hide(shown)


def student(world: SimpleNamespace, name: str, **options: object) -> tuple:
    model = world.model(name, INPUTS)
    batch = masked(world).rows(slice(0, 4))
    method, ctx = KINDS[name](**options), world.context(model, [batch])
    method.setup(ctx)
    return model, batch, method, ctx


def joint_of(features: dict, present: dict) -> torch.Tensor:
    return torch.cat([features[m] * present[m].unsqueeze(1) for m in sorted(INPUTS)], 1)


def test_mmins_loss_by_hand(seed: int, world: SimpleNamespace) -> None:
    model, batch, method, ctx = student(world, "mmin", imagination=3.0, cycle=2.0)
    features = model(batch.revealed()).features
    joint = joint_of(features, batch.present)
    target = joint_of(features, {m: ~p for m, p in batch.present.items()})
    code, imagined = model.head.restore(joint)
    back = model.head.backward_transition(model.head.backward_cascade(imagined)[0])
    expected = F.cross_entropy(model.head.classify(code), batch.label)
    expected = expected + 3 * F.mse_loss(imagined, target) + 2 * F.mse_loss(back, joint)
    torch.testing.assert_close(method.study(batch, ctx), expected)


def test_if_mmins_loss_by_hand(seed: int, world: SimpleNamespace) -> None:
    model, batch, method, ctx = student(world, "if-mmin", imagination=3.0, invariance=2.0)
    features = model(batch.revealed()).features
    joint = joint_of(features, batch.present)
    target = joint_of(features, {m: ~p for m, p in batch.present.items()})
    whole = torch.cat([features[m] for m in sorted(INPUTS)], 1)
    shared = [torch.cat(list(model.head.invariants(x).values()), 1) for x in (joint, whole)]
    code, imagined = model.head.restore(joint)
    expected = F.cross_entropy(model.head.classify(code), batch.label)
    expected = expected + 3 * F.mse_loss(imagined, target) + 2 * F.mse_loss(*shared)
    torch.testing.assert_close(method.study(batch, ctx), expected)


def test_samples_without_hidden_content_have_no_target(seed: int, world: SimpleNamespace) -> None:
    batch = masked(world)
    features = {m: torch.randn(8, 5) for m in INPUTS}
    imagined = {m: torch.randn(8, 5) for m in INPUTS}
    ctx = world.context(world.model("mmin", INPUTS), [batch])
    whole = imagination_loss(imagined, features, batch.present, batch, ctx)
    part = batch.rows(slice(0, 4))
    expected = imagination_loss(
        {m: x[:4] for m, x in imagined.items()},
        {m: x[:4] for m, x in features.items()},
        part.present,
        part,
        ctx,
    )
    torch.testing.assert_close(whole, expected)
    rest = batch.rows(slice(4, 8))
    none = imagination_loss(
        {m: x[4:] for m, x in imagined.items()},
        {m: x[4:] for m, x in features.items()},
        rest.present,
        rest,
        ctx,
    )
    assert float(none) == 0


def test_shown_cells_have_the_target_zero_whatever_the_teacher_says(
    seed: int, world: SimpleNamespace
) -> None:
    batch = masked(world).rows(slice(0, 4))
    imagined = {m: torch.randn(4, 5) for m in INPUTS}
    ctx = world.context(world.model("mmin", INPUTS), [batch])
    found = []
    for noise in (0.0, 9.0):
        taught = {m: torch.ones(4, 5) + noise * batch.present[m].unsqueeze(1) for m in INPUTS}
        found.append(imagination_loss(imagined, taught, batch.present, batch, ctx))
    assert torch.equal(*found)


@pytest.mark.parametrize("name", KINDS)
def test_the_teacher_is_frozen(seed: int, world: SimpleNamespace, name: str) -> None:
    model, batch, method, ctx = student(world, name)
    kept = {n: b.clone() for n, b in method.teacher.named_buffers()}
    for _ in range(2):
        ctx.position.phase = 1
        method.step(batch, ctx)
    assert all(torch.equal(b, kept[n]) for n, b in method.teacher.named_buffers())
    assert any(
        not torch.equal(b, p)
        for b, p in zip(kept.values(), model.state_dict().values(), strict=True)
    )
    assert not list(method.parameters())


def test_the_teacher_answers_with_its_own_weights(seed: int, world: SimpleNamespace) -> None:
    model, batch, method, _ = student(world, "mmin")
    before = method.teacher.answer(Model.encode, batch.revealed())
    with torch.no_grad():
        for p in model.parameters():
            p.add_(1.0)
    after = method.teacher.answer(Model.encode, batch.revealed())
    assert all(torch.equal(before[m], after[m]) for m in INPUTS)
    assert not torch.allclose(before["a"], model(batch.revealed()).features["a"])
    assert not any(z.requires_grad for z in after.values())
    assert model.training


def test_the_cycle_does_not_train_its_target(seed: int, world: SimpleNamespace) -> None:
    model, batch, method, ctx = student(world, "mmin", imagination=0.0, cycle=0.0)
    for p in model.head.backward_transition[2].parameters():
        torch.nn.init.zeros_(p)  # E' is zero, so that E could only learn as a target
    weight = model.encoders["a"].layers[2].weight
    (plain,) = torch.autograd.grad(method.study(batch, ctx), weight)
    method.cycle = 50.0
    (found,) = torch.autograd.grad(method.study(batch, ctx), weight)
    torch.testing.assert_close(found, plain)


def test_the_first_phase_makes_the_teacher_and_the_student_starts_there(
    seed: int, world: SimpleNamespace
) -> None:
    model = world.model("mmin", INPUTS)
    batches = [world.batch(INPUTS) for _ in range(2)]
    twin = copy.deepcopy(model)
    ctx = world.context(twin, batches, 1)
    method = MMIN()
    method.setup(ctx)
    assert [phase.epochs for phase in MMIN(teacher=0.25).phases(8)] == [2, 6]
    assert [phase.epochs for phase in method.phases(1)] == [0, 1]
    for batch in batches:
        method.step(batch, ctx)
    method.on_phase_end(ctx)
    assert all(
        torch.equal(b, p)
        for b, p in zip(method.teacher.buffers(), twin.state_dict().values(), strict=True)
    )
    assert torch.equal(twin.head.transition[0].weight, model.head.transition[0].weight)
    assert not torch.equal(
        twin.encoders["a"].layers[0].weight, model.encoders["a"].layers[0].weight
    )


def test_central_moment_discrepancy(seed: int, world: SimpleNamespace) -> None:
    ctx = world.context(world.model("concat", {"x": 2, "y": 2}), [])
    full = {m: torch.ones(3, dtype=torch.bool) for m in "xy"}

    def cmd(x: torch.Tensor, y: torch.Tensor) -> float:
        return float(discrepancy({"x": x, "y": y}, full, ctx))

    x, y = (
        torch.tensor([[0.0, 1], [1, 0], [2, 2]]).double(),
        torch.tensor([[1.0, 1], [1, 3], [4, 2]]).double(),
    )
    assert cmd(x, y) == pytest.approx(20.080879, abs=2e-5)
    assert cmd(x, y) == pytest.approx(cmd(y, x))
    assert cmd(x, x) == 0
    shift = torch.randn(2).double()
    assert cmd(x, x + shift) == pytest.approx(float(shift.norm()), abs=1e-5)


def test_discrepancy_compares_the_rows_that_have_the_modality(
    seed: int, world: SimpleNamespace
) -> None:
    ctx = world.context(world.model("concat", INPUTS), [])
    values = {m: torch.randn(6, 4).requires_grad_() for m in INPUTS}
    present = {
        "a": torch.arange(6) < 4,
        "b": torch.arange(6) > 2,
        "c": torch.zeros(6, dtype=torch.bool),
    }
    found = discrepancy(values, present, ctx)
    full = {m: torch.ones(p, dtype=torch.bool) for m, p in (("a", 4), ("b", 3))}
    rows = {"a": values["a"][:4], "b": values["b"][3:]}
    torch.testing.assert_close(found, pair(rows, full, ctx))
    found.backward()
    assert all(x.grad is None or bool(x.grad.isfinite().all()) for x in values.values())


def pair(rows: dict, full: dict, ctx: object) -> torch.Tensor:
    total = torch.zeros(())
    for k in range(1, 6):
        moments = [x.mean(0) if k == 1 else (x - x.mean(0)).pow(k).mean(0) for x in rows.values()]
        total = total + (moments[0] - moments[1]).norm()
    return total


@pytest.mark.parametrize("name", list(KINDS))
def test_each_network_is_clipped_by_itself(
    seed: int, world: SimpleNamespace, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    model = world.model(name, INPUTS)
    batch = masked(world)
    for clip in (0.0, 1e-4):
        method, ctx = KINDS[name](clip=clip), world.context(model, [batch])
        method.setup(ctx)
        ctx.position.phase = 1  # the student's
        monkeypatch.setattr(ctx, "update", lambda: None)
        model.zero_grad()
        method.step(batch, ctx)
        found[clip] = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    networks = {".".join(n.split(".")[:2]) for n in found[0.0]}
    assert len(networks) > len(INPUTS) + 1
    for network in networks:
        whole, clipped = (
            torch.cat([g.flatten() for n, g in of.items() if n.startswith(f"{network}.")])
            for of in found.values()
        )
        expected = whole * min(1.0, 1e-4 / float(whole.norm()))
        torch.testing.assert_close(clipped, expected, rtol=1e-2, atol=1e-7)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (MMIN, {"imagination": -1}),
        (MMIN, {"cycle": -1}),
        (MMIN, {"teacher": 1.0}),
        (MMIN, {"clip": -1}),
        (IFMMIN, {"invariance": -1}),
    ],
)
def test_refuses_bad_options(kind: type, options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"{kind.__name__}: '{next(iter(options))}' must be"):
        kind(**options)
