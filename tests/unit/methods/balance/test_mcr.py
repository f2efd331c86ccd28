"""MCR: the dependence on a modality, the game over it, and the contrastive loss."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from equipoise.errors import ConfigError
from equipoise.methods.balance.mcr import MCR, contrast, game_loss, jensen_shannon
from equipoise.testing.world import World, differing, snapshot

INPUTS = {"a": 3, "b": 4, "c": 2}


def test_divergence_worked_out_by_hand(seed: int) -> None:
    p, q = torch.tensor([[0.9, 0.1], [0.5, 0.5]], dtype=torch.float64).log()
    assert jensen_shannon(p, q).item() == pytest.approx(0.101749, abs=1e-6)
    assert jensen_shannon(p, p + 3).item() == pytest.approx(0, abs=1e-12)
    far = torch.tensor([100.0, 0.0], dtype=torch.float64)
    assert jensen_shannon(far, -far).item() == pytest.approx(math.log(2))


def scene(count: int, rows: int = 6) -> tuple[dict, dict, Tensor, dict]:
    """Parts, presence, the rest, and permutations of three modalities at most."""
    names = list(INPUTS)[:count]
    parts = {m: torch.randn(rows, 4, dtype=torch.float64, requires_grad=True) for m in names}
    present = {m: torch.ones(rows, dtype=torch.bool) for m in names}
    rest = torch.randn(4, dtype=torch.float64).expand(rows, 4)
    orders = {m: torch.stack([torch.randperm(rows) for _ in range(3)]) for m in names}
    return parts, present, rest, orders


def dependence(m: str, parts: dict, rest: Tensor, orders: dict) -> Tensor:
    """J_m with everything moving."""
    fused = rest + sum(parts.values())
    return torch.stack(
        [jensen_shannon(fused, fused - parts[m] + parts[m][order]).mean() for order in orders[m]]
    ).mean()


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("k", [-1.0, 0.0, 0.4, 1.0])
def test_each_player_descends_its_own_game(seed: int, count: int, k: float) -> None:
    parts, present, rest, orders = scene(count)
    loss, found = game_loss(parts, present, rest, orders, k)
    values = {m: dependence(m, parts, rest, orders) for m in parts}
    for m, value in values.items():
        assert found[m].item() == pytest.approx(value.item())
        others = torch.stack([values[j] for j in parts if j != m]).mean()
        (expected,) = torch.autograd.grad(-value - k * others, [parts[m]], retain_graph=True)
        (ours,) = torch.autograd.grad(loss, [parts[m]], retain_graph=True)
        torch.testing.assert_close(ours, expected)
        assert ours.abs().max() > 1e-6
    if k == -1:
        assert loss.item() == pytest.approx(0, abs=1e-12)


def test_nothing_depends_on_a_constant_part_or_on_the_same_order(seed: int) -> None:
    parts, present, rest, orders = scene(2)
    constant = {**parts, "a": torch.ones(6, 4, dtype=torch.float64)}
    assert game_loss(constant, present, rest, orders, -1.0)[1]["a"].item() == pytest.approx(0)
    same = {m: torch.arange(6).expand(3, 6) for m in parts}
    found = game_loss(parts, present, rest, same, -1.0)[1]
    assert [value.item() for value in found.values()] == pytest.approx([0, 0], abs=1e-12)


def test_only_samples_that_have_the_modality_exchange_it(seed: int) -> None:
    parts, present, rest, orders = scene(2)
    present["a"][:2] = False
    orders["a"] = torch.stack([torch.randperm(4) for _ in range(3)])
    expected = dependence("a", {m: u[2:] for m, u in parts.items()}, rest[2:], {"a": orders["a"]})
    loss, found = game_loss(parts, present, rest, orders, 0.0)
    assert found["a"].item() == pytest.approx(expected.item())
    (gradient,) = torch.autograd.grad(loss, [parts["a"]])
    assert not gradient[:2].any()


def test_a_single_sample_has_nothing_to_exchange(seed: int) -> None:
    parts, present, rest, orders = scene(2, rows=1)
    loss, _ = game_loss(parts, present, rest, orders, 0.5)
    assert loss.item() == 0
    (gradient,) = torch.autograd.grad(loss, [parts["a"]])
    assert gradient.abs().max() < 1e-12


def test_contrast_is_that_of_a_loop(seed: int) -> None:
    features = torch.randn(7, 3, dtype=torch.float64)
    label = torch.tensor([0, 0, 1, 1, 1, 2, 0])
    h = features / features.norm(dim=1, keepdim=True)
    terms = []
    for i in range(7):
        partners = [j for j in range(7) if j != i and label[j] == label[i]]
        total = sum(math.exp(h[i] @ h[j] / 0.5) for j in range(7) if j != i)
        if partners:
            each = [math.log(math.exp(h[i] @ h[p] / 0.5) / total) for p in partners]
            terms.append(-sum(each) / len(each))
    assert contrast(features, label, 0.5).item() == pytest.approx(sum(terms) / len(terms))
    assert contrast(features[:1], label[:1], 0.5).item() == 0


@pytest.mark.parametrize("head", ["auxiliary", "concat", "sum"])
def test_the_game_moves_encoders_and_blocks_but_no_shared_bias(
    seed: int, world: SimpleNamespace, head: str
) -> None:
    model = world.model(head, INPUTS).double()
    batch = world.batch(INPUTS).apply(lambda t: t.double() if t.is_floating_point() else t)
    ctx = world.context(model, [batch])
    method = MCR()
    method.setup(ctx)
    loss = method.play(list(INPUTS), model(batch), batch, ctx)
    assert loss.item() == pytest.approx(0, abs=1e-12)
    ctx.backward(loss)
    for name, parameter in model.named_parameters():
        if ".own." in name:
            assert parameter.grad is None
        elif name == "head.bias":
            assert parameter.grad is None or parameter.grad.abs().max() < 1e-10
        elif not name.endswith("bias"):
            assert parameter.grad.abs().max() > 1e-8, name


@pytest.mark.parametrize("count", [2, 3])
def test_without_game_and_contrast_it_is_joint_uniform(seed: int, count: int) -> None:
    ours = World("mcr", count, seed % 9999, {"weight": 0.0, "contrast": 0.0}, missing=0.2)
    other = World("joint-uniform", count, seed % 9999, missing=0.2)
    assert not differing(*(snapshot(w.train()[1].model) for w in (ours, other)))


def test_features_of_different_widths_are_not_compared(world: SimpleNamespace) -> None:
    model = world.model("auxiliary", INPUTS)
    model.head.widths["a"] = 7
    ctx = world.context(model, [])
    method = MCR()
    method.setup(ctx)
    assert method.contrast_weight == 0
    with pytest.raises(ConfigError, match="their widths are 5, 7"):
        MCR(contrast=1.0).setup(ctx)


def test_refusals(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="use head 'auxiliary'"):
        MCR().setup(world.context(world.model("late", INPUTS), []))
    with pytest.raises(ConfigError, match="MCR: 'game' must be one of greedy, independent"):
        MCR(game="zero-sum")
    with pytest.raises(ConfigError, match="MCR: 'contrast' must be at least 0 and finite, or auto"):
        MCR(contrast="yes")
