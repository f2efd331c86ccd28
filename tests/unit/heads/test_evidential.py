"""Opinions and Dempster's rule: published values, the rule itself, and its invariants."""

from __future__ import annotations

from functools import reduce
from itertools import permutations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.heads import HEADS
from equipoise.heads.evidential import ETMC, TMC
from equipoise.heads.parts.opinions import combine_opinions, opinion, uncertainty

WIDTHS = {"a": 3, "b": 5, "c": 2}
ROWS, CLASSES = 6, 4


def log_alpha(*evidence: list[float]) -> Tensor:
    """Opinions (M, 1, K) of given evidence."""
    return (torch.tensor(evidence, dtype=torch.float64) + 1).log().unsqueeze(1)


def everyone(opinions: Tensor) -> Tensor:
    return torch.ones(opinions.shape[:2], dtype=torch.bool)


def dempster(first: Tensor, second: Tensor) -> Tensor:
    """The printed rule: beliefs and doubts (B, K) of two opinions, divided by 1 − conflict."""
    classes = first.shape[1]
    (b, u), (c, v) = (
        (e / (e.sum(1, True) + classes), classes / (e.sum(1, True) + classes))
        for e in (first, second)
    )
    conflict = b.sum(1, True) * c.sum(1, True) - (b * c).sum(1, True)
    belief, doubt = (b * c + b * v + c * u) / (1 - conflict), u * v / (1 - conflict)
    torch.testing.assert_close(belief.sum(1, True) + doubt, torch.ones_like(doubt))
    return belief * classes / doubt


@pytest.mark.parametrize(
    ("first", "second", "expected", "doubt"),
    [([4, 1, 0], [0, 2, 2], [4, 11 / 3, 2], 0.236842), ([3, 0, 0], [0, 3, 0], [3, 3, 0], 1 / 3)],
)
def test_reference_values(
    first: list[float], second: list[float], expected: list[float], doubt: float
) -> None:
    opinions = log_alpha(first, second)
    combined = combine_opinions(opinions, everyone(opinions))
    assert combined.expm1().flatten().tolist() == pytest.approx(expected, abs=1e-9)
    assert float(uncertainty(combined)) == pytest.approx(doubt, abs=1e-6)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_any_order_of_folding_gives_the_closed_form(count: int) -> None:
    evidence = 5 * torch.rand(count, ROWS, CLASSES, dtype=torch.float64)
    found = combine_opinions((evidence + 1).log(), everyone(evidence)).expm1()
    for order in permutations(range(count)):
        torch.testing.assert_close(reduce(dempster, evidence[list(order)]), found)


def test_combination_adds_evidence_and_never_doubt() -> None:
    evidence = 20 * torch.rand(3, 50, CLASSES, dtype=torch.float64)
    opinions = (evidence + 1).log()
    combined = combine_opinions(opinions, everyone(opinions))
    assert bool((combined.expm1() >= evidence.sum(0) - 1e-9).all())
    assert bool((uncertainty(combined) <= uncertainty(opinions).amin(0)).all())


def test_contradiction_between_sure_opinions_stays_finite() -> None:
    opinions = log_alpha([1e6, 0, 0], [0, 1e6, 0]).float().requires_grad_()
    combined = combine_opinions(opinions, everyone(opinions))
    combined.sum().backward()
    assert combined.exp().flatten().tolist() == pytest.approx([1e6 + 1, 1e6 + 1, 1], rel=1e-4)
    assert opinions.grad is not None
    assert bool(opinions.grad.isfinite().all())


def test_an_absent_opinion_is_vacuous() -> None:
    opinions = opinion(torch.randn(2, ROWS, CLASSES, dtype=torch.float64))
    absent = everyone(opinions)
    absent[1] = False
    torch.testing.assert_close(combine_opinions(opinions, absent), opinions[0])
    torch.testing.assert_close(
        uncertainty(combine_opinions(opinions, ~everyone(opinions))), torch.ones(ROWS).double()
    )


def test_softmax_of_an_opinion_is_the_expected_probability() -> None:
    outputs = torch.randn(ROWS, CLASSES)
    alpha = F.softplus(outputs) + 1
    torch.testing.assert_close(opinion(outputs).softmax(1), alpha / alpha.sum(1, True))
    torch.testing.assert_close(uncertainty(opinion(outputs)), CLASSES / alpha.sum(1))
    assert opinion(outputs.bfloat16()).dtype is torch.float32


def example(head: TMC | ETMC) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    features = {m: torch.randn(ROWS, w) for m, w in head.widths.items()}
    return features, {m: torch.ones(ROWS, dtype=torch.bool) for m in head.widths}


def test_tmc_combines_the_opinions_of_linear_classifiers() -> None:
    head = TMC(WIDTHS, CLASSES)
    features, present = example(head)
    present["b"][:3] = False
    evidence = {
        m: F.softplus(F.linear(z, head.blocks[m].weight, head.blocks[m].bias))
        for m, z in features.items()
    }
    output = head(features, present)
    torch.testing.assert_close(output.logits["c"].expm1(), evidence["c"])
    whole = reduce(dempster, evidence.values())
    torch.testing.assert_close(output.fused.expm1()[3:], whole[3:], rtol=1e-4, atol=1e-5)
    lacking = dempster(evidence["a"], evidence["c"])
    torch.testing.assert_close(output.fused.expm1()[:3], lacking[:3], rtol=1e-4, atol=1e-5)


def test_one_modality_alone_is_its_own_opinion() -> None:
    for head in (TMC(WIDTHS, CLASSES), ETMC(WIDTHS, CLASSES)):
        features, present = example(head)
        only = {m: p & (m == "b") for m, p in present.items()}
        output = head({"b": features["b"]}, only)
        torch.testing.assert_close(output.fused, output.logits["b"])


def test_the_pseudo_view_is_one_more_opinion() -> None:
    head = ETMC(WIDTHS, CLASSES)
    features, present = example(head)
    output = head(features, present)
    weight = torch.cat([head.blocks[m].weight for m in WIDTHS], 1)
    pseudo = F.softplus(F.linear(torch.cat(list(features.values()), 1), weight, head.bias))
    own = reduce(dempster, [x.expm1() for x in output.logits.values()])
    torch.testing.assert_close(output.fused.expm1(), dempster(own, pseudo), rtol=1e-4, atol=1e-5)
    opinions = torch.stack(list(output.logits.values()))
    plain = combine_opinions(opinions, everyone(opinions))
    assert bool((uncertainty(output.fused) <= uncertainty(plain)).all())
    with torch.no_grad():  # no evidence from the pseudo-view: TMC
        head.bias.fill_(-200)
    torch.testing.assert_close(head(features, present).fused, plain)


def test_the_pseudo_view_of_incomplete_samples_is_vacuous_or_reads_zeros() -> None:
    head = ETMC(WIDTHS, CLASSES)
    features, present = example(head)
    present["b"][:2] = False
    output = head(features, present)
    opinions = torch.stack(list(output.logits.values()))
    plain = combine_opinions(opinions, torch.stack(list(present.values())))
    torch.testing.assert_close(output.fused[:2], plain[:2])
    assert not torch.isclose(output.fused[2:], plain[2:]).any()
    zero = ETMC(WIDTHS, CLASSES, incomplete="zero")
    zero.load_state_dict(head.state_dict())
    blank = {m: z * present[m].unsqueeze(1) for m, z in features.items()}
    said, where = zero.pseudo_view(features, present)
    assert bool(where.all())
    torch.testing.assert_close(said, head.pseudo_view(blank, present)[0])
    assert not torch.isclose(zero(features, present).fused[:2], plain[:2]).any()


def test_refuses_an_unknown_treatment_of_incomplete_samples() -> None:
    with pytest.raises(ConfigError, match="ETMC: 'incomplete' must be"):
        HEADS.build("etmc", {"incomplete": "mean"}, widths=WIDTHS, classes=CLASSES)
