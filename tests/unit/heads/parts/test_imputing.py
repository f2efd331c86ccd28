"""Heads that restore absent features: the joint vector, the cascade and their identities."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from equipoise.errors import ConfigError
from equipoise.heads import HEADS
from equipoise.heads.ae import AE
from equipoise.heads.cra import CRA
from equipoise.heads.if_mmin import IFMMIN
from equipoise.heads.mmin import MMIN
from equipoise.heads.parts.cascade import FORMS, Cascade
from equipoise.heads.parts.imputing import ImputingHead, shown

WIDTHS = {"b": 3, "a": 3, "c": 3}
NAMES = ["ae", "cra", "mmin", "if-mmin"]


def zero_last(cascade: Cascade, count: int | None = None) -> None:
    """Let the last `count` blocks (default: all) correct nothing."""
    for block in list(cascade.blocks)[-(count or len(cascade.blocks)) :]:
        nn.init.zeros_(block.last.weight)
        nn.init.zeros_(block.last.bias)


@pytest.mark.parametrize("name", NAMES)
def test_content_of_absent_cells_and_order_of_declaration_do_not_matter(name: str) -> None:
    head: ImputingHead = HEADS.build(name, widths=WIDTHS, classes=4)
    features = {m: torch.randn(5, 3) for m in WIDTHS}
    present = {m: torch.rand(5) < 0.6 for m in WIDTHS}
    present["a"] = torch.ones(5, dtype=torch.bool)
    fused = head(features, present).fused
    noise = {
        m: torch.where(p.unsqueeze(1), features[m], torch.randn(5, 3)) for m, p in present.items()
    }
    assert torch.equal(head(noise, present).fused, fused)
    names = sorted(WIDTHS)
    other: ImputingHead = HEADS.build(name, widths=dict.fromkeys(names, 3), classes=4)
    other.load_state_dict(head.state_dict())
    found = other({m: features[m] for m in names}, {m: present[m] for m in names})
    torch.testing.assert_close(found.fused, fused)
    torch.testing.assert_close(found.logits["b"], head(features, present).logits["b"])


@pytest.mark.parametrize("name", NAMES)
def test_a_modality_alone_is_the_prediction_with_all_others_absent(name: str) -> None:
    head: ImputingHead = HEADS.build(name, widths=WIDTHS, classes=4)
    features = {m: torch.randn(5, 3) for m in WIDTHS}
    full = {m: torch.ones(5, dtype=torch.bool) for m in WIDTHS}
    alone = {m: p if m == "c" else ~p for m, p in full.items()}
    torch.testing.assert_close(
        head(features, full).logits["c"], head({"c": features["c"]}, alone).fused
    )


def test_the_joint_vector_comes_apart_again() -> None:
    head = CRA({"b": 2, "a": 4}, 3)
    features = {"b": torch.randn(5, 2), "a": torch.randn(5, 4)}
    joint = head.joint(features, 5)
    assert torch.equal(joint, torch.cat([features["a"], features["b"]], 1))
    assert all(torch.equal(part, features[m]) for m, part in head.split(joint).items())
    gone = {"a": torch.zeros(5, dtype=torch.bool), "b": torch.ones(5, dtype=torch.bool)}
    assert torch.equal(head.joint(shown(features, gone), 5), head.joint({"b": features["b"]}, 5))


def test_cra_without_corrections_is_the_identity() -> None:
    head, joint = CRA(WIDTHS, 4), torch.randn(5, 9)
    zero_last(head.cascade)
    assert torch.equal(head.restore(joint).joint, joint)


def test_the_last_block_zeroed_is_a_cascade_without_it() -> None:
    long, short = Cascade("test", 9, 4, [6, 5]), Cascade("test", 9, 3, [6, 5])
    short.load_state_dict(
        {k: v for k, v in long.state_dict().items() if not k.startswith("blocks.3")}
    )
    zero_last(long, 1)
    vector = torch.randn(5, 9)
    torch.testing.assert_close(long(vector)[0], short(vector)[0])
    torch.testing.assert_close(long(vector)[1][:, :15], short(vector)[1])


def test_the_first_block_learns_through_the_identity() -> None:
    cascade = Cascade("test", 9, 3, [6, 5])
    zero_last(cascade, 2)
    cascade(torch.randn(5, 9))[0].square().sum().backward()
    assert bool(cascade.blocks[0].encoder[0].weight.grad.any())


def test_mmin_without_corrections() -> None:
    head, joint = MMIN(WIDTHS, 4), torch.randn(5, 9)
    zero_last(head.cascade)
    code, imagined = head.restore(joint)
    assert code.shape == (5, 5 * 64)
    torch.testing.assert_close(imagined, head.transition(joint))
    expected = torch.cat([block.encoder(joint) for block in head.cascade.blocks], 1)
    torch.testing.assert_close(code, expected)


def by_hand(form: str, cascade: Cascade, x: Tensor, invariant: Tensor) -> Tensor:
    """The three forms as the reference writes them."""
    out = torch.zeros_like(x)
    if form == "residual":
        for block in cascade.blocks:
            x = x + out + invariant
            out = block.decoder(block.encoder(x))
        return x + out
    if form == "current":
        for block in cascade.blocks:
            x = block.decoder(block.encoder(x + invariant))
        return x
    for k, block in enumerate(cascade.blocks, start=1):
        out = block.decoder(block.encoder(x + k * invariant))
    return x + len(cascade.blocks) * invariant + out


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_the_cascade(form: str) -> None:
    cascade = Cascade("test", 9, 4, [6, 5], form).double()
    vector, invariant = torch.randn(2, 5, 9, dtype=torch.float64)
    torch.testing.assert_close(
        cascade(vector, invariant)[0], by_hand(form, cascade, vector, invariant)
    )


def test_without_invariants_the_residual_form_is_mmins_and_the_legacy_form_trains_one_decoder() -> (
    None
):
    residual, plain, legacy = (
        Cascade("test", 9, 3, [6, 5], f) for f in ("residual", "residual", "legacy")
    )
    plain.load_state_dict(residual.state_dict())
    vector = torch.randn(5, 9)
    torch.testing.assert_close(residual(vector, torch.zeros(5, 9))[0], plain(vector)[0])
    legacy(vector, torch.randn(5, 9))[0].sum().backward()
    assert [block.last.weight.grad is not None for block in legacy.blocks] == [False, False, True]


def test_if_mmin_maps_every_modality_by_one_encoder() -> None:
    head = IFMMIN(WIDTHS, 4)
    part = torch.randn(5, 3)
    found = head.invariants(torch.cat([part, part, torch.zeros(5, 3)], 1))
    assert torch.equal(found["a"], found["b"])
    assert torch.equal(found["c"], head.invariant(torch.zeros(5, 3)))
    with pytest.raises(ConfigError, match="features of one width"):
        IFMMIN({"a": 3, "b": 4}, 4)


def test_ae_restores_by_decoders_of_what_it_classifies() -> None:
    head = AE({"a": 3, "b": 5}, 4)
    code, joint = head.restore(torch.randn(6, 8))
    assert code is joint
    assert bool((joint >= 0).all())
    assert {m: tuple(x.shape) for m, x in head.estimates(joint).items()} == {
        "a": (6, 3),
        "b": (6, 5),
    }


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ae", {"layers": []}),
        ("cra", {"layers": [4, 0]}),
        ("mmin", {"blocks": 0}),
        ("if-mmin", {"cascade": "newest"}),
        ("ae", {"dropout": 1.0}),
    ],
)
def test_refuses_bad_options(name: str, options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"'{next(iter(options))}' must be"):
        HEADS.build(name, options, widths=WIDTHS, classes=4)
