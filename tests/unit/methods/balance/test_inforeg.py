"""InfoReg: lead, growth of the Fisher trace, coefficient, and the gradient of the proximal term."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.batch import Batch, Output
from equipoise.errors import ConfigError
from equipoise.methods.balance.inforeg import InfoReg, growth, leads, pull
from equipoise.model import Model
from equipoise.training.context import Context

INPUTS = {"a": 3, "b": 4, "c": 2}


def edited(
    method: InfoReg, batch: Batch, ctx: Context
) -> tuple[Model, Output, dict[str, torch.Tensor]]:
    """Move all weights and let the method edit the gradients there.

    Returns:
        The model before the move, what it predicts after it, and the gradients before the edit.
    """
    model = ctx.model
    start = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn_like(parameter) * 0.1
    output = model(batch)
    model.zero_grad()
    ctx.backward(method.loss(output, batch, ctx))
    plain = {n: p.grad.clone() for n, p in model.named_parameters()}
    method.edit_gradients(output, batch, ctx)
    return start, output, plain


def test_lead_is_over_the_mean_of_the_others(seed: int) -> None:
    scores = torch.rand(4, dtype=torch.float64)
    for k, lead in enumerate(leads(scores).tolist()):
        others = [float(s) for j, s in enumerate(scores) if j != k]
        assert lead == pytest.approx(float(scores[k]) - sum(others) / 3)
    assert leads(torch.tensor([0.7, 0.4])).tolist() == pytest.approx([0.3, -0.3])


def test_growth_of_the_smoothed_trace() -> None:
    assert growth(torch.tensor([[1.0, 2.0], [4.0, 1.0]]), 2).tolist() == pytest.approx([0.5, -3.0])
    history = torch.tensor([[1.0, 2.0, 4.0]])  # means 1.5, then 3
    for epochs in (3, 4, 50):
        assert growth(history, epochs).tolist() == pytest.approx([0.5])
    assert growth(torch.zeros(2, 11), 20).tolist() == [0, 0]
    assert growth(7 * history, 3).tolist() == pytest.approx(growth(history, 3).tolist()), (
        "free of the loss's scale"
    )


def test_a_mean_is_over_the_epochs_there_are() -> None:
    """A trace that shrinks does not grow, however few epochs there were."""
    traces = [[8.0, 1.0], [4.0, 2.0], [2.0, 6.0]]
    history = torch.zeros(2, 11)
    found = []
    for epochs, latest in enumerate(traces, 1):
        history = torch.cat([history[:, 1:], torch.tensor(latest).unsqueeze(1)], 1)
        found.append(growth(history, epochs).tolist())
    assert found[0] == [1, 1], "nothing to compare with"
    assert found[1] == pytest.approx([(6 - 8) / 6, (1.5 - 1) / 1.5])
    assert found[2] == pytest.approx([(14 / 3 - 6) / (14 / 3), (3 - 1.5) / 3])


def test_outside_the_window_nobody_is_pulled_to_the_start_of_the_epoch(
    seed: int, world: SimpleNamespace
) -> None:
    """The third epoch pulls towards its first weights, and only where the trace still grows."""
    model = world.model("concat", INPUTS)
    batch = world.batch(INPUTS)
    ctx = world.context(model, [batch])
    method = InfoReg(smoothing=1)
    method.setup(ctx)
    for epoch, traces in enumerate([None, [4.0, 4.0, 4.0], [2.0, 2.0, 2.0]]):
        if traces is not None:
            method.trace.copy_(torch.tensor(traces))
            method.steps.fill_(1)
        ctx.position.epoch = epoch
        method.on_epoch_start(ctx)
        start, output, plain = edited(method, batch, ctx)
        true = [v.softmax(1)[torch.arange(8), batch.label].mean() for v in output.logits.values()]
        ahead = dict(zip(INPUTS, leads(torch.stack(true)).tolist(), strict=True))
        for name, parameter in model.named_parameters():
            lead = ahead[name.split(".")[1]] if name.startswith("encoders.") else 0.0
            alpha = 0.95 * math.exp(math.tanh(lead)) if lead > 0 and epoch < 2 else 0.0
            expected = plain[name] + alpha * (parameter - start.get_parameter(name)).detach()
            torch.testing.assert_close(parameter.grad, expected)


def test_only_who_leads_and_still_grows_is_held() -> None:
    lead = torch.tensor([0.3, 0.3, -0.3, 0.0])
    growing = torch.tensor([0.5, 0.05, 0.5, 0.5])
    found = pull(lead, growing, beta=2.0, strength=0.95, threshold=0.05)
    assert found.tolist() == pytest.approx([0.95 * math.exp(2 * math.tanh(0.3)), 0, 0, 0])


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_the_gradient_is_that_of_the_proximal_term(
    seed: int, world: SimpleNamespace, weight: float
) -> None:
    model = world.model("concat", INPUTS)
    batch = world.batch(INPUTS, absent={"b": [2]})
    ctx = world.context(model, [batch])
    method = InfoReg(strength=0.95, beta=1.0, unimodal_weight=weight)
    method.setup(ctx)
    method.on_epoch_start(ctx)
    start, output, plain = edited(method, batch, ctx)
    true = {
        m: output.logits[m]
        .detach()
        .softmax(1)[torch.arange(8), batch.label][batch.present[m]]
        .mean()
        for m in INPUTS
    }
    held = 0
    for name, parameter in model.named_parameters():
        expected = plain[name]
        if name.startswith("encoders."):
            m = name.split(".")[1]
            lead = float(true[m] - sum(s for j, s in true.items() if j != m) / 2)
            held += lead > 0
            alpha = 0.95 * math.exp(math.tanh(lead)) if lead > 0 else 0.0
            expected = expected + alpha * (parameter - start.get_parameter(name)).detach()
        torch.testing.assert_close(parameter.grad, expected)
    assert held, "somebody is ahead"
    for k, m in enumerate(INPUTS):
        squares = sum(
            float(g.square().sum()) for n, g in plain.items() if n.startswith(f"encoders.{m}.")
        )
        assert float(method.trace[k]) == pytest.approx(squares, rel=1e-4), (
            "the trace is of the loss alone"
        )


def test_the_window_closes(seed: int, world: SimpleNamespace) -> None:
    ctx = world.context(world.model("concat", INPUTS), [])
    method = InfoReg(smoothing=2)
    method.setup(ctx)
    method.on_epoch_start(ctx)
    assert method.growing.tolist() == [1, 1, 1], "the first epoch is in it"
    for epoch, traces in enumerate([[6.0, 1.0, 2.0], [9.0, 1.0, 0.0], [9.0, 1.0, 0.0]], 1):
        method.trace.copy_(torch.tensor(traces) * 3)
        method.steps.fill_(3)
        ctx.position.epoch = epoch
        method.on_epoch_start(ctx)
    # Means over two epochs: 7.5, 1, 1 and then 9, 1, 0.
    assert method.growing.tolist()[:2] == pytest.approx([1.5 / 9, 0.0])
    assert float(method.growing[2]) < 0
    assert not method.trace.any()


def test_strength_zero_is_joint_training(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    other = copy.deepcopy(model)
    batches = [world.batch(INPUTS) for _ in range(3)]
    world.train("inforeg", world.context(model, batches), 2, strength=0.0, unimodal_weight=0.0)
    world.train("joint", world.context(other, batches), 2)
    assert all(
        torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True)
    )


def test_regulation_changes_the_encoders(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    other = copy.deepcopy(model)
    batches = [world.batch(INPUTS) for _ in range(3)]
    world.train("inforeg", world.context(model, batches), 1)
    world.train("joint", world.context(other, batches), 1)
    assert not all(
        torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True)
    )


def test_a_head_whose_classifiers_the_fused_loss_trains_is_welcome(
    seed: int, world: SimpleNamespace
) -> None:
    world.train("inforeg", world.context(world.model("sum", INPUTS), [world.batch(INPUTS)]))


def test_the_unimodal_losses_are_on_by_default(seed: int, world: SimpleNamespace) -> None:
    model = world.model("concat", INPUTS)
    batch = world.batch(INPUTS)
    ctx = world.context(model, [batch])
    method = InfoReg()
    method.setup(ctx)
    output = model(batch)
    parts = [output.fused, *output.logits.values()]
    expected = sum(F.cross_entropy(logits, batch.label) for logits in parts)
    torch.testing.assert_close(method.loss(output, batch, ctx), expected)


def test_warns_under_adam(world: SimpleNamespace) -> None:
    with pytest.warns(UserWarning, match="method 'inforeg' adds a pull .* use optimiser 'sgd'"):
        InfoReg().setup(world.context(world.model("concat", INPUTS), [], name="adam"))


@pytest.mark.parametrize(
    "options",
    [{"strength": -1}, {"beta": -1}, {"threshold": -1}, {"smoothing": 0}, {"unimodal_weight": -1}],
)
def test_refuses_bad_options(options: dict[str, object], world: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match=f"InfoReg: '{next(iter(options))}' must be"):
        InfoReg(**options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'unimodal_weight' above 0"):
        InfoReg(unimodal_weight=0).setup(world.context(world.model("auxiliary", INPUTS), []))
