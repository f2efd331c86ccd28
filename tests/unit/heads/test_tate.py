"""TATE's head: its tags, shared pair projections, and pooling."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.heads.tate import TATE, GatedPool, missing_tag


def test_tags_of_all_patterns() -> None:
    expected = {"111": "1000", "011": "0100", "101": "0010", "110": "0001"}
    expected |= {"001": "0110", "010": "0101", "100": "0011"}
    for bits in product((True, False), repeat=3):
        if any(bits):
            tag = missing_tag({m: torch.tensor([b]) for m, b in zip("abc", bits, strict=True)})[0]
            pattern = "".join(str(int(b)) for b in bits)
            assert "".join(str(int(t)) for t in tag) == expected[pattern]


def test_both_of_a_pair_are_projected_alike() -> None:
    head = TATE({"a": 3, "b": 5}, 4, width=12)
    first, second = torch.randn(2, 6, 12)
    tokens = head.tokens({"a": first, "b": second})
    assert torch.equal(head.tokens({"a": second, "b": first}), tokens.flip(1))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_widths_fit_whatever_the_number_of_modalities(count: int) -> None:
    widths = {f"m{k}": 3 + k for k in range(count)}
    head = TATE(widths, 4, width=16, heads=4)
    features = {m: torch.randn(5, d) for m, d in widths.items()}
    reading = head.interpret(features, {m: torch.ones(5, dtype=torch.bool) for m in widths})
    assert reading.tagged.shape == reading.encoded.shape
    assert reading.tagged.shape[:2] == (5, count)
    assert reading.logits.shape == (5, 4)
    tags = reading.tagged[..., reading.tagged.shape[2] - head.padding - count - 1 :]
    assert bool((tags[..., 0] == 1).all())
    assert not bool(tags[..., 1:].any())


@pytest.mark.parametrize(("widths", "expected"), [((5, 6), 8), ((5, 400), 300), ((1,) * 10, 12)])
def test_tokens_are_no_wider_than_the_published_or_the_features(
    widths: tuple[int, ...], expected: int
) -> None:
    head = TATE({f"m{k}": width for k, width in enumerate(widths)}, 4)
    assert head.width == expected


def test_absent_content_does_not_matter_and_gets_no_gradient() -> None:
    head = TATE({"a": 3, "b": 5}, 4, width=12)
    features = {"a": torch.randn(6, 3), "b": torch.randn(6, 5)}
    present = {"a": torch.ones(6, dtype=torch.bool), "b": torch.zeros(6, dtype=torch.bool)}
    torch.testing.assert_close(
        head(features, present).fused, head({"a": features["a"]}, present).fused
    )
    head({"a": features["a"]}, present).fused.sum().backward()
    assert all(p.grad is None for p in head.blocks["b"].parameters())


def test_pooling_is_a_mean_with_weights_of_sum_one() -> None:
    pool, tokens = GatedPool(6), torch.randn(5, 3, 6)
    weights = pool.weights(tokens)
    torch.testing.assert_close(weights.sum(1), torch.ones(5, 1))
    torch.testing.assert_close(pool(tokens), torch.einsum("btw,bt->bw", tokens, weights.squeeze(2)))


def test_a_tag_told_for_sure_has_no_error() -> None:
    head = TATE({"a": 3, "b": 5}, 4, width=12)
    tag = torch.tensor([[True, False, False], [False, True, False]])
    pooled = torch.randn(2, 12 + 3 + head.padding)
    assert head.padding == 1
    pooled[:, 12:15] = torch.where(tag, 50.0, -50.0)
    torch.testing.assert_close(head.tag_error(pooled, tag), torch.zeros(2))
    torch.testing.assert_close(head.tag_error(pooled, ~tag), torch.ones(2))


@pytest.mark.parametrize("options", [{"width": 10}, {"heads": 0}, {"dropout": -0.1}])
def test_refuses_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"'{next(iter(options))}' must be"):
        TATE({"a": 3, "b": 5}, 4, **options)  # type: ignore[arg-type]


def test_every_pair_has_a_layer_of_its_own_whatever_the_modalities_are_called() -> None:
    head = TATE(dict.fromkeys(("a", "a-b", "b-c", "c"), 6), 3, width=12, heads=2)
    assert len(head.pairs) == 6
