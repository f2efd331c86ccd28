"""Every head names the single linear layer that reads a modality's features, or none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from equipoise.heads import HEADS
from equipoise.heads.base import Head

WIDTHS = {"a": 6, "b": 6, "c": 6}
READ = [
    *(
        "concat",
        "auxiliary",
        "sum",
        "late",
        "shared",
        "per-modality",
        "tmc",
        "qmf",
        "bigated",
        "ml-lstm",
    ),
    *(
        "weight-hidden",
        "weight-elementwise",
        "attention",
        "mixed-sum",
        "boosted-sum",
        "vote",
        "stacked",
        "sustained",
        "tate",
    ),
]


def build(name: str) -> Head:
    head: Head = HEADS.build(name, widths=WIDTHS, classes=4)
    return head.eval()


def alone(head: Head, modality: str, features: Tensor) -> Tensor:
    present = {m: torch.full((len(features),), m == modality) for m in WIDTHS}
    with torch.no_grad():
        return head({modality: features}, present).fused


def test_those_that_name_a_layer_for_every_modality() -> None:
    found = [
        e.name for e in HEADS if all(build(e.name).reading_layer(m) is not None for m in WIDTHS)
    ]
    assert sorted(found) == sorted(READ)


@pytest.mark.parametrize("modality", WIDTHS)
@pytest.mark.parametrize("name", READ)
def test_features_reach_the_prediction_by_the_named_layer_alone(name: str, modality: str) -> None:
    head, features = build(name), torch.randn(3, 6)
    layer = head.reading_layer(modality)
    assert layer is not None
    assert layer.in_features == WIDTHS[modality]
    before, weight = alone(head, modality, features), layer.weight.detach().clone()
    basis = torch.linalg.qr(features.T)[0]
    change = torch.randn_like(weight)
    with torch.no_grad():
        layer.weight.copy_(weight + change - change @ basis @ basis.T)
        torch.testing.assert_close(alone(head, modality, features), before, atol=1e-4, rtol=1e-4)
        layer.weight.copy_(weight + change)
        assert not torch.allclose(alone(head, modality, features), before, atol=1e-4)
        layer.weight.zero_()
        torch.testing.assert_close(
            *(alone(head, modality, x) for x in (features, torch.randn(3, 6)))
        )


def test_only_the_conditioner_of_film_is_read_as_it_is() -> None:
    head = build("film")
    assert head.reading_layer("a") is head.blocks["a"]
    assert head.reading_layer("b") is None


def test_a_modality_with_several_classifiers_has_several_readers() -> None:
    head = build("sustained")
    head.add("b")
    assert head.reading_layer("a") is not None
    assert head.reading_layer("b") is None
