"""OGM and OGM-GE: the five properties of the reference, and the published two-modality form."""

from __future__ import annotations

import copy
import math
import warnings
from types import SimpleNamespace

import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.methods.balance.ogm import OGM, OGMGE, gradient_noise, modulation_factors
from equipoise.methods.parts.scores import ratios, true_class_scores

INPUTS = {"a": 3, "b": 4, "c": 2}


def one_step(
    world: SimpleNamespace, model: torch.nn.Module, batch: object, method: OGM, **context: object
) -> dict:
    """The gradients a method leaves for the optimiser."""
    ctx = world.context(model, [batch], **context)
    method.setup(ctx)
    output = model(batch)
    ctx.seed_generators("step")
    ctx.backward(method.loss(output, batch, ctx))
    method.edit_gradients(output, batch, ctx)
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("head", ["concat", "sum"])
def test_alpha_zero_without_noise_is_joint_training(
    seed: int, world: SimpleNamespace, head: str
) -> None:
    model = world.model(head, INPUTS)
    other = copy.deepcopy(model)
    batches = [world.batch(INPUTS, absent={"b": [1]}) for _ in range(3)]
    world.train("ogm", world.context(model, batches), 2, alpha=0.0)
    world.train("joint", world.context(other, batches), 2)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)


def test_two_modalities_follow_the_published_form(seed: int) -> None:
    scores = torch.rand(2, dtype=torch.float64) + 0.1
    rho = float(scores[0] / scores[1])
    found = modulation_factors(ratios(scores), 0.8)
    expected = [1 - math.tanh(0.8 * r) if r > 1 else 1.0 for r in (rho, 1 / rho)]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)
    assert [
        float(modulation_factors(torch.tensor([1.0 + 1e-6]), a)) for a in (0.1, 0.3, 0.8)
    ] == pytest.approx([0.900, 0.709, 0.336], abs=1e-3)


@pytest.mark.parametrize("others", ["mean", "sum", "min"])
def test_the_weakest_modality_is_never_damped(seed: int, others: str) -> None:
    for scores in (
        torch.rand(50, 4, dtype=torch.float64) + 0.1
    ):  # tanh reaches 1 in float32 at a ratio near 10
        found = modulation_factors(ratios(scores, others), 0.8)
        assert float(found[scores.argmin()]) == 1.0
        assert bool(((found > 0) & (found <= 1)).all())
        order = torch.randperm(4)
        torch.testing.assert_close(
            modulation_factors(ratios(scores[order], others), 0.8), found[order]
        )


def test_rules_for_more_than_two_differ_as_stated() -> None:
    scores = torch.tensor([0.6, 0.3, 0.2])
    assert ratios(scores, "mean").tolist() == pytest.approx([2.4, 0.75, 4 / 9])
    assert ratios(scores, "sum").tolist() == pytest.approx([1.2, 0.375, 2 / 9])
    assert ratios(scores, "min").tolist() == pytest.approx([3.0, 1.5, 2 / 3])


def test_only_encoder_matrices_of_the_leading_modality_are_scaled(
    seed: int, world: SimpleNamespace
) -> None:
    model = world.model("concat", INPUTS)
    batch = world.batch(INPUTS)
    plain = one_step(world, copy.deepcopy(model), batch, OGM(alpha=0.0))
    found = one_step(world, model, batch, OGM(alpha=0.5))
    with torch.no_grad():
        logits = model(batch).logits
        scores = torch.stack(
            [logits[m].softmax(1)[torch.arange(8), batch.label].mean() for m in INPUTS]
        )
    factors = dict(zip(INPUTS, modulation_factors(ratios(scores), 0.5), strict=True))
    assert min(factors.values()) < 1
    for name, gradient in found.items():
        scaled = name.startswith("encoders.") and name.endswith("weight")
        factor = factors[name.split(".")[1]] if scaled else 1.0
        torch.testing.assert_close(gradient, plain[name] * factor, msg=name)


def test_scores_ignore_absent_rows(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    batch = world.batch(INPUTS, absent={"b": [0, 1, 2]})
    ctx = world.context(model, [batch])
    output = model(batch)
    whole = true_class_scores(list(INPUTS), output, batch, ctx)
    kept = batch.rows(slice(3, None))
    part = true_class_scores(["b"], model(kept), kept, ctx)
    torch.testing.assert_close(whole[1:2], part)
    assert not whole.requires_grad


def test_outside_the_window_nothing_changes(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    batch = world.batch(INPUTS)
    plain = one_step(world, copy.deepcopy(model), batch, OGM(alpha=0.0))
    found = one_step(world, model, batch, OGMGE(alpha=0.8, window=[1, 3]))
    for name, gradient in found.items():
        assert torch.equal(gradient, plain[name])


def test_a_modality_alone_in_the_batch_is_left_as_it_is(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    rows = list(range(8))
    batch = world.batch(INPUTS, absent={"a": rows, "c": rows})
    plain = one_step(world, copy.deepcopy(model), batch, OGM(alpha=0.0))
    found = one_step(world, model, batch, OGMGE(alpha=0.8))
    assert found.keys() == plain.keys()
    assert not any(name.startswith("encoders.a") for name in found)
    assert all(torch.equal(found[name], plain[name]) for name in found)


def test_a_constant_feature_gives_finite_gradients(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    with torch.no_grad():
        for p in [*model.group("c").encoder, *model.group("c").head]:
            p.zero_()
    found = one_step(world, model, world.batch(INPUTS), OGMGE(alpha=0.8))
    assert all(bool(gradient.isfinite().all()) for gradient in found.values())


def test_noise_has_mean_zero_and_the_gradients_deviation(seed: int) -> None:
    gradient = torch.randn(5, 8) * 3
    generator = torch.Generator().manual_seed(seed)
    draws = torch.stack([gradient_noise(gradient, generator) for _ in range(4000)])
    assert float(draws.std() / gradient.std()) == pytest.approx(1, abs=0.02)
    assert float(draws.mean(0).abs().max() / gradient.std()) < 6 / math.sqrt(4000)
    assert bool(gradient_noise(torch.ones(1, 1), generator).isfinite())


def test_noise_depends_on_the_contexts_stream_only(seed: int, world: SimpleNamespace) -> None:
    model = world.model("sum", INPUTS)
    batch = world.batch(INPUTS)
    torch.manual_seed(1)
    first = one_step(world, copy.deepcopy(model), batch, OGMGE())
    torch.manual_seed(2)
    second = one_step(world, copy.deepcopy(model), batch, OGMGE())
    plain = one_step(world, model, batch, OGM())
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["encoders.a.layers.0.weight"], plain["encoders.a.layers.0.weight"])
    assert torch.equal(first["head.blocks.a.weight"], plain["head.blocks.a.weight"])


def test_conv_rule_leaves_linear_encoders_alone(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    batch = world.batch(INPUTS)
    plain = one_step(world, copy.deepcopy(model), batch, OGM(alpha=0.0))
    found = one_step(world, model, batch, OGM(alpha=0.8, parameters="conv"))
    assert all(torch.equal(found[name], plain[name]) for name in found)


@pytest.mark.parametrize("head", ["late", "shared"])
def test_wants_a_decomposable_head(world: SimpleNamespace, head: str) -> None:
    with pytest.raises(ConfigError, match="use head 'concat' or 'sum'"):
        OGM().setup(world.context(world.model(head, INPUTS), []))


def test_warns_under_adam(world: SimpleNamespace) -> None:
    with pytest.warns(UserWarning, match="scales gradients, and adamw divides by their scale"):
        OGM().setup(world.context(world.model("concat", INPUTS), [], name="adamw"))


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": -0.1},
        {"window": [3, 1]},
        {"window": [1]},
        {"others": "max"},
        {"parameters": "all"},
    ],
)
def test_refuses_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"OGMGE: '{next(iter(options))}' must be"):
        OGMGE(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("options", "frozen"), [({"parameters": "conv"}, False), ({}, True)])
def test_warns_where_nothing_is_edited(
    world: SimpleNamespace, options: dict[str, str], frozen: bool
) -> None:
    model = world.model("concat", {"a": 3, "b": 4})
    for encoder in model.encoders.values() if frozen else ():
        encoder.requires_grad_(False)
    with pytest.warns(UserWarning, match="gradient modulation does nothing: no encoder has a"):
        OGM(**options).setup(world.context(model, []))  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        OGM().setup(world.context(world.model("concat", {"a": 3, "b": 4}), []))


@pytest.mark.parametrize("wrong", [{"window": [0, 1.5]}, {"window": [3, 1]}, {"noise": "no"}])
def test_refuses_windows_and_switches_that_are_none(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"OGM: '{next(iter(wrong))}' must be"):
        OGM(**wrong)  # type: ignore[arg-type]
