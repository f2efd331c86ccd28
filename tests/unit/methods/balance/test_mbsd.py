"""MBSD: the published numbers, the side that learns, and the average over pairs."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.methods.balance.mbsd import MBSD, distillation, divergence

COMPARED = ["probabilities", "logits"]


def by_hand(weak: torch.Tensor, strong: torch.Tensor, label: int, compare: str) -> float:
    """w (RS + KL) of one sample, from its logits (C,)."""
    p, q = weak.softmax(0), strong.softmax(0)
    if label not in (int(p.argmax()), int(q.argmax())):
        return 0.0
    apart = (p - q if compare == "probabilities" else weak - strong).square().mean()
    a, b = float(p[label]), float(q[label])
    kl = a * math.log(a / b) + (1 - a) * math.log((1 - a) / (1 - b))
    return (b - a) * (float(apart) + kl)


@pytest.mark.parametrize("compare", COMPARED)
def test_each_sample_by_hand(seed: int, compare: str) -> None:
    first, second = torch.randn(2, 30, 4, dtype=torch.float64) * 2
    label = torch.randint(4, (30,))
    found = distillation(first, second, label, compare=compare)
    for row in range(30):
        pair = sorted((first[row], second[row]), key=lambda u: float(u.softmax(0)[label[row]]))
        assert float(found[row]) == pytest.approx(
            by_hand(*pair, int(label[row]), compare), abs=1e-12
        )
    torch.testing.assert_close(found, distillation(second, first, label, compare=compare))


def test_the_published_divergence() -> None:
    weak, strong = torch.tensor([0.4]).log(), torch.tensor([0.9]).log()
    assert float(divergence(weak, strong, "true-class")) == pytest.approx(-0.3244, abs=1e-4)
    rest = 0.6 * math.log(0.6 / 0.1)
    assert float(divergence(weak, strong)) == pytest.approx(-0.3244 + rest, abs=1e-4)
    sure = torch.zeros(1)
    assert bool(divergence(sure, sure).isfinite()), "two modalities that are both certain"


@pytest.mark.parametrize("compare", COMPARED)
def test_only_the_weak_one_learns(seed: int, compare: str) -> None:
    label = torch.tensor([0, 1])
    strong = torch.tensor([[3.0, 0, 0], [0, 3, 0]], requires_grad=True)
    weak = torch.tensor([[1.0, 0.5, 0], [0.2, 0.1, 0.4]], requires_grad=True)
    distillation(strong, weak, label, compare=compare).sum().backward()
    assert weak.grad is not None
    assert not (strong.grad is not None and strong.grad.any())
    assert bool((weak.grad.gather(1, label.unsqueeze(1)) < 0).all()), "towards the true class"


def test_nothing_where_alike_or_both_wrong(seed: int) -> None:
    logits = torch.randn(5, 4)
    label = torch.randint(4, (5,))
    assert not distillation(logits, logits, label).any()
    wrong = F.one_hot((label + 1) % 4, 4) * 5.0
    assert not distillation(wrong, wrong / 2, label).any()


def test_the_loss_averages_the_pairs_over_the_samples_that_have_both(
    seed: int, world: SimpleNamespace
) -> None:
    inputs = {"a": 3, "b": 4, "c": 2}
    model = world.model("concat", inputs)
    batch = world.batch(inputs, absent={"b": [0, 1], "c": [1, 4]})
    output = model(batch)
    ctx = world.context(model, [batch])
    found = MBSD(unimodal_weight=0.5, distillation_weight=2.0).loss(output, batch, ctx)
    expected = F.cross_entropy(output.fused, batch.label)
    for m in inputs:
        here = batch.present[m]
        expected = expected + 0.5 * F.cross_entropy(output.logits[m][here], batch.label[here])
    for m, j in [("a", "b"), ("a", "c"), ("b", "c")]:
        both = batch.present[m] & batch.present[j]
        pair = distillation(output.logits[m][both], output.logits[j][both], batch.label[both])
        expected = expected + 2.0 * pair.mean() / 3
    torch.testing.assert_close(found, expected)


def test_without_weights_it_is_joint_training(seed: int, world: SimpleNamespace) -> None:
    inputs = {"a": 3, "b": 4}
    model = world.model("concat", inputs)
    other = copy.deepcopy(model)
    batches = [world.batch(inputs, absent={"b": [1]})]
    world.train(
        "mbsd", world.context(model, batches), 2, unimodal_weight=0.0, distillation_weight=0.0
    )
    world.train("joint", world.context(other, batches), 2)
    assert all(
        torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    "options",
    [
        {"unimodal_weight": -1},
        {"distillation_weight": -0.1},
        {"divergence": "kl"},
        {"compare": "features"},
    ],
)
def test_refuses_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"MBSD: '{next(iter(options))}' must be"):
        MBSD(**options)  # type: ignore[arg-type]


def test_wants_the_classifiers_it_distils_between_to_be_trained(world: SimpleNamespace) -> None:
    inputs = {"a": 3, "b": 4}
    with pytest.raises(
        ConfigError, match=r"only unimodal losses train, .*; set 'unimodal_weight' above 0"
    ):
        MBSD(unimodal_weight=0.0).setup(world.context(world.model("auxiliary", inputs), []))
    MBSD().setup(world.context(world.model("auxiliary", inputs), []))
    MBSD(unimodal_weight=0.0).setup(
        world.context(world.model("sum", inputs), [])
    )  # the fused loss trains them
    MBSD(unimodal_weight=0.0, distillation_weight=0.0).setup(
        world.context(world.model("auxiliary", inputs), [])
    )
