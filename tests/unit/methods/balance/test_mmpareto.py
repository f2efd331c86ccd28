"""MMPareto: the shortest combination, its length, and the gradients of encoders and heads."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods.balance.mmpareto import MMPareto, combine_gradients, fused_weight

INPUTS = {"a": 3, "b": 4, "c": 2}


def vectors(conflict: bool) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Two gradients over two tensors, with a negative inner product if they conflict."""
    g = [torch.randn(3, 4, dtype=torch.float64), torch.randn(5, dtype=torch.float64)]
    u = [torch.randn_like(x) * 3 for x in g]
    if (float(dot(g, u)) < 0) != conflict:
        u = [-x for x in u]
    return g, u


def dot(first: list[torch.Tensor], second: list[torch.Tensor]) -> torch.Tensor:
    return flat(first) @ flat(second)


def combined_of(
    g: list[torch.Tensor], u: list[torch.Tensor], gamma: float, rescale: str = "encoder"
) -> tuple[list[torch.Tensor], torch.Tensor]:
    total = [x + y for x, y in zip(g, u, strict=True)]
    a = combine_gradients(total, [y.clone() for y in u], gamma, rescale)
    return total, a


def flat(tensors: object) -> torch.Tensor:
    return torch.cat([t.reshape(-1) for t in tensors])  # type: ignore[attr-defined]


def test_share_worked_out_by_hand() -> None:
    def of(*g_u: list[float]) -> float:
        g, u = (torch.tensor(x, dtype=torch.float64) for x in g_u)
        return float(fused_weight(g @ g, u @ u, g @ u))

    assert of([1.0, 0.0], [-1.0, 1.0]) == pytest.approx((2 + 1) / (1 + 2 + 2))
    assert of([1.0, 0.0], [-1.0, 0.0]) == 0.5
    assert of([3.0, 0.0], [0.0, 1.0]) == pytest.approx(0.1)  # orthogonal: no agreement
    assert of([3.0, 0.1], [1.0, 0.0]) == 0.5
    assert of([0.0, 0.0], [1.0, 0.0]) == pytest.approx(0.999)
    assert of([1.0, 0.0], [0.0, 0.0]) == pytest.approx(0.001)


def test_in_conflict_the_combination_is_the_shortest(seed: int) -> None:
    for _ in range(20):
        g, u = vectors(conflict=True)
        a = fused_weight(dot(g, g), dot(u, u), dot(g, u))
        grid = torch.linspace(0, 1, 2001, dtype=torch.float64).unsqueeze(1)
        lengths = (grid * flat(g) + (1 - grid) * flat(u)).norm(dim=1)
        assert float(a) == pytest.approx(float(grid[lengths.argmin(), 0]), abs=1e-3)


def test_in_conflict_neither_loss_is_harmed_and_length_is_restored(seed: int) -> None:
    for _ in range(20):
        g, u = vectors(conflict=True)
        combined, a = combined_of(g, u, 1.5)
        found, h = flat(combined), 2 * a * flat(g) + 2 * (1 - a) * flat(u)
        assert float(found @ flat(g)) >= 0
        assert float(found @ flat(u)) >= 0
        assert float(found.norm()) == pytest.approx(
            1.5 * max(float(h.norm()), float((flat(g) + flat(u)).norm()))
        )
        assert float(F.cosine_similarity(found, h, dim=0)) == pytest.approx(1)


def test_in_agreement_it_is_the_sum(seed: int) -> None:
    g, u = vectors(conflict=False)
    combined, a = combined_of(g, u, 1.5)
    assert float(a) == 0.5
    torch.testing.assert_close(flat(combined), 1.5 * (flat(g) + flat(u)))


@pytest.mark.parametrize("factor", [-1.0, -0.3, -4.0, 0.0])
def test_opposed_gradients_cancel(seed: int, factor: float) -> None:
    for dtype in (torch.float32, torch.float64):
        g = [torch.randn(40, dtype=dtype)]
        combined, _ = combined_of(g, [factor * x for x in g], 1.5)
        expected = 1.5 * g[0] if factor == 0 else torch.zeros(40, dtype=dtype)
        torch.testing.assert_close(combined[0], expected, rtol=1e-3, atol=1e-4)


def test_tensors_may_be_rescaled_one_by_one(seed: int) -> None:
    g, u = vectors(conflict=True)
    combined, a = combined_of(g, u, 1.5, "tensor")
    for x, y, found in zip(g, u, combined, strict=True):
        h = 2 * a * x + 2 * (1 - a) * y
        factor = max(1.0, float((x + y).norm() / h.norm()))
        torch.testing.assert_close(found, 1.5 * factor * h)
    whole, _ = combined_of(g, u, 1.5)
    assert not torch.allclose(flat(combined), flat(whole))


def test_two_zero_gradients_stay_zero() -> None:
    zero = [torch.zeros(3)]
    assert not combined_of(zero, zero, 1.5)[0][0].any()


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_encoders_take_the_combination_and_heads_the_summed_loss(
    seed: int, world: SimpleNamespace, names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = {m: INPUTS[m] for m in names}
    model = world.model("auxiliary", inputs).double()
    batch = world.batch(inputs, absent={"b": [1, 4]}).apply(
        lambda t: t.double() if t.is_floating_point() else t
    )
    output = model(batch)
    there = {m: batch.present[m] for m in names}
    own = {m: F.cross_entropy(output.logits[m][there[m]], batch.label[there[m]]) for m in names}
    fused = F.cross_entropy(output.fused, batch.label)
    total = fused + sum(own.values())
    expected = {}
    for m in names:
        parameters = model.group(m).encoder
        g = flat(torch.autograd.grad(fused, parameters, retain_graph=True))
        u = flat(torch.autograd.grad(own[m], parameters, retain_graph=True))
        if g @ u <= 0:
            a = (u @ u - g @ u) / (g @ g + u @ u - 2 * g @ u)
            h = 2 * a * g + 2 * (1 - a) * u
            expected[m] = 1.5 * h * max(1.0, float((g + u).norm() / h.norm()))
        else:
            expected[m] = 1.5 * (g + u)
    heads = torch.autograd.grad(total, list(model.head.parameters()))
    ctx = world.context(model, [batch])
    monkeypatch.setattr(ctx, "update", lambda: None)
    method = MMPareto()
    method.setup(ctx)
    method.step(batch, ctx)
    for m in names:
        torch.testing.assert_close(flat(p.grad for p in model.group(m).encoder), expected[m])
    for parameter, gradient in zip(model.head.parameters(), heads, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_frozen_encoders_are_left_out(seed: int, world: SimpleNamespace) -> None:
    model = world.model("auxiliary", INPUTS)
    for parameter in model.group("a").encoder:
        parameter.requires_grad_(False)
    before = [p.clone() for p in model.group("a").encoder]
    world.train("mmpareto", world.context(model, [world.batch(INPUTS)]))
    assert all(torch.equal(p, q) for p, q in zip(model.group("a").encoder, before, strict=True))


def test_wants_own_classifiers(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="use head 'auxiliary'"):
        MMPareto().setup(world.context(world.model("concat", INPUTS), []))


@pytest.mark.parametrize("gamma", [0.0, -1.0, float("nan")])
def test_refuses_a_gamma_that_is_not_positive(gamma: float) -> None:
    with pytest.raises(ConfigError, match="MMPareto: 'gamma' must be positive"):
        MMPareto(gamma)
