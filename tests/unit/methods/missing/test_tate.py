"""TATE: the divergence, the loss by hand, and the teacher on complete content."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.heads.tate import missing_tag
from equipoise.methods.missing.tate import TATE, symmetric_divergence

INPUTS = {"a": 3, "b": 4, "c": 2}


def masked(world: SimpleNamespace) -> object:
    shown = {m: torch.ones(8, dtype=torch.bool) for m in INPUTS}
    for row, name in enumerate("abcabcab"):
        shown[name][row] = False
    return world.batch(INPUTS).hide(shown)


def test_divergence_is_zero_for_equals_and_positive_otherwise(seed: int) -> None:
    first, second = torch.randn(2, 6, 3, 5, dtype=torch.float64)
    p, q = first.softmax(2), second.softmax(2)
    expected = (p * (p / q).log() + q * (q / p).log()).sum(2).mean(1)
    torch.testing.assert_close(symmetric_divergence(first, second), expected)
    torch.testing.assert_close(symmetric_divergence(second, first), expected)
    assert bool((expected > 0).all())
    assert not bool(symmetric_divergence(first, first).any())


def test_the_loss_by_hand(seed: int, world: SimpleNamespace) -> None:
    model, batch = world.model("tate", INPUTS), masked(world)
    ctx = world.context(model, [batch])
    method = TATE(forward_weight=3.0, backward_weight=2.0, tag_weight=0.5)
    method.setup(ctx)
    found = method.study(batch, ctx)
    head, whole = model.head, batch.revealed()
    features = model(whole).features
    reading = head.interpret(
        {m: z * batch.present[m].unsqueeze(1) for m, z in features.items()}, batch.present
    )
    taught = head.interpret(features, whole.present)
    told = reading.pooled[:, head.width : head.width + 4].sigmoid()
    expected = (
        F.cross_entropy(reading.logits, batch.label)
        + 3 * symmetric_divergence(reading.encoded, taught.encoded).mean()
        + 2 * symmetric_divergence(head.decoder(reading.encoded), reading.tagged).mean()
        + 0.5 * F.l1_loss(told, missing_tag(batch.present).float())
    )
    torch.testing.assert_close(found, expected)


def test_the_teacher_learns_from_what_is_hidden_from_the_student(
    seed: int, world: SimpleNamespace
) -> None:
    model, batch = world.model("tate", INPUTS), masked(world)
    ctx = world.context(model, [batch])
    method = TATE()
    method.setup(ctx)
    seen = []
    model.encoders["a"].register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))
    method.step(batch, ctx)
    ctx.position.phase = 1
    method.step(batch, ctx)
    assert seen == [8, 5, 8]  # teaching; then the student on what is shown and the teacher on all


@pytest.mark.parametrize(
    "options",
    [{"forward_weight": -1}, {"backward_weight": -1}, {"tag_weight": -1}, {"teacher": -0.1}],
)
def test_refuses_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"TATE: '{next(iter(options))}' must be"):
        TATE(**options)  # type: ignore[arg-type]
