"""Methods of unimodal losses train all that the fused prediction needs, or refuse the head."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.heads import HEADS
from equipoise.methods import METHODS
from equipoise.model import Model
from equipoise.training.loop import fit

PLAIN = {"tau": 0.0, "sam": "none", "cycles": 1}
SEPARATE = [
    ("mie", PLAIN),
    ("mla", {"projection": False}),
    ("late", {}),
    ("unimodal", {}),
    ("compose", {"loss": "separate"}),
    ("compose", {"schedule": "step"}),
    ("compose", {"schedule": "phase", "cycles": 1}),
]
REASON = "trains each modality's own classifier only"
UNFUSED = {
    "auxiliary",
    "weight",
    "weight-hidden",
    "mixed-sum",
    "boosted-sum",
    "domfn",
    "etmc",
    "ml-lstm",
    "pdf",
    "balanced",
    "di-mml",
}


def used(model: Model, batch: object) -> set[str]:
    """Parameters of the head that the fused prediction depends on."""
    probe = copy.deepcopy(model).eval()
    fused = probe(batch).fused
    named = dict(probe.head.named_parameters())
    loss = (fused * torch.randn_like(fused)).sum()
    found = torch.autograd.grad(
        loss, list(named.values()), allow_unused=True, materialize_grads=True
    )
    return {n for n, g in zip(named, found, strict=True) if (g.abs() > 1e-9).any()}


def double(value: torch.Tensor) -> torch.Tensor:
    return value.double() if value.is_floating_point() else value


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("head", HEADS.names())
def test_what_is_not_refused_is_trained(
    seed: int, world: SimpleNamespace, head: str, count: int
) -> None:
    inputs = {"a": 3, "b": 4, "c": 2} if count == 3 else {"a": 3, "b": 4}
    batches = [world.batch(inputs, absent={"b": [1]}).apply(double) for _ in range(2)]
    accepted, reasons = [], []
    for name, options in SEPARATE:
        model = world.model(head, inputs, width=24).double()
        ctx = world.context(model, batches, 1, lr=0.01, momentum=0.0, weight_decay=0.0)
        method = METHODS.build(name, options)
        try:
            method.setup(ctx)
        except ConfigError as refusal:
            reasons.append(str(refusal))
            continue
        accepted.append(name)
        before, depends = copy.deepcopy(model.head.state_dict()), used(model, batches[0])
        fit(method, ctx, 1)
        after = dict(model.head.named_parameters())
        assert not [n for n in depends if torch.equal(before[n], after[n])], (name, options)
    assert (head in UNFUSED) == (not accepted)
    assert (head in UNFUSED) == any(REASON in reason for reason in reasons)
