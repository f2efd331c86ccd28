"""AMSS: how many units are updated, which ones, and that AMSS+ is unbiased."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.batch import Batch
from equipoise.errors import ConfigError
from equipoise.methods.balance.amss import (
    AMSS,
    AMSSPlus,
    inclusion_probabilities,
    systematic_draw,
    update_fractions,
)

INPUTS = {"a": 3, "b": 4, "c": 2}


def fractions(*rates: float, temperature: float = 0.2) -> list[float]:
    """s of these rates: losses that give them where all entropies are 1."""
    label_entropy = torch.tensor(math.log(6), dtype=torch.float64)
    losses = label_entropy + 0.5 - torch.tensor(rates, dtype=torch.float64)
    ones = torch.ones(len(rates), dtype=torch.float64)
    found = update_fractions(losses, ones, label_entropy, temperature)
    return found.expand(len(rates)).tolist()


def test_fractions_worked_out_by_hand() -> None:
    assert fractions(0.6, 0.5) == pytest.approx([0.377541, 0.622459], abs=1e-6)
    low, high = fractions(1.5, 0.5)
    assert low < 0.1
    assert high > 0.9
    assert sum(fractions(0.6, 0.5, 0.7)) == pytest.approx(2)
    assert fractions(0.6, -0.1) == [0.5, 0.5]


def test_number_of_units_worked_out_by_hand(seed: int) -> None:
    for fraction, number in ((0.377541, 25), (0.622459, 40), (0.5, 32), (1.0, 64)):
        weight = torch.nn.Parameter(torch.randn(64, 3))
        weight.grad = torch.randn(64, 3)
        AMSS().mask(weight, None, torch.tensor(fraction), torch.rand((), dtype=torch.float64))
        assert int(weight.grad.any(1).sum()) == number


@pytest.mark.parametrize("count", [1, 3, 5, 8])
def test_probabilities_are_proportional_and_at_most_1(seed: int, count: int) -> None:
    sizes = torch.rand(8, dtype=torch.float64) ** 3
    found = inclusion_probabilities(sizes, torch.tensor(float(count)))
    assert found.sum().item() == pytest.approx(count)
    assert found.max().item() <= 1
    shared = found < 1
    ratio = found[shared] / sizes[shared]
    if shared.any():
        torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))
        assert (sizes[~shared] * ratio[0] >= 1 - 1e-9).all()


def test_probabilities_where_one_unit_has_most_of_the_gradient() -> None:
    sizes = torch.tensor([100.0, 1.0, 1.0, 2.0], dtype=torch.float64)
    found = inclusion_probabilities(sizes, torch.tensor(2.0))
    assert found.tolist() == pytest.approx([1.0, 0.25, 0.25, 0.5])
    few = torch.tensor([0.0, 3.0, 0.0], dtype=torch.float64)
    assert inclusion_probabilities(few, torch.tensor(2.0)).tolist() == [0.0, 1.0, 0.0]


def test_draw_has_the_wanted_number_and_probabilities(seed: int) -> None:
    sizes = torch.rand(9, dtype=torch.float64)
    found = inclusion_probabilities(sizes, torch.tensor(4.0))
    starts = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    draws = torch.stack([systematic_draw(found, start) for start in starts])
    assert (draws.sum(1) == 4).all()
    torch.testing.assert_close(draws.double().mean(0), found, atol=1e-3, rtol=0)


def test_the_mean_of_the_gradients_of_amss_plus_is_the_gradient(seed: int) -> None:
    gradient = torch.randn(6, 3, dtype=torch.float64)
    bias = torch.randn(6, dtype=torch.float64)
    total = [torch.zeros_like(gradient), torch.zeros_like(bias)]
    plain = torch.zeros_like(gradient)
    for number in range(2000):
        start = torch.tensor((number + 0.5) / 2000, dtype=torch.float64)
        weights = [torch.nn.Parameter(torch.zeros_like(x)) for x in (gradient, bias)]
        for method, into in ((AMSSPlus(), total), (AMSS(), [plain])):
            weights[0].grad = gradient.clone()
            weights[1].grad = bias.clone()
            method.mask(*weights, torch.tensor(0.6), start)
            for sum_, weight in zip(into, weights, strict=False):
                sum_ += weight.grad / 2000
    sizes = gradient.square().sum(1)
    unlimited = inclusion_probabilities(sizes, torch.tensor(4.0)) > 0.1
    assert unlimited.sum() >= 3
    torch.testing.assert_close(total[0][unlimited], gradient[unlimited], rtol=0.02, atol=1e-3)
    torch.testing.assert_close(total[1][unlimited], bias[unlimited], rtol=0.02, atol=1e-3)
    assert plain.norm() < gradient.norm()


def double(batch: Batch) -> Batch:
    return batch.apply(lambda t: t.double() if t.is_floating_point() else t)


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_a_step_masks_encoders_by_the_fractions_and_leaves_the_head(
    seed: int, world: SimpleNamespace, names: str
) -> None:
    inputs = {m: INPUTS[m] for m in names}
    model = world.model("concat", inputs).double()
    batch = double(world.batch(inputs, absent={"b": [1, 4]}))
    ctx = world.context(model, [batch])
    method = AMSS()
    method.setup(ctx)
    output = model(batch)
    losses, entropies = [], []
    for m in names:
        here = batch.present[m]
        losses.append(F.cross_entropy(output.logits[m][here], batch.label[here]))
        p = output.features[m][here].softmax(1)
        entropies.append(-(p * p.log()).sum(1).mean())
    share = torch.bincount(batch.label, minlength=world.classes) / 8
    label_entropy = -torch.special.xlogy(share, share).sum().double()
    s = update_fractions(torch.stack(losses), torch.stack(entropies), label_entropy, 0.2)
    s = s.expand(len(names)).clamp(0.1, 0.9)
    torch.testing.assert_close(method.fractions(list(names), output, batch, ctx), s)
    loss = F.cross_entropy(output.fused, batch.label)
    plain = dict(
        zip(
            [n for n, _ in model.named_parameters()],
            torch.autograd.grad(loss, [*model.parameters()]),
            strict=True,
        )
    )
    ctx.update = lambda: None
    method.step(batch, ctx)
    for name, parameter in model.named_parameters():
        if name.startswith("head"):
            torch.testing.assert_close(parameter.grad, plain[name])
        elif parameter.dim() == 2:
            kept = parameter.grad.any(1)
            units = plain[name].any(1)
            number = math.ceil(len(kept) * s[names.index(name.split(".")[1])].item() - 1e-6)
            assert int(kept.sum()) == min(number, int(units.sum()))
            torch.testing.assert_close(parameter.grad[kept], plain[name][kept])
            bias = dict(model.named_parameters())[name.replace("weight", "bias")].grad
            assert not bias[~kept].any()


def test_warns_of_an_optimiser_that_moves_units_all_the_same(world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    with pytest.warns(UserWarning, match="under adamw a unit that is left out goes on moving"):
        AMSS().setup(world.context(model, [], name="adamw"))


def test_refusals(world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="use head 'concat' or 'sum'"):
        AMSS().setup(world.context(world.model("late", INPUTS), []))
    for bounds in ([0.0, 0.5], [0.6, 0.5], [0.5], [0.5, 1.5], "all"):
        with pytest.raises(ConfigError, match="AMSSPlus: 'bounds' must be two fractions"):
            AMSSPlus(bounds=bounds)
