"""DOMFN's head: penalties and their bound, the gate, and who answers on either side of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.heads import HEADS
from equipoise.heads.domfn import DOMFN, penalties

WIDTHS = {"a": 3, "b": 5, "c": 2}
ROWS, CLASSES = 6, 4


def everyone(probability: Tensor) -> Tensor:
    return torch.ones(probability.shape[:2], dtype=torch.bool)


def example() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    features = {m: torch.randn(ROWS, w) for m, w in WIDTHS.items()}
    return features, {m: torch.ones(ROWS, dtype=torch.bool) for m in WIDTHS}


def diverging(logits: dict[str, Tensor]) -> dict[str, Tensor]:
    """ "a" is nearly certain of class 0 in the first three rows, the others less so of class 1."""
    changed = {m: 0.1 * x for m, x in logits.items()}
    for m, x in changed.items():
        x[:3, 0 if m == "a" else 1] = 30.0 if m == "a" else 20.0
    return changed


def test_reference_values_of_the_penalties() -> None:
    probability = torch.tensor([[[0.9, 0.1]], [[0.2, 0.6]], [[0.3, 0.3]]])
    found = penalties(probability, everyone(probability))
    assert found.flatten().tolist() == pytest.approx([0.187778, 0.071111, 0.027778], abs=1e-6)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_penalties_are_bounded_and_the_bound_is_reached(count: int) -> None:
    probability = torch.rand(count, 40, CLASSES).round(decimals=1)
    bound = ((count - 1) / count) ** 2
    assert bool((penalties(probability, everyone(probability)) <= bound + 1e-6).all())
    extreme = torch.zeros(count, 1, CLASSES)
    extreme[0, 0, 1] = 1
    assert float(penalties(extreme, everyone(extreme))[0]) == pytest.approx(bound)
    if count == 2:
        first, second = penalties(probability, everyone(probability))
        torch.testing.assert_close(first, second)
    alike = probability[:1].expand(count, -1, -1)
    assert float(penalties(alike, everyone(alike)).max()) < 1e-12


def test_penalties_leave_absent_modalities_out() -> None:
    probability = torch.rand(3, ROWS, CLASSES)
    present = everyone(probability)
    present[1] = False
    found = penalties(probability, present)
    torch.testing.assert_close(found[[0, 2]], penalties(probability[[0, 2]], present[[0, 2]]))
    assert not found[1].any()


def test_gate_compares_with_a_share_of_the_bound_or_literally() -> None:
    present = torch.tensor([[True] * 4, [True] * 4, [True, True, False, False]])
    divergence = torch.tensor(
        [[0.35, 0.36, 0.19, 0.21], [0.0] * 4, [0.0] * 4]
    )  # bounds 0.444 and, for two, 0.25
    assert DOMFN(WIDTHS, CLASSES).gate(divergence, present).tolist() == [True, False, True, False]
    literal = DOMFN(WIDTHS, CLASSES, gamma=0.8, tau=0.25)
    assert literal.gate(divergence, present).tolist() == [False, False, True, False]
    alone = torch.tensor([[True], [False], [False]])
    assert not bool(literal.gate(torch.zeros(3, 1), alone))


def test_the_fused_predictor_answers_where_the_gate_is_open_and_the_surest_elsewhere() -> None:
    head = DOMFN(WIDTHS, CLASSES, hidden=7)
    features, present = example()
    logits = diverging({m: torch.randn(ROWS, CLASSES) for m in WIDTHS})
    fused, weights = head.fuse(features, logits, present)
    weight = torch.cat([head.blocks[m].weight for m in WIDTHS], 1)
    hidden = F.linear(torch.cat(list(features.values()), 1), weight, head.bias).relu()
    assert weights is None
    torch.testing.assert_close(
        fused[3:], F.linear(hidden, head.output.weight, head.output.bias)[3:]
    )
    torch.testing.assert_close(fused[:3], logits["a"][:3])
    present["a"][:2] = False  # the two others agree, then one is alone
    present["b"][1] = False
    fused, _ = head.fuse(features, logits, present)
    torch.testing.assert_close(fused[1], logits["c"][1])
    torch.testing.assert_close(fused[2], logits["a"][2])
    assert not torch.isclose(fused[0], logits["b"][0]).all()


def test_the_first_of_equally_sure_modalities_answers() -> None:
    head = DOMFN(WIDTHS, CLASSES)
    features, present = example()
    logits = {
        m: 5 * F.one_hot(torch.full((ROWS,), k), CLASSES).float() for k, m in enumerate(WIDTHS)
    }
    fused, _ = head.fuse(features, logits, present)
    torch.testing.assert_close(fused, logits["a"])


def test_no_gradient_reaches_the_fused_predictor_through_a_closed_gate() -> None:
    head = DOMFN(WIDTHS, CLASSES)
    features, present = example()
    features = {m: z.requires_grad_() for m, z in features.items()}
    logits = diverging({m: torch.randn(ROWS, CLASSES) for m in WIDTHS})
    head.fuse(features, logits, present)[0].square().sum().backward()
    for z in features.values():
        assert not z.grad[:3].any()
        assert bool(z.grad[3:].any(1).all())


def test_sigmoid_outputs_are_logits_and_probabilities_at_once() -> None:
    head = DOMFN(WIDTHS, CLASSES, output="sigmoid")
    plain = DOMFN(WIDTHS, CLASSES)
    plain.load_state_dict(head.state_dict())
    features, present = example()
    output, other = head(features, present), plain(features, present)
    torch.testing.assert_close(output.logits["b"], other.logits["b"].sigmoid())
    torch.testing.assert_close(head.probability(output.logits["b"]), output.logits["b"])
    torch.testing.assert_close(plain.probability(other.logits["b"]), other.logits["b"].softmax(1))
    torch.testing.assert_close(output.fused, other.fused.sigmoid())


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 0.0},
        {"threshold": 1.1},
        {"gamma": -1.0, "tau": 0.5},
        {"gamma": 0.8, "tau": 0.0},
        {"output": "relu"},
        {"hidden": 0},
    ],
)
def test_refuses_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="DOMFN: '"):
        DOMFN(WIDTHS, CLASSES, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 0.8}, "'gamma' must be left out unless 'tau' is given, found 0.8"),
        ({"threshold": 0.7, "tau": 0.5}, "'threshold' must be left out unless 'tau' is null"),
    ],
)
def test_refuses_options_without_effect(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"DOMFN: {message}"):
        HEADS.build("domfn", options, widths=WIDTHS, classes=CLASSES)


def test_tau_alone_takes_the_published_gamma() -> None:
    head = HEADS.build("domfn", {"tau": 0.5}, widths=WIDTHS, classes=CLASSES)
    assert head.literal == 0.8 * 0.5
