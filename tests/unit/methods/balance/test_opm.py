"""OPM: the drop rates, the features that are left, and the loss on them."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.batch import Output
from equipoise.errors import ConfigError
from equipoise.methods.balance import opm
from equipoise.methods.balance.opm import OPM, drop, drop_rates
from equipoise.methods.parts.losses import fused_loss
from equipoise.methods.parts.scores import ratios

INPUTS = {"a": 3, "b": 4, "c": 2}


def test_drop_rates_worked_out_by_hand() -> None:
    ratio = ratios(torch.tensor([30.0, 20.0], dtype=torch.float64))
    assert ratio.tolist() == pytest.approx([1.5, 2 / 3])
    expected = [0.5 * (1 + 0.5 * math.tanh(0.5)), 0.0]
    assert drop_rates(ratio, 0.5, 0.5).tolist() == pytest.approx(expected)
    assert drop_rates(torch.tensor([3.0, 1.0, 0.2]), 0.9, 2.0).tolist() == [1.0, 0.0, 0.0]


def test_the_weakest_modality_is_never_dropped(seed: int) -> None:
    for scores in torch.rand(50, 4) + 0.1:
        rates = drop_rates(ratios(scores), 0.5, 0.5)
        assert float(rates[scores.argmin()]) == 0.0
        assert float(rates.max()) >= 0.5
    assert drop_rates(ratios(torch.full((3,), 0.4)), 0.5, 0.5).tolist() == [0.0, 0.0, 0.0]


def test_expected_active_dimensions_are_made_up_for(seed: int, world: SimpleNamespace) -> None:
    batch = world.batch(INPUTS, rows=20_000)
    ctx = world.context(world.model("concat", INPUTS), [batch])
    widths = {"a": 3, "b": 5, "c": 8}
    ones = {m: torch.ones(len(batch), w) for m, w in widths.items()}
    rates = {"a": torch.tensor(0.7), "b": torch.tensor(0.0), "c": torch.tensor(0.2)}
    left = drop(rates, Output(ones, {}, torch.empty(0)), batch, ctx)
    lost = (0.7 * 3 + 0.2 * 8) / 16
    assert float(left.features["c"][0, 0]) == pytest.approx(1 / (1 - lost))
    active = sum(
        float((left.features[m] * left.present[m].unsqueeze(1)).sum(1).mean()) for m in widths
    )
    assert active == pytest.approx(16, rel=0.02)
    assert float(left.present["a"].float().mean()) == pytest.approx(0.3, abs=0.02)
    assert bool(left.present["b"].all())


def test_a_sample_is_made_up_for_what_it_is_to_lose_itself(
    seed: int, world: SimpleNamespace
) -> None:
    """Over the modalities that it has: one that lacks those that are dropped stays as it is."""
    batch = world.batch(INPUTS, rows=4, absent={"a": [0], "b": [1], "c": [1, 2]})
    ctx = world.context(world.model("concat", INPUTS), [batch])
    widths = {"a": 3, "b": 5, "c": 8}
    ones = {m: torch.ones(4, w) for m, w in widths.items()}
    rates = {"a": torch.tensor(0.7), "b": torch.tensor(0.0), "c": torch.tensor(0.0)}
    left = drop(rates, Output(ones, {}, torch.empty(0)), batch, ctx)
    scales = [1, 1 / 0.3, 1 / (1 - 2.1 / 8), 1 / (1 - 2.1 / 16)]
    for z in left.features.values():
        torch.testing.assert_close(z, torch.tensor(scales).unsqueeze(1).expand_as(z))
    rates["a"] = torch.tensor(1.0)
    left = drop(rates, Output(ones, {}, torch.empty(0)), batch, ctx)
    assert all(bool(z.isfinite().all()) for z in left.features.values())
    assert not left.present["a"].any()


def test_loss_is_taken_on_what_is_left(
    seed: int, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = world.model("concat", INPUTS).double()
    batch = world.batch(INPUTS, absent={"b": [0, 1], "c": [0, 2]}).apply(
        lambda t: t.double() if t.is_floating_point() else t
    )
    ctx = world.context(model, [batch])
    monkeypatch.setattr(
        opm, "drop_rates", lambda *_: torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    )
    output = model(batch)
    z, blocks = output.features, model.head.blocks
    kept = slice(1, None)  # the first sample has nothing but a
    widths = (
        5 * torch.stack([batch.present[m] for m in INPUTS]).sum(0, keepdim=True).T
    )  # of each sample's features
    shown = {m: z[m] * batch.present[m].unsqueeze(1) for m in "bc"}
    logits = (
        widths[kept] / (widths[kept] - 5) * sum(shown[m][kept] @ blocks[m].weight.T for m in "bc")
    )
    logits = logits + model.head.bias
    expected = F.cross_entropy(logits, batch.label[kept])
    found = OPM(probability=1.0, warm_up=0).loss(output, batch, ctx)
    torch.testing.assert_close(found, expected)


def test_scores_decide_who_is_dropped(seed: int, world: SimpleNamespace) -> None:
    model = world.model("sum", {"a": 3, "b": 4})
    batch = world.batch({"a": 3, "b": 4})
    with torch.no_grad():  # b knows nothing, a is always right
        for p in model.group("b").head:
            p.zero_()
    output = model(batch)
    output.logits["a"].data.copy_(20 * F.one_hot(batch.label, world.classes).float())
    OPM(base=1.0, probability=1.0, warm_up=0).loss(
        output, batch, world.context(model, [batch])
    ).backward()
    assert all(p.grad is None or not p.grad.any() for p in model.group("a").encoder)
    assert any(p.grad is not None and bool(p.grad.any()) for p in model.group("b").head)


@pytest.mark.parametrize(
    "options", [{"warm_up": 1}, {"probability": 0.0, "warm_up": 0}, {"base": 0.0, "warm_up": 0}]
)
def test_is_joint_training_where_nothing_is_dropped(
    seed: int, world: SimpleNamespace, options: dict[str, float]
) -> None:
    model = world.model("concat", INPUTS)
    batch = world.batch(INPUTS, absent={"b": [1]})
    output = model(batch)
    ctx = world.context(model, [batch])
    torch.testing.assert_close(
        OPM(**{"probability": 1.0, **options}).loss(output, batch, ctx),
        fused_loss(output, batch, ctx),
    )


def test_the_share_of_batches_is_the_probability(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    batch = world.batch(INPUTS)
    ctx = world.context(model, [batch])
    ctx.rng.manual_seed(seed)
    output = model(batch)
    method, plain = OPM(probability=0.3, warm_up=0, base=0.9), fused_loss(output, batch, ctx)
    with torch.no_grad():
        changed = sum(not torch.equal(method.loss(output, batch, ctx), plain) for _ in range(600))
    assert changed / 600 == pytest.approx(0.3, abs=0.11)


def test_training_depends_on_the_contexts_stream_only(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    other = copy.deepcopy(model)
    batches = [world.batch(INPUTS, absent={"c": [0]}) for _ in range(3)]
    for number, which in enumerate((model, other)):
        torch.manual_seed(number)
        world.train("opm", world.context(which, batches), 2, warm_up=0)
    assert all(
        torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True)
    )


def test_wants_a_decomposable_head(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="use head 'concat' or 'sum'"):
        OPM().setup(world.context(world.model("late", INPUTS), []))


@pytest.mark.parametrize(
    "options",
    [{"base": 1.1}, {"lead": -0.1}, {"probability": 1.2}, {"warm_up": -1}, {"warm_up": 1.5}],
)
def test_refuses_bad_options(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"OPM: '{next(iter(options))}' must be"):
        OPM(**options)  # type: ignore[arg-type]
