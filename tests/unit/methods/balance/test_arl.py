"""ARL: the weights, and the gradients that they multiply."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods.balance.arl import ARL, asymmetric_weights
from equipoise.testing.world import World, differing, snapshot

INPUTS = {"a": 3, "b": 4, "c": 2}


def weights(entropies: list[float], contributions: list[float], t: float = 8.0) -> list[float]:
    return asymmetric_weights(
        torch.tensor(entropies, dtype=torch.float64),
        torch.tensor(contributions, dtype=torch.float64),
        t,
    ).tolist()


def test_weights_worked_out_by_hand() -> None:
    assert weights([0.6, 1.2], [0.5, 0.5]) == pytest.approx([0.791391, 0.208609], abs=1e-6)
    # The share 0.1 of the first is raised to 0.3: h = (0.75, 0.25).
    first, second = torch.tensor([8 * 0.75 / 2, 8 * 0.25 / 2], dtype=torch.float64).softmax(0)
    assert weights([0.1, 0.9], [0.5, 0.5]) == pytest.approx([first.item(), second.item()])
    # The contribution that counts is that of the other modality.
    expected = torch.tensor([8 * 2 / 3 * 0.8, 8 / 3 * 0.2], dtype=torch.float64).softmax(0)
    assert weights([0.6, 1.2], [0.2, 0.8]) == pytest.approx(expected.tolist())


@pytest.mark.parametrize("count", [2, 3, 4])
def test_equal_modalities_have_equal_weights(count: int) -> None:
    found = weights([0.7] * count, [1 / count] * count)
    assert found == pytest.approx([1 / count] * count)


def gradients(
    seed: int, world: SimpleNamespace, names: str, **options: object
) -> tuple[dict, dict, dict]:
    """Gradients of a step by name, those of the loss alone, and w of the modalities."""
    inputs = {m: INPUTS[m] for m in names}
    model = world.model("concat", inputs).double()
    batch = world.batch(inputs, absent={"b": [1, 4]}).apply(
        lambda t: t.double() if t.is_floating_point() else t
    )
    ctx = world.context(model, [batch])
    method = ARL(warm_up=0.0, normalise=False, **options)
    output = model(batch)
    loss = F.cross_entropy(output.fused, batch.label)
    entropies, sizes = [], []
    for m in names:
        here = batch.present[m]
        loss = loss + 4 * F.cross_entropy(output.logits[m][here], batch.label[here])
        p = output.logits[m][here].softmax(1)
        entropies.append(-(p * p.log()).sum(1).mean().item())
        sizes.append(output.logits[m][here].abs().mean(0).sum().item())
    names_ = [n for n, _ in model.named_parameters()]
    plain = dict(zip(names_, torch.autograd.grad(loss, [*model.parameters()]), strict=True))
    method.setup(ctx)
    ctx.update = lambda: None
    method.step(batch, ctx)
    found = {n: p.grad for n, p in model.named_parameters()}
    w = weights(entropies, [s / sum(sizes) for s in sizes])
    return found, plain, dict(zip(names, w, strict=True))


@pytest.mark.parametrize("kind", ["adaptive", "constant", "none"])
@pytest.mark.parametrize("names", ["ab", "abc"])
def test_encoders_are_multiplied_and_the_head_is_not(
    seed: int, world: SimpleNamespace, names: str, kind: str
) -> None:
    found, plain, w = gradients(seed, world, names, weights=kind)
    for name, gradient in plain.items():
        owner = name.split(".")[1]
        factor = 1.0
        if name.startswith("encoders"):
            factor = {"adaptive": 1 + w[owner], "constant": 1.5, "none": 1.0}[kind]
        torch.testing.assert_close(found[name], factor * gradient)


@pytest.mark.parametrize(("gamma", "factor"), [(4.0, 4.0), (0.5, 1.0)])
def test_the_loss_is_divided_by_a_gamma_above_1(
    seed: int, world: SimpleNamespace, gamma: float, factor: float
) -> None:
    batch = world.batch(INPUTS)
    ctx = world.context(world.model("concat", INPUTS), [batch])
    output = ctx.model(batch)
    ours, published = (
        ARL(gamma, warm_up=0.0, normalise=n).loss(output, batch, ctx) for n in (True, False)
    )
    torch.testing.assert_close(factor * ours, published)


@pytest.mark.parametrize("count", [2, 3])
def test_first_epochs_have_no_factor_and_a_weight_of_1(seed: int, count: int) -> None:
    ours = World("arl", count, seed % 9999, {"warm_up": 1.0})
    other = World("joint-uniform", count, seed % 9999, head="concat")
    assert not differing(*(snapshot(w.train()[1].model) for w in (ours, other)))


def test_it_starts_after_a_fraction_of_the_run(seed: int) -> None:
    method, ctx = World("arl", 2, seed % 9999, epochs=50).build()
    started = []
    for epoch in range(50):
        ctx.position.epoch = epoch
        started.append(method.started(ctx))
    assert started == [False] * 3 + [True] * 47


def test_warns_under_adam_and_refuses_heads_without_parts(world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    with pytest.warns(UserWarning, match="use optimiser 'sgd'"):
        ARL().setup(world.context(model, [], name="adamw"))
    with pytest.raises(ConfigError, match="use head 'concat' or 'sum'"):
        ARL().setup(world.context(world.model("late", INPUTS), []))
    with pytest.raises(ConfigError, match="ARL: 'weights' must be one of adaptive, constant, none"):
        ARL(weights="released")
