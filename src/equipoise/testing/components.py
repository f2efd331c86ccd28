"""Checks that every registered head, encoder and data set passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import nn

from equipoise.data.table.table import Splits
from equipoise.encoders import ENCODERS, build_encoder
from equipoise.heads import HEADS
from equipoise.heads.base import Head
from equipoise.registry import EncoderEntry, Entry
from equipoise.testing.options import check_refusals
from equipoise.testing.registered import registered


def check_head(
    head: str | Entry | type[Head],
    *,
    modalities: int = 2,
    options: Mapping[str, object] | None = None,
) -> None:
    """Check a head.

    It checks shapes and gradients, that a sample does not depend on its batch, that absent
    modalities have no weight, that logits add up where the head says so, and that wrong values of
    options are refused.

    Args:
        head: registered name, entry, or class.
        modalities: number of modalities.
        options: options of the head.

    Raises:
        AssertionError: a property does not hold.
        ConfigError: the head is unknown, or refuses its options.
    """
    names = [f"m{k}" for k in range(modalities)]
    widths = dict.fromkeys(names, 6)
    entry = registered(head, HEADS)
    build = partial(HEADS.build, entry.name, widths=widths, classes=4)
    _check_head(build(options), names)
    check_refusals(lambda wrong: build({**(options or {}), **wrong}), entry.parameters())


def _check_head(head: Head, names: Sequence[str]) -> None:
    features = {m: torch.randn(5, 6, requires_grad=True) for m in names}
    present = {m: torch.ones(5, dtype=torch.bool) for m in names}
    output = head(features, present)
    for what, logits in {"fused": output.fused, **output.logits}.items():
        assert logits.shape == (5, 4), (
            f"logits of {what} are {tuple(logits.shape)}, not (samples, classes) = (5, 4)"
        )
    output.fused.square().sum().backward()
    for modality, feature in features.items():
        moved = (
            feature.grad is not None and torch.isfinite(feature.grad).all() and feature.grad.any()
        )
        assert moved, f"no finite gradient reaches {modality} from the fused prediction"
    if head.decomposable:
        total = torch.stack([output.logits[m] for m in names]).sum(0)
        assert torch.allclose(total, output.fused, atol=1e-5), (
            "the logits do not add up to the fused ones"
        )
    first = head({m: x[:1] for m, x in features.items()}, {m: p[:1] for m, p in present.items()})
    assert torch.allclose(first.fused, output.fused[:1], atol=1e-5), (
        "a prediction depends on the other samples"
    )
    _check_absence(head, features, present)


def _check_absence(
    head: Head, features: Mapping[str, torch.Tensor], present: Mapping[str, torch.Tensor]
) -> None:
    """Check that the content of an absent cell does not matter, and that its weight is 0."""
    gone, *others = head.modalities
    lacking = {**present, gone: torch.tensor([False, True, True, True, True])}
    other = torch.randn(5, 6)
    other[1:] = features[gone][1:]
    outputs = [head({**features, gone: x}, lacking) for x in (features[gone], other)]
    assert torch.allclose(outputs[0].fused, outputs[1].fused, atol=1e-6), (
        "absent content changes the prediction"
    )
    if outputs[0].weights is not None:
        assert (outputs[0].weights[0, 0] == 0).all(), "an absent modality has weight"
    head.zero_grad()
    head(
        {m: features[m] for m in others}, {**present, gone: torch.zeros(5, dtype=torch.bool)}
    ).fused.sum().backward()
    block = head.blocks[gone].parameters() if gone in head.blocks else ()
    assert all(p.grad is None for p in block), "a modality absent from the batch gets a gradient"


def check_encoder(
    encoder: str | EncoderEntry | type[nn.Module],
    shape: Sequence[int],
    *,
    vocabulary: int | None = None,
    options: Mapping[str, object] | None = None,
) -> None:
    """Check an encoder.

    It checks the feature width and finite gradients, that a sample does not depend on the others in
    evaluation mode, and that the weights survive a round trip. A registered encoder must refuse
    wrong flags and numbers; options that are texts are left out, since a text may name anything.

    Args:
        encoder: registered name, `import:package.Class`, entry, or class.
        shape: shape of one sample.
        vocabulary: number of token ids, for text; None for other kinds.
        options: options of the encoder.

    Raises:
        AssertionError: a property does not hold.
        ConfigError: the encoder is unknown, or refuses its options or the shape.
    """
    name = encoder if isinstance(encoder, str) else registered(encoder, ENCODERS).name

    def build(wrong: Mapping[str, object]) -> nn.Module:
        return cast(
            nn.Module, build_encoder(name, {**(options or {}), **wrong}, tuple(shape), vocabulary)
        )

    built = build({})
    again = build({})
    inputs = torch.randn(4, *shape) if vocabulary is None else tokens(4, shape[0], vocabulary)
    features = built(inputs)
    assert features.shape == (4, built.width), (
        f"features {tuple(features.shape)}, width {built.width}"
    )
    features.square().mean().backward()
    for parameter, value in built.named_parameters():
        moved = not value.requires_grad or (
            value.grad is not None and torch.isfinite(value.grad).all()
        )
        assert moved, f"no finite gradient reaches {parameter}"
    built.eval()
    assert torch.allclose(built(inputs[1:2]), built(inputs)[1:2], atol=1e-4), (
        "a feature depends on other samples"
    )
    again.load_state_dict(built.state_dict())
    assert torch.equal(again.eval()(inputs), built(inputs)), (
        "state_dict does not hold all that a feature depends on"
    )
    if vocabulary is not None:
        longer = torch.cat([inputs[:1, :2], torch.zeros(1, shape[0] - 2, dtype=torch.int64)], dim=1)
        assert torch.isfinite(built(longer)).all(), "padding is not handled"
    if vocabulary is None and getattr(built, "reads_mask", False):
        _check_mask(built, inputs)
    if name in ENCODERS:
        parameters = ENCODERS[name].parameters()
        check_refusals(
            build, {n: p for n, p in parameters.items() if not isinstance(p.default, str)}
        )


def _check_mask(encoder: nn.Module, values: torch.Tensor) -> None:
    """Check that an encoder of series reads no step that is masked, (B, L, d)."""
    mask = torch.arange(values.shape[1]) < torch.randint(1, values.shape[1] + 1, (len(values), 1))
    first, second = (
        encoder({"values": torch.where(mask[..., None], values, filler), "mask": mask})
        for filler in (0.0, 7.0)
    )
    assert torch.allclose(first, second, atol=1e-5), "a feature depends on padding"


def tokens(count: int, length: int, vocabulary: int) -> torch.Tensor:
    """Draw random texts of different lengths as ids, (count, length), padded with 0."""
    ids = torch.randint(1, vocabulary, (count, length))
    lengths = torch.randint(1, length + 1, (count, 1))
    return ids * (torch.arange(length) < lengths)


def check_dataset(splits: Splits) -> None:
    """Check the splits of a data set.

    Splits share no sample, labels are classes, every sample has a modality, and content has the
    shape of its spec and is finite.

    Raises:
        AssertionError: a property does not hold.
    """
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    ids = [identifier for table in parts.values() for identifier in table.ids]
    assert len(ids) == len(set(ids)), "a sample is in two splits"
    assert set(splits.train.label.tolist()) == set(range(len(splits.train.classes))), (
        "a class is not in train"
    )
    for name, table in parts.items():
        assert ((table.label >= -1) & (table.label < len(table.classes))).all(), (
            f"a label of {name} is no class"
        )
        assert np.logical_or.reduce(list(table.present.values())).all(), (
            f"a sample of {name} has no modality"
        )
        batch = table.rows(np.arange(min(len(table), 32)))
        for modality, spec in table.specs.items():
            value = batch.inputs[modality]
            content = value["values"] if isinstance(value, Mapping) else value
            assert content.shape[1:] == spec.shape, (
                f"{modality}: {tuple(content.shape[1:])}, stated {spec.shape}"
            )
            assert torch.isfinite(content).all(), f"{modality} holds NaN or infinity"
