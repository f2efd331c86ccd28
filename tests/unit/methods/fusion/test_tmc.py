"""TMC and ETMC: the opinions with a loss, the samples it is over, and its price by epoch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.methods.fusion.etmc import ETMC
from equipoise.methods.fusion.tmc import TMC, opinion_loss

INPUTS = {"a": 3, "b": 4, "c": 2}


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(("kind", "weights"), [(TMC, (1 / 5, 4 / 5)), (ETMC, (0.0, 3 / 5))])
def test_loss_sums_all_opinions_where_they_are(
    seed: int, world: SimpleNamespace, count: int, kind: type[TMC], weights: tuple[float, float]
) -> None:
    inputs = dict(list(INPUTS.items())[:count])
    method = kind()
    model = world.model(method.name, inputs)
    batch = world.batch(inputs, absent={"a": [0, 1], "b": [2]})
    ctx = world.context(model, [batch], epochs=50)  # the price rises in a tenth of them
    for epoch, weight in zip((0, 3), weights, strict=True):
        ctx.position.epoch = epoch
        output = model(batch)
        expected = opinion_loss(output.fused, batch.label, weight).mean()
        for m in inputs:
            rows = batch.present[m]
            expected = (
                expected + opinion_loss(output.logits[m][rows], batch.label[rows], weight).mean()
            )
        if kind is ETMC:
            pseudo, _ = model.head.pseudo_view(output.features, batch.present)
            expected = expected + opinion_loss(pseudo[3:], batch.label[3:], weight).mean()
        torch.testing.assert_close(method.loss(output, batch, ctx), expected)


def test_the_options_set_price_and_fit(seed: int, world: SimpleNamespace) -> None:
    model, batch = world.model("tmc", {"a": 3}), world.batch({"a": 3})
    ctx, output = world.context(model, [batch], epochs=10), model(batch)
    expected = 2 * opinion_loss(output.fused, batch.label, 0.5, "squared-error").mean()
    torch.testing.assert_close(TMC(0.8, 4, "squared-error").loss(output, batch, ctx), expected)


@pytest.mark.parametrize("name", ["tmc", "etmc"])
def test_a_modality_nobody_has_gets_no_gradient(
    seed: int, world: SimpleNamespace, name: str
) -> None:
    model = world.model(name, INPUTS)
    batch = world.batch(INPUTS, absent={"b": list(range(8))})
    world.train(name, world.context(model, [batch]))
    output = model(batch)
    ctx = world.context(model, [batch])
    method = TMC() if name == "tmc" else ETMC()
    ctx.backward(method.loss(output, batch, ctx))
    assert all(p.grad is None for p in sum(model.group("b"), ()))
    assert all(p.grad is not None for m in ("a", "c") for p in model.group(m).encoder)


def test_uncertainties_are_logged(seed: int, world: SimpleNamespace) -> None:
    model, batch = world.model("etmc", INPUTS), world.batch(INPUTS, absent={"a": [0]})
    ctx, output = world.context(model, [batch]), model(batch)
    ETMC().loss(output, batch, ctx)
    logged = ctx.read_journal()
    for name, value in {"a": output.logits["a"][1:], "fused": output.fused}.items():
        expected = (world.classes / value.detach().exp().sum(1)).mean()
        assert logged[f"method/uncertainty/{name}"] == pytest.approx(float(expected), rel=1e-5)
    assert "method/uncertainty/pseudo-view" in logged


@pytest.mark.parametrize("options", [{"annealing": 0}, {"annealing_start": -1}, {"fit": "hinge"}])
def test_refuses_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"ETMC: '{next(iter(options))}' must be"):
        ETMC(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"annealing": 1.5}, {"annealing_start": 0.5}, {"fit": "mse"}])
def test_refuses_counts_that_are_none(wrong: dict[str, object]) -> None:
    for kind in (TMC, ETMC):
        with pytest.raises(ConfigError, match=f"{kind.__name__}: '{next(iter(wrong))}' must be"):
            kind(**wrong)
