"""AUG: the boosting loss, who gets another classifier, and the head that takes it."""

from __future__ import annotations

import copy
import warnings
from types import SimpleNamespace

import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.heads.sustained import Sustained
from equipoise.methods.balance.aug import AUG, boosting_losses, lagging
from equipoise.testing.world import World, snapshot
from equipoise.training.loop import fit


def soft_target(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy against any target vector."""
    return -(target * logits.log_softmax(-1)).sum(-1)


@pytest.mark.parametrize("residual", ["each", "sum"])
def test_the_loss_follows_the_residual_target(seed: int, residual: str) -> None:
    parts = [torch.randn(6, 4, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    label = torch.randint(4, (6,))
    one_hot = torch.nn.functional.one_hot(label, 4).double()
    first, second = parts[0], parts[1]
    known = (
        first.softmax(1) + second.softmax(1) if residual == "each" else (first + second).softmax(1)
    )
    target = one_hot - 0.3 * one_hot * known.detach()
    before = parts[0] + parts[1]
    expected = (
        soft_target(parts[2], target)
        + soft_target(before + parts[2], one_hot)
        + soft_target(before, one_hot)
    )
    found = boosting_losses(parts, label, 0.3, residual)
    torch.testing.assert_close(found, expected)
    for mine, theirs in zip(
        *(torch.autograd.grad(x.sum(), parts) for x in (found, expected)), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_one_classifier_learns_the_label(seed: int) -> None:
    logits, label = torch.randn(6, 4), torch.randint(4, (6,))
    torch.testing.assert_close(
        boosting_losses([logits], label, 0.5),
        torch.nn.functional.cross_entropy(logits, label, reduction="none"),
    )


def test_what_is_known_already_is_not_unlearned(seed: int) -> None:
    label = torch.randint(4, (6,))
    sure = 50.0 * torch.nn.functional.one_hot(label, 4)
    newest = torch.randn(6, 4, requires_grad=True)
    parts = [sure, sure, sure, newest]  # λ Σ p[y] = 1.5: the plain bracket is −0.5
    total = boosting_losses(parts, label, 0.5)
    assert bool((total >= 0).all())
    (gradient,) = torch.autograd.grad(total.sum(), newest)
    assert float(gradient.abs().max()) < 1e-6, "nothing is left to learn"


def test_the_weakest_lags_behind_by_more_than_the_margin() -> None:
    assert lagging(torch.tensor([0.6, 0.5]), 1.0, 0.01) == 1
    assert lagging(torch.tensor([0.5, 0.6, 0.55]), 1.0, 0.01) == 0
    assert lagging(torch.tensor([0.6, 0.595]), 1.0, 0.01) is None
    assert lagging(torch.tensor([0.6, 0.5]), 1.25, 0.01) is None


@pytest.mark.parametrize("count", [2, 3])
def test_the_weak_modality_gets_another_classifier(seed: int, count: int) -> None:
    method, ctx = World(
        "aug",
        count,
        seed % 9999,
        options={"every": 0.25, "margin": 0.35},
        epochs=8,
        missing=0.2,
        precision="float64",
    ).build()
    head = ctx.model.head
    fit(method, ctx, 2)
    # The second epoch's mean probability of the true class, each batch as the weights were then, is
    # hard to redo: set it, and see who gets the classifier.
    scores = torch.linspace(0.8, 0.4, count, dtype=torch.float64)
    samples = 50.0 * torch.arange(1, count + 1)  # the sums point the other way: the mean decides
    method.confidence.copy_(torch.stack([scores * samples, samples]))
    method.on_epoch_start(ctx)
    assert head.counts.tolist() == [1] * (count - 1) + [2]
    assert not method.confidence.any()
    ctx.position.epoch = 3
    method.confidence.copy_(torch.stack([scores * 50, torch.full((count,), 50.0)]))
    method.on_epoch_start(ctx)
    assert head.counts.tolist() == [1] * (count - 1) + [2], "only every second epoch"


@pytest.mark.parametrize(
    ("every", "epochs", "expected"),
    [
        (0.1, 50, [1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50]),
        (0.2, 15, [1, 3, 6, 9, 12, 15]),
        (0.15, 15, [1, 3, 5, 7, 9, 12, 14]),
        (0.1, 5, [1, 2, 4]),
        (0.3, 10, [1, 3, 6, 9]),
    ],
)
def test_compares_after_the_first_epoch_and_at_each_part(
    world: SimpleNamespace, every: float, epochs: int, expected: list[int]
) -> None:
    ctx = world.context(world.model("sustained", {"a": 3, "b": 4}), [], epochs=epochs)
    found = []
    for epoch in range(epochs + 1):
        ctx.position.epoch = epoch
        if AUG(every=every).compares(ctx):
            found.append(epoch)
    assert found == expected


def test_a_modality_that_has_all_classifiers_is_warned_of_once(seed: int) -> None:
    method, ctx = World("aug", 2, seed % 9999, options={"every": 0.5}, epochs=4).build()
    head = ctx.model.head
    while head.add("beta"):
        pass
    before = head.counts.tolist()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for epoch in (1, 2):
            ctx.position.epoch = epoch
            method.confidence.copy_(torch.tensor([[40.0, 10.0], [50.0, 50.0]]))
            method.on_epoch_start(ctx)
    assert [str(w.message) for w in caught] == [
        "method 'aug': 'beta' has the head's 'most' classifiers, no more"
    ]
    assert head.counts.tolist() == before


def test_confidence_is_summed_over_the_samples_that_have_it(seed: int) -> None:
    method, ctx = World("aug", 2, seed % 9999, missing=0.3).build()
    expected = torch.zeros(2, 2)
    for batch in list(ctx.train.batches(0))[:3]:
        output = ctx.model(batch)
        method.edit_gradients(output, batch, ctx)
        for k, m in enumerate(ctx.model.modalities):
            for row in range(len(batch)):
                if batch.present[m][row]:
                    expected[0, k] += output.logits[m][row].softmax(0)[batch.label[row]].detach()
                    expected[1, k] += 1
    torch.testing.assert_close(method.confidence, expected)


def make_head() -> Sustained:
    return Sustained({"a": 5, "b": 3}, classes=4, hidden=6, most=3)


def test_the_head_sums_the_classifiers_that_are_on(seed: int) -> None:
    head = make_head()
    z = torch.randn(7, 5)
    one = head.output(torch.relu(head.blocks["a"][0](z)))
    torch.testing.assert_close(head.unimodal("a", z), one)
    assert head.add("a")
    torch.testing.assert_close(
        head.unimodal("a", z), one + head.output(torch.relu(head.blocks["a"][1](z)))
    )
    head.unimodal("a", z).sum().backward()
    moved = [layer.weight.grad is not None for m in ("a", "b") for layer in head.blocks[m]]
    assert moved == [True, True, False, False, False, False]
    assert head.add("a")
    assert not head.add("a"), "no more than 'most'"


def test_the_number_of_classifiers_is_saved_with_the_weights(seed: int) -> None:
    head, other = make_head(), make_head()
    head.add("b")
    other.load_state_dict(snapshot(head))
    z = torch.randn(2, 3)
    torch.testing.assert_close(head.unimodal("b", z), other.unimodal("b", z))
    twin = copy.deepcopy(other)
    twin.add("b")
    assert len(list(twin.parts("b", z))) == 3
    assert len(list(other.parts("b", z))) == 2, "a copy counts for itself"


@pytest.mark.parametrize(
    "options",
    [
        {"residual_weight": 1.1},
        {"residual": "mean"},
        {"every": 0},
        {"every": 2},
        {"factor": 0},
        {"margin": -1},
    ],
)
def test_refuses_bad_options(options: dict[str, object], seed: int) -> None:
    with pytest.raises(ConfigError, match=f"AUG: '{next(iter(options))}' must be"):
        AUG(**options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="use head 'sustained'"):
        World("aug", 2, seed % 9999, head="concat").build()
    with pytest.raises(ConfigError, match="'most' must be"):
        Sustained({"a": 2}, 3, most=0)
