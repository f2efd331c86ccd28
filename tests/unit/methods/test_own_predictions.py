"""Methods that read what each modality predicts train it, or refuse the head."""

from __future__ import annotations

import copy
import re
from types import SimpleNamespace

import pytest
import torch

from equipoise.batch import Batch
from equipoise.errors import ConfigError
from equipoise.heads import HEADS
from equipoise.methods import METHODS
from equipoise.model import Model
from equipoise.training.context import Context
from equipoise.training.loop import fit

INPUTS = {"a": 3, "b": 4, "c": 2}
REASON = "goes by classifiers of .* that only unimodal losses train, of which there are none; "
FUSED_LOSS = [
    ("mslr", {"window": 1}),
    ("inforeg", {"unimodal_weight": 0.0}),
    ("mses", {"weight": 0.0}),
    ("mbsd", {"unimodal_weight": 0.0}),
    ("lfm", {"alignment": "js"}),
    ("lfm-lb", {"alignment": "js"}),
    ("compose", {"alignment": "js"}),
]
OTHERWISE = [  # they train what they go by, or do not go by it
    ("mslr", {"strategy": "keep", "rates": {"a": 0.5}}),
    ("inforeg", {}),
    ("mses", {}),
    ("mbsd", {}),
    ("mbsd", {"unimodal_weight": 0.0, "distillation_weight": 0.0}),
    ("lfm", {}),
    ("lfm-lb", {}),
    ("compose", {"alignment": "infonce"}),
]
OPTIONS = {"domfn": {"threshold": 1.0}}  # whose gate is always open


def double(value: torch.Tensor) -> torch.Tensor:
    return value.double() if value.is_floating_point() else value


def small(world: SimpleNamespace, head: str, count: int) -> tuple[Context, Batch]:
    inputs = dict(list(INPUTS.items())[:count])
    model = world.model(head, inputs, width=24, **OPTIONS.get(head, {})).double()
    batch = world.batch(inputs).apply(double)
    return world.context(model, [batch], 1, lr=1e-3, momentum=0.0, weight_decay=0.0), batch


def behind_own_predictions(model: Model, batch: Batch) -> set[str]:
    """Parameters of the head that what one modality predicts depends on."""
    probe = copy.deepcopy(model).eval()
    logits = probe(batch).logits
    named = dict(probe.head.named_parameters())
    loss = torch.stack([(own * torch.randn_like(own)).sum() for own in logits.values()]).sum()
    found = torch.autograd.grad(
        loss, list(named.values()), allow_unused=True, materialize_grads=True
    )
    return {n for n, g in zip(named, found, strict=True) if (g.abs() > 1e-9).any()}


def refusal(name: str, options: dict[str, object], ctx: Context) -> str:
    try:
        METHODS.build(name, options).setup(ctx)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.filterwarnings("ignore")  # so short a training is not what some methods are for
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("head", HEADS.names())
def test_heads_are_refused_whose_own_predictions_a_fused_loss_does_not_train(
    seed: int, world: SimpleNamespace, head: str, count: int
) -> None:
    ctx, batch = small(world, head, count)
    before, own = (
        copy.deepcopy(ctx.model.head.state_dict()),
        behind_own_predictions(ctx.model, batch),
    )
    fit(METHODS.build("joint"), ctx, 1)
    after = dict(ctx.model.head.named_parameters())
    untrained = [n for n in own if torch.equal(before[n], after[n])]
    for name, options in FUSED_LOSS:
        found = refusal(name, options, small(world, head, count)[0])
        if untrained:
            assert re.search(REASON, found), (name, untrained)
        else:
            assert not re.search(REASON, found), name


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("head", ["auxiliary", "weight-hidden", "domfn"])
@pytest.mark.parametrize(("name", "options"), OTHERWISE, ids=str)
def test_such_heads_are_welcome_otherwise(
    seed: int, world: SimpleNamespace, head: str, count: int, name: str, options: dict[str, object]
) -> None:
    assert not refusal(name, options, small(world, head, count)[0])
