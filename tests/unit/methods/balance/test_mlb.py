"""MLB: the factors, and what they multiply."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.methods.balance.mlb import MLB, rate_factors
from equipoise.methods.parts.scores import true_class_scores
from equipoise.testing.world import World, differing, snapshot

INPUTS = {"a": 3, "b": 4, "c": 2}


@pytest.mark.parametrize(
    ("scores", "largest", "expected"),
    [
        ([0.8, 0.4], 2.0, [0.537883, 1.761594]),
        ([0.8, 0.4], 10.0, [0.537883, 7.854347]),
        ([0.6, 0.3, 0.3], 2.0, [0.537883, 1.462117, 1.462117]),
        ([0.4, 0.4, 0.4], 10.0, [1.0, 1.0, 1.0]),
        ([0.8, 0.4], 1.0, [0.537883, 1.0]),
    ],
)
def test_factors_worked_out_by_hand(
    scores: list[float], largest: float, expected: list[float]
) -> None:
    found = rate_factors(torch.tensor(scores, dtype=torch.float64), 1.0, largest)
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("apply", ["rate", "gradient"])
@pytest.mark.parametrize("names", ["ab", "abc"])
def test_a_step_of_sgd_is_multiplied_by_the_factor(
    seed: int, world: SimpleNamespace, names: str, apply: str
) -> None:
    inputs = {m: INPUTS[m] for m in names}
    batch = world.batch(inputs, absent={"b": [1, 4]})
    moves = []
    for alpha in (0.0, 1.3):
        torch.manual_seed(seed)
        model = world.model("auxiliary", inputs)
        before = {name: p.clone() for name, p in model.named_parameters()}
        ctx = world.context(model, [batch], lr=0.1, momentum=0.0, weight_decay=0.0)
        scores = true_class_scores(list(names), model(batch), batch, ctx)
        world.train(MLB(alpha, 3.0, apply), ctx)
        moves.append({n: p.detach() - before[n] for n, p in model.named_parameters()})
    factors = dict(zip(names, rate_factors(scores, 1.3, 3.0), strict=True))
    plain, scaled = moves
    for name, move in plain.items():
        owner = next((m for m in names if f".{m}." in f".{name}"), None)
        factor = 1.0 if owner is None else factors[owner]
        torch.testing.assert_close(scaled[name], factor * move, rtol=1e-4, atol=1e-7)
    assert "head.bias" in plain


@pytest.mark.filterwarnings("ignore:method 'mlb' with 'apply' gradient scales gradients")
def test_the_rate_of_adam_is_multiplied_and_its_gradient_hardly_matters(
    seed: int, world: SimpleNamespace
) -> None:
    batch = world.batch(INPUTS)
    ends = {}
    for options in ({"alpha": 0.0}, {"apply": "rate"}, {"apply": "gradient"}):
        torch.manual_seed(seed)
        model = world.model("auxiliary", INPUTS)
        ctx = world.context(model, [batch], name="adam", lr=0.01, weight_decay=0.0)
        world.train("mlb", ctx, **options)
        ends[str(options)] = torch.cat([p.flatten() for p in model.encoders.parameters()])
    plain, rate, gradient = ends.values()
    assert (rate - plain).abs().max() > 10 * (gradient - plain).abs().max()


@pytest.mark.parametrize("apply", ["rate", "gradient"])
@pytest.mark.parametrize("count", [2, 3])
def test_without_factors_it_is_joint_uniform(seed: int, count: int, apply: str) -> None:
    ours = World("mlb", count, seed % 9999, {"alpha": 0.0, "apply": apply}, missing=0.2)
    other = World("joint-uniform", count, seed % 9999, missing=0.2)
    assert not differing(*(snapshot(w.train()[1].model) for w in (ours, other)))


def test_refusals(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="use head 'auxiliary'"):
        MLB().setup(world.context(world.model("concat", INPUTS), []))
    with pytest.raises(ConfigError, match="MLB: 'apply' must be one of rate, gradient"):
        MLB(apply="step")
