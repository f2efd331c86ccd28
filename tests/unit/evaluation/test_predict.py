"""Predicting a split: whatever the batch size and order, and without a trace of what is absent."""

from __future__ import annotations

from itertools import chain, combinations, permutations

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.data.modality import ModalitySpec
from equipoise.data.table.table import Table
from equipoise.encoders.mlp import MLP
from equipoise.errors import TrainingError
from equipoise.evaluation.predict import contribution, predict
from equipoise.heads import HEADS
from equipoise.model import Model

ROWS = 23


@pytest.fixture
def rng() -> np.random.Generator:
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    print(f"seed {seed}")
    torch.manual_seed(seed)
    return np.random.default_rng(seed)


def table(
    rng: np.random.Generator, count: int, absent: float = 0.3, unlabelled: bool = False
) -> Table:
    names = "abc"[:count]
    present = {m: rng.random(ROWS) >= absent for m in names}
    present["a"] |= ~np.logical_or.reduce(list(present.values()))
    label = rng.integers(3, size=ROWS)
    if unlabelled:
        label[::4] = -1
    return Table(
        {m: ModalitySpec(m, "vector", (k + 3,)) for k, m in enumerate(names)},
        {m: rng.standard_normal((ROWS, k + 3)).astype(np.float32) for k, m in enumerate(names)},
        np.arange(ROWS),
        label,
        present,
        ["x", "y", "z"],
        [f"row {k}" for k in range(ROWS)],
    )


def model(data: Table, head: str) -> Model:
    encoders: dict[str, nn.Module] = {m: MLP(shape=s.shape, width=6) for m, s in data.specs.items()}
    built = HEADS.build(head, {}, widths=dict.fromkeys(data.specs, 6), classes=3)
    return Model(encoders, built)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("head", ["concat", "late", "shared", "per-modality"])
def test_batch_size_and_order_do_not_matter(
    rng: np.random.Generator, head: str, count: int
) -> None:
    data = table(rng, count)
    net = model(data, head)
    whole = predict(net, data)
    order = rng.permutation(ROWS)
    shuffled = predict(net, data.take(order), batch_size=7)
    for size in (1, 5, 22, 23):
        found = predict(net, data, batch_size=size)
        np.testing.assert_array_equal(found.index, np.arange(ROWS))
        np.testing.assert_allclose(found.fused, whole.fused, rtol=1e-4, atol=1e-5)
        for m in data.modalities:
            np.testing.assert_allclose(found.logits[m], whole.logits[m], rtol=1e-4, atol=1e-5)
            assert not found.logits[m][~data.present[m]].any()
    np.testing.assert_allclose(shuffled.fused, whole.fused[order], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(shuffled.label, whole.label[order])
    assert (whole.classes, whole.modalities) == (("x", "y", "z"), data.modalities)


def test_the_network_is_put_into_eval_mode(rng: np.random.Generator) -> None:
    data = table(rng, 2)
    net = model(data, "concat")
    net.encoders["a"].layers.append(nn.Dropout(0.5))
    net.train()
    first, second = predict(net, data), predict(net, data)
    assert not net.training
    np.testing.assert_array_equal(first.fused, second.fused)


@pytest.mark.parametrize("head", ["concat", "late"])
def test_other_modalities_are_as_if_they_did_not_exist(rng: np.random.Generator, head: str) -> None:
    data = table(rng, 3, absent=0.0)
    net = model(data, head)
    hidden = data.with_present(
        {m: p if m == "b" else np.zeros(ROWS, dtype=bool) for m, p in data.present.items()}
    )
    found, expected = predict(net, data, only=["b"]), predict(net, hidden)
    assert found.modalities == ("b",)
    np.testing.assert_allclose(found.fused, expected.fused, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("unlabelled", [False, True])
def test_contribution_is_the_shapley_value_of_the_fused_accuracy(
    rng: np.random.Generator, count: int, unlabelled: bool
) -> None:
    data = table(rng, count, unlabelled=unlabelled)
    net = model(data, "late")
    known = data.label >= 0
    value = {}
    for subset in chain.from_iterable(
        combinations(data.modalities, k) for k in range(1, count + 1)
    ):
        predicted = predict(net, data, only=subset).fused.argmax(1)
        value[frozenset(subset)] = float((predicted == data.label)[known].mean())
    chance = max(float((data.label[known] == k).mean()) for k in range(3))
    found = contribution(net, data)
    for m in data.modalities:
        gains = []
        for order in permutations(data.modalities):
            place = order.index(m)
            before = value.get(frozenset(order[:place]), chance)
            gains.append(value[frozenset(order[: place + 1])] - before)
        assert found[m] == pytest.approx(np.mean(gains))


@pytest.mark.parametrize("only", [None, ("a",)])
def test_logits_that_are_not_finite_are_refused_before_anything_reads_them(
    rng: np.random.Generator, only: tuple[str, ...] | None
) -> None:
    data = table(rng, 2, absent=0.0)
    data.arrays["a"][[4, 17]] = 1e38
    net = model(data, "late")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(10)
    with pytest.raises(TrainingError) as raised:
        predict(net, data, only=only)
    assert "samples row 4, row 17; " in str(raised.value)
    assert "--optimiser.clip 1.0, or else" in str(raised.value)
    with pytest.raises(TrainingError, match="on the test split, samples row 4, row 17; wait"):
        predict(net, data, when=" on the test split", remedy="wait")
    predict(net, data, only=("b",))
