"""MSLR: the three strategies as closed forms, and both readings of the dynamic one."""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace

import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.methods import METHODS
from equipoise.methods.balance.mslr import MSLR, hits, smooth

INPUTS = {"a": 3, "b": 4, "c": 2}


def set_up(world: SimpleNamespace, **options: object) -> tuple[MSLR, object]:
    ctx = world.context(world.model("sum", INPUTS), [world.batch(INPUTS)], epochs=10, lr=0.1)
    method = MSLR(**options)  # type: ignore[arg-type]
    method.setup(ctx)
    return method, ctx


def rates(ctx: object) -> list[float]:
    return [ctx.optimisers.learning_rate(m) for m in INPUTS]


def test_keep_multiplies_the_optimisers_rate(world: SimpleNamespace) -> None:
    _, ctx = set_up(world, strategy="keep", rates={"a": 0.5, "c": 3})
    assert rates(ctx) == pytest.approx([0.05, 0.1, 0.3])


def test_smooth_goes_from_one_rate_to_keep() -> None:
    constants = [0.5, 4.0, 1.0]
    mean = (0.5 * 4.0) ** (1 / 3)
    assert smooth(constants, 1.0) == pytest.approx(constants)
    assert smooth(constants, 0.0) == pytest.approx([mean] * 3)
    assert smooth(constants, 0.5) == pytest.approx([math.sqrt(c * mean) for c in constants])


def test_dynamic_compares_with_the_window_before(seed: int, world: SimpleNamespace) -> None:
    method, ctx = set_up(world, window=3, rates={"b": 2.0})
    accuracies = torch.rand(8, 3, dtype=torch.float64) + 0.2
    for epoch, row in enumerate(accuracies):
        method.adapt(row)
        method.apply_rates(ctx)
        ratio = row / accuracies[epoch - 3 : epoch].mean(0) if epoch >= 3 else torch.ones(3)
        expected = [0.1 * c * float(r) for c, r in zip((1, 2, 1), ratio, strict=True)]
        assert rates(ctx) == pytest.approx(expected)


def test_cumulative_multiplies_up_every_window(seed: int, world: SimpleNamespace) -> None:
    method, ctx = set_up(world, window=3, cumulative=True)
    accuracies = torch.rand(8, 3, dtype=torch.float64) + 0.2
    product = torch.ones(3, dtype=torch.float64)
    for epoch, row in enumerate(accuracies, start=1):
        method.adapt(row)
        method.apply_rates(ctx)
        if epoch % 3 == 0:
            product = product * row / accuracies[epoch - 3 : epoch].mean(0)
        assert rates(ctx) == pytest.approx((0.1 * product).tolist())


@pytest.mark.parametrize("cumulative", [False, True])
def test_constant_accuracies_change_nothing(world: SimpleNamespace, cumulative: bool) -> None:
    method, ctx = set_up(world, window=2, cumulative=cumulative)
    for _ in range(6):
        method.adapt(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
        method.apply_rates(ctx)
        assert rates(ctx) == [0.1, 0.1, 0.1]


def test_a_rate_never_becomes_zero(world: SimpleNamespace) -> None:
    method, ctx = set_up(world, window=2, cumulative=True)
    for accuracy in (0.5, 0.0, 0.5, 0.0):
        method.adapt(torch.full((3,), accuracy, dtype=torch.float64))
        method.apply_rates(ctx)
        assert min(rates(ctx)) > 0


def test_accuracy_counts_only_who_has_the_modality(seed: int, world: SimpleNamespace) -> None:
    model = world.model("sum", INPUTS)
    batch = world.batch(INPUTS, absent={"b": [1, 2]})
    found = hits(model(batch), batch)
    assert found.isnan().nonzero().tolist() == [[1, 1], [2, 1]]
    predicted = model(batch).logits["a"].argmax(1)
    assert found[:, 0].tolist() == (predicted == batch.label).double().tolist()


def test_reads_the_holdout_after_every_epoch_but_the_last(
    seed: int, world: SimpleNamespace
) -> None:
    batch = world.batch(INPUTS)
    ctx = world.context(
        world.model("sum", INPUTS), [batch], epochs=4, lr=1e-9
    )  # so that accuracies stay what they are
    method = world.train(MSLR(window=2), ctx, epochs=4)
    assert int(method.measured) == 3
    assert torch.equal(method.history, hits(ctx.model(batch), batch).mean(0).expand(2, -1))
    other = world.context(world.model("sum", INPUTS), [batch])
    kept = world.train(MSLR(strategy="keep", rates={"a": 2}), other, 2)
    assert int(kept.measured) == 0
    assert not kept.needs_holdout


def test_refuses_unknown_modalities_and_bad_options(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="no modality 'aa'; did you mean 'a'"):
        set_up(world, rates={"aa": 1.0})
    with pytest.raises(
        ConfigError, match=r"by classifiers of Auxiliary that only unimodal.*; use head 'sum'"
    ):
        MSLR().setup(world.context(world.model("auxiliary", INPUTS), []))
    with pytest.raises(ConfigError, match="'window' must be at least 1, or 2 if 'cumulative'"):
        MSLR(window=1, cumulative=True)  # compares an accuracy with itself
    wrong = [
        ("strategy", "slow"),
        ("rates", {"a": 0.0}),
        ("smoothing", 2.0),
        ("window", 0),
        ("window", 2.5),
    ]
    wrong += [("rates", 2.0), ("rates", [1, 2]), ("rates", {"a": "fast"}), ("cumulative", "no")]
    wrong += [("smoothing", None), ("window", True), ("window", None)]
    for option, value in wrong:
        with pytest.raises(ConfigError, match=f"MSLR: '{option}' must be"):
            MSLR(**{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "value", "strategy", "other"),
    [
        ("smoothing", 0.5, "smooth", "keep"),
        ("smoothing", 0.5, "smooth", "dynamic"),
        ("window", 5, "dynamic", "smooth"),
        ("window", 5, "dynamic", "keep"),
        ("cumulative", True, "dynamic", "keep"),
    ],
)
def test_options_of_another_strategy_are_not_ignored_in_silence(
    option: str, value: object, strategy: str, other: str
) -> None:
    unless = f"MSLR: '{option}' must be left out unless 'strategy' is {strategy}"
    with pytest.raises(ConfigError, match=unless):
        METHODS.build("mslr", {"strategy": other, option: value})
    built = METHODS.build("mslr", {"strategy": strategy, option: value})
    assert getattr(built, option) == value


def test_the_defaults_suit_every_strategy() -> None:
    with pytest.raises(ConfigError, match="'smoothing' must be left out unless 'strategy' is smoo"):
        METHODS.build("mslr", {"smoothing": 0.5})
    for strategy in ("keep", "smooth", "dynamic"):
        built = METHODS.build("mslr", {"strategy": strategy, "cumulative": False})
        assert (built.window, built.smoothing) == (5, 0.5)


def test_the_rates_of_an_epoch_are_those_of_the_optimisers(
    seed: int, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, ctx = set_up(world, window=1, rates={"b": 2.0})
    before = torch.tensor([0.5, 0.5, 0.5], dtype=torch.float64)
    method.adapt(before)
    now = torch.tensor([0.6, 0.4, 0.5], dtype=torch.float64)
    monkeypatch.setattr("equipoise.methods.balance.mslr.table_means", lambda *_: now)
    ctx.position.epoch = 2
    method.on_epoch_start(ctx)
    assert rates(ctx) == pytest.approx([0.1 * 1.2, 0.2 * 0.8, 0.1])


@pytest.mark.parametrize("strategy", ["keep", "smooth"])
def test_warns_of_a_strategy_without_rates(world: SimpleNamespace, strategy: str) -> None:
    with pytest.warns(UserWarning, match=f"does nothing: strategy '{strategy}' has no 'rates'"):
        set_up(world, strategy=strategy)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        set_up(world, strategy=strategy, rates={})
        set_up(world, strategy=strategy, rates={"b": 2.0})
        set_up(world)


@pytest.mark.parametrize("cumulative", [False, True])
def test_dynamic_leaves_a_single_modality_at_its_rate(
    world: SimpleNamespace, cumulative: bool
) -> None:
    """The warning must not depend on the accuracies, which vary with the seed."""
    inputs = {"a": 3}
    batch = world.batch(inputs)
    ctx = world.context(world.model("sum", inputs), [batch], epochs=6, lr=0.1)
    method = MSLR(window=2, cumulative=cumulative, rates={"a": 0.5})
    with pytest.warns(UserWarning, match="'dynamic' of method 'mslr' does nothing: there is only"):
        world.train(method, ctx, epochs=6)
    assert int(method.measured) == 0
    assert ctx.optimisers.learning_rate("a") == pytest.approx(0.05)


@pytest.mark.parametrize("strategy", ["keep", "smooth"])
def test_a_single_modality_has_its_constant_rate(world: SimpleNamespace, strategy: str) -> None:
    ctx = world.context(world.model("sum", {"a": 3}), [world.batch({"a": 3})], lr=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MSLR(strategy=strategy, rates={"a": 0.5}).setup(ctx)
    assert ctx.optimisers.learning_rate("a") == pytest.approx(0.05)
