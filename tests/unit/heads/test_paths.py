"""Heads name the parts that only fused or only unimodal logits depend on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from equipoise.heads import HEADS
from equipoise.heads.base import Head

OPTIONS = [
    *((name, {}) for name in HEADS.names()),
    ("attention", {"read_out": "mean", "layers": 2}),
]
OPTIONS += [
    ("ml-lstm", {"bidirectional": True}),
    ("boosted-sum", {"hidden": 0}),
    ("weight", {"mix": "probabilities"}),
]


def build(name: str, options: dict[str, object], count: int) -> Head:
    head: Head = HEADS.build(name, options, widths={f"m{k}": 24 for k in range(count)}, classes=4)
    return head.double().eval()


def features_of(head: Head) -> dict[str, Tensor]:
    """Small, so that untrained classifiers agree and DOMFN's gate is open."""
    return {m: 0.2 * torch.rand(9, 24, dtype=torch.float64) - 0.1 for m in head.modalities}


def reached(head: Head, logits: Tensor) -> dict[str, Tensor]:
    """{parameter: where the gradient of the logits is not zero}, if it is anywhere."""
    named = dict(head.named_parameters())
    loss = (logits * torch.randn_like(logits)).sum()
    found = torch.autograd.grad(
        loss, list(named.values()), allow_unused=True, materialize_grads=True
    )
    there = {n: g.abs() > 1e-12 for n, g in zip(named, found, strict=True)}
    return {n: g for n, g in there.items() if g.any()}


def paths(head: Head) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
    """Parameters that the fused logits depend on, and those that each modality's logits do."""
    features = features_of(head)
    everyone = {m: torch.ones(9, dtype=torch.bool) for m in head.modalities}
    own = {m: reached(head, head.unimodal(m, z)) for m, z in features.items()}
    return reached(head, head(features, everyone).fused), own


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=str)
def test_a_head_says_what_only_the_fused_loss_trains(
    name: str, options: dict[str, object], count: int
) -> None:
    head = build(name, options, count)
    fused, own = paths(head)
    for found in (
        fused,
        *own.values(),
    ):  # queries and keys are rows of a parameter that also holds the values
        for whole in [n for n in found if n.endswith("in_proj_weight")]:
            if found[whole][: 2 * len(found[whole]) // 3].any():
                found[f"{whole} of queries and keys"] = found[whole]
    left = {n for n in fused if not any(n in found for found in own.values())}
    # Its own loss trains the confidences of PDF, since no gradient of the fused logits does.
    assert bool(left) == (bool(head.fused_only) and name != "pdf"), left


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=str)
def test_a_head_says_what_only_unimodal_losses_train(
    name: str, options: dict[str, object], count: int
) -> None:
    head = build(name, options, count)
    fused, own = paths(head)
    names = {id(p): n for n, p in head.named_parameters()}
    for modality, found in own.items():
        part = head.own_only(modality)
        told = set() if part is None else {names[id(p)] for p in part.parameters()}
        assert told == set(found) - set(fused)
