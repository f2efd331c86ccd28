"""Contracts of all heads: weights, order, absence and fusion, for two to four modalities."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from equipoise.errors import ConfigError
from equipoise.heads import HEADS
from equipoise.heads.base import Head
from equipoise.heads.concat import Concat
from equipoise.heads.linear import Late, Sum
from equipoise.heads.parts.fusion import FUSION_RULES, entropy, entropy_weights, fusion_rule
from equipoise.heads.per_modality import PerModality
from equipoise.heads.shared import Shared

CLASSES, ROWS = 4, 6
WIDTHS = {"a": 3, "b": 5, "c": 2, "d": 4}
COUNTS = [2, 3, 4]
ONE_WIDTH = ("shared", "weight-elementwise", "boosted-sum", "if-mmin", "di-mml")
ORDERED = (
    "film",
    "affine",
    "bigated",
    "ml-lstm",
)  # the first modality acts on the others, or the last speaks last


def widths(count: int) -> dict[str, int]:
    return dict(list(WIDTHS.items())[:count])


def given(count: int, width: int | None = None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Random features and an all-True presence."""
    features = {m: torch.randn(ROWS, width or w) for m, w in widths(count).items()}
    return features, {m: torch.ones(ROWS, dtype=torch.bool) for m in features}


def build(name: str, count: int) -> tuple[Head, dict[str, Tensor], dict[str, Tensor]]:
    features, present = given(count, 3 if name in ONE_WIDTH else None)
    head: Head = HEADS.build(
        name, widths={m: x.shape[1] for m, x in features.items()}, classes=CLASSES
    )
    return head, features, present


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", ["concat", "sum"])
def test_shares_add_up_to_the_fused_logits(name: str, count: int) -> None:
    head, features, present = build(name, count)
    output = head(features, present)
    assert head.decomposable
    torch.testing.assert_close(torch.stack(list(output.logits.values())).sum(0), output.fused)


@pytest.mark.parametrize("count", COUNTS)
def test_concat_is_one_linear_layer_on_the_concatenation(count: int) -> None:
    head, features, present = build("concat", count)
    assert isinstance(head, Concat)
    weight = torch.cat([head.blocks[m].weight for m in features], 1)
    expected = F.linear(torch.cat(list(features.values()), 1), weight, head.bias)
    torch.testing.assert_close(head(features, present).fused, expected)
    assert bool(
        (weight.abs() <= sum(widths(count).values()) ** -0.5).all()
    )  # nn.Linear's initialisation of the whole


@pytest.mark.parametrize("count", COUNTS)
def test_one_active_modality_of_concat_keeps_the_whole_bias(count: int) -> None:
    head, features, present = build("concat", count)
    assert isinstance(head, Concat)
    only = {m: p if m == "a" else torch.zeros_like(p) for m, p in present.items()}
    alone = head({"a": features["a"]}, only)
    torch.testing.assert_close(
        alone.fused - alone.logits["a"], (head.bias * (1 - 1 / count)).expand(ROWS, -1)
    )


@pytest.mark.parametrize("count", COUNTS)
def test_gradient_of_concat_in_the_features(count: int) -> None:
    head, features, present = build("concat", count)
    label = torch.randint(CLASSES, (ROWS,))
    for x in features.values():
        x.requires_grad_()
    fused = head(features, present).fused
    F.cross_entropy(fused, label).backward()
    residual = (fused.softmax(1) - F.one_hot(label, CLASSES)) / ROWS
    for m, x in features.items():
        torch.testing.assert_close(x.grad, residual @ head.blocks[m].weight)


@pytest.mark.parametrize("count", COUNTS)
def test_sum_copied_into_concat_is_the_same_function(count: int) -> None:
    source, features, present = build("sum", count)
    target = Concat(widths(count), CLASSES)
    with torch.no_grad():
        target.bias.zero_()
        for m in features:
            target.blocks[m].weight.copy_(source.blocks[m].weight)
            target.bias += source.blocks[m].bias
    torch.testing.assert_close(target(features, present).fused, source(features, present).fused)


def test_sum_gives_every_modality_the_same_gradient() -> None:
    head, features, present = build("sum", 3)
    output = head(features, present)
    loss = F.cross_entropy(output.fused, torch.randint(CLASSES, (ROWS,)))
    first, *others = torch.autograd.grad(loss, list(output.logits.values()))
    assert all(torch.equal(first, other) for other in others)


def test_mean_reduction_divides_the_sum() -> None:
    head, features, present = build("sum", 3)
    mean = Sum(widths(3), CLASSES, reduction="mean")
    mean.load_state_dict(head.state_dict())
    torch.testing.assert_close(mean(features, present).fused * 3, head(features, present).fused)


@pytest.mark.parametrize("fusion", ["probability", "mean", "entropy"])
def test_late_fusion_of_equal_predictions_is_that_prediction(fusion: str) -> None:
    head = Late({"a": 3, "b": 3}, CLASSES, fusion=fusion)
    head.blocks["b"].load_state_dict(head.blocks["a"].state_dict())
    x, present = torch.randn(ROWS, 3), torch.ones(ROWS, dtype=torch.bool)
    output = head({"a": x, "b": x}, {"a": present, "b": present})
    torch.testing.assert_close(output.fused.log_softmax(1), output.logits["a"].log_softmax(1))


def test_probability_fusion_is_the_mean_of_the_probabilities() -> None:
    head, features, present = build("late", 3)
    output = head(features, present)
    probability = torch.stack([v.softmax(1) for v in output.logits.values()]).mean(0)
    torch.testing.assert_close(output.fused.exp(), probability)
    torch.testing.assert_close(output.fused.exp().sum(1), torch.ones(ROWS))


def test_per_modality_is_the_published_classifier() -> None:
    layers = list(PerModality({"a": 3}, CLASSES).blocks["a"])
    assert [type(layer).__name__ for layer in layers] == ["Linear", "ReLU", "Linear", "Linear"]
    assert [
        (layer.in_features, layer.out_features) for layer in layers if hasattr(layer, "weight")
    ] == [
        (3, 256),
        (256, 64),
        (64, CLASSES),
    ]


def test_shared_reads_every_modality_with_one_classifier() -> None:
    head, features, present = build("shared", 3)
    assert isinstance(head, Shared)
    output = head(features, present)
    for m, z in features.items():
        torch.testing.assert_close(
            output.logits[m], z @ head.classifier.weight.T + head.classifier.bias
        )
    with pytest.raises(ConfigError, match="features of one width, found a 3, b 5"):
        Shared(widths(2), CLASSES)


@pytest.mark.parametrize("name", [name for name in HEADS.names() if name not in ORDERED])
@pytest.mark.parametrize("count", COUNTS)
def test_the_order_of_the_modalities_does_not_matter(name: str, count: int) -> None:
    head, features, present = build(name, count)
    backwards = dict(reversed(features.items()))
    other: Head = HEADS.build(
        name, widths={m: x.shape[1] for m, x in backwards.items()}, classes=CLASSES
    )
    other.load_state_dict(head.state_dict())
    torch.testing.assert_close(other(backwards, present).fused, head(features, present).fused)


@pytest.mark.parametrize("name", HEADS.names())
def test_an_absent_modality_has_no_say_and_others_do_not_notice(name: str) -> None:
    head, features, present = build(name, 3)
    present = {**present, "b": torch.arange(ROWS) % 2 == 0}
    output = head(features, present)
    noisy = {**features, "b": torch.where(present["b"].unsqueeze(1), features["b"], 100.0)}
    assert torch.equal(head(noisy, present).fused, output.fused)
    if output.weights is not None:
        assert bool((output.weights[~present["b"], 1] == 0).all())
        # Those of qmf are confidences, those of stacked are fitted each by itself, and in di-mml
        # the classifier of all features has a weight, too.
        if name not in ("qmf", "stacked", "di-mml"):
            torch.testing.assert_close(output.weights.sum(1), torch.ones(ROWS))


@pytest.mark.parametrize("name", HEADS.names())
def test_a_prediction_does_not_depend_on_the_batch_it_is_in(name: str) -> None:
    head, features, present = build(name, 3)
    present = {**present, "c": torch.arange(ROWS) < 2}
    whole = head(features, present).fused
    for rows in (slice(0, 1), slice(2, 5)):
        part = head(
            {m: x[rows] for m, x in features.items()}, {m: p[rows] for m, p in present.items()}
        )
        torch.testing.assert_close(part.fused, whole[rows])


@pytest.mark.parametrize("name", ["late", "per-modality", "shared", "sum"])
def test_modalities_left_out_of_the_fusion_have_no_say(name: str) -> None:
    head, features, present = build(name, 3)
    head.fuse_only(["a", "c"])  # type: ignore[operator]
    output = head(features, present)
    absent = head(features, {**present, "b": torch.zeros(ROWS, dtype=torch.bool)})
    assert torch.equal(output.fused, absent.fused)
    head.fuse_only(["b"])  # type: ignore[operator]
    none = head(features, {**present, "b": torch.zeros(ROWS, dtype=torch.bool)}).fused
    torch.testing.assert_close(none.softmax(1), torch.full((ROWS, CLASSES), 1 / CLASSES))


def test_entropy_weights_reference_value() -> None:
    logits = torch.tensor([[[3.0, 0, 0]], [[1.0, 0.5, 0]]])
    assert entropy(logits).flatten().tolist() == pytest.approx([0.3666, 1.0202], abs=1e-4)
    weights = entropy_weights(logits, torch.ones(2, 1, dtype=torch.bool))
    assert weights.flatten().tolist() == pytest.approx([0.6578, 0.3422], abs=1e-4)


def test_entropy_weights_are_equation_8() -> None:
    logits = torch.randn(3, ROWS, CLASSES) * 3
    e = torch.distributions.Categorical(logits=logits).entropy()
    shifted = (e.amax(0) - e).exp()
    weights = entropy_weights(logits, torch.ones(3, ROWS, dtype=torch.bool))
    torch.testing.assert_close(weights, shifted / shifted.sum(0))
    assert torch.equal(weights.argmax(0), e.argmin(0))
    torch.testing.assert_close(weights.sum(0), torch.ones(ROWS))


def test_batch_entropy_is_that_of_the_published_code() -> None:
    logits = torch.randn(2, ROWS, CLASSES)
    probability = logits.softmax(1)
    e = -(probability * probability.log()).sum((1, 2))
    expected = (e.max() - e).exp() / (e.max() - e).exp().sum()
    fused, weights = fusion_rule("test", "entropy-batch", ("a", "b"))(
        logits, torch.ones(2, ROWS, dtype=torch.bool)
    )
    torch.testing.assert_close(weights, expected.expand(ROWS, 2))
    torch.testing.assert_close(fused, expected[0] * logits[0] + expected[1] * logits[1])


def test_batch_entropy_with_absent_samples_and_modalities_is_finite() -> None:
    logits = torch.randn(3, ROWS, CLASSES)
    present = torch.ones(3, ROWS, dtype=torch.bool)
    present[0], present[1, 2] = False, False
    fused, weights = fusion_rule("test", "entropy-batch", ("a", "b", "c"))(logits, present)
    assert weights is not None
    assert bool(fused.isfinite().all())
    assert bool((weights.T[~present] == 0).all())
    torch.testing.assert_close(weights.sum(1), torch.ones(ROWS))


def test_fixed_weights_are_renormalised_over_the_present() -> None:
    share = {"a": 0.35, "b": 0.25, "c": 0.4}
    present = torch.ones(3, 2, dtype=torch.bool)
    present[1, 1] = False
    _, weights = fusion_rule("test", "fixed", ("a", "b", "c"), share)(
        torch.randn(3, 2, CLASSES), present
    )
    assert weights is not None
    torch.testing.assert_close(
        weights, torch.tensor([[0.35, 0.25, 0.4], [0.35 / 0.75, 0.0, 0.4 / 0.75]])
    )


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("median", None),
        ("fixed", None),
        ("mean", {"a": 1.0}),
        ("fixed", {"a": 1.0}),
        ("fixed", {"a": 1.0, "b": 0.0}),
    ],
)
def test_wrong_rules_and_weights_are_refused(name: str, share: dict[str, float] | None) -> None:
    with pytest.raises(ConfigError, match="Late: 'fusion"):
        Late(widths(2), CLASSES, fusion=name, fusion_weights=share)


@pytest.mark.parametrize("name", [r for r in FUSION_RULES if r != "entropy-batch"])
def test_rules_work_on_one_sample_at_a_time(name: str) -> None:
    share = {"a": 0.2, "b": 0.3, "c": 0.5} if name == "fixed" else None
    fuse = fusion_rule("test", name, ("a", "b", "c"), share)
    logits, present = torch.randn(3, ROWS, CLASSES), torch.rand(3, ROWS) < 0.6
    present[0] |= ~present.any(0)
    whole, _ = fuse(logits, present)
    for row in range(ROWS):
        part, _ = fuse(logits[:, row : row + 1], present[:, row : row + 1])
        torch.testing.assert_close(part[0], whole[row])
