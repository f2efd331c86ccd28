"""One line for each modality: what is read of it, and which encoder reads it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from equipoise.data.modality import ModalitySpec
from equipoise.data.table.table import Splits
from equipoise.data.transforms.sizes import times
from equipoise.encoders import ENOUGH, default_encoder, large
from equipoise.runs.build import named_encoders
from equipoise.settings import Settings

LARGE = 50_000
"""Numbers in a sample from which the work of its encoder is counted."""
SLOW = 1e9
"""Multiplications per sample from which training without a GPU takes long."""
LONG = 1000
"""Steps of a series or a text from which training takes long."""


def describe_inputs(
    settings: Settings, splits: Splits, encoders: Mapping[str, nn.Module]
) -> dict[str, str]:
    """Say what is read of each modality, by which encoder, and whether that takes long.

    Args:
        settings: of the run.
        splits: its data.
        encoders: {modality: encoder}, before any frozen one is replaced by its features.

    Returns:
        {modality: text}, such as "5.0 of 5.0 s at 16 kHz → log-mel 64×501 → small_cnn, 77 k
        parameters".
    """
    reading = splits.preprocessing.get("reading", {})
    specs = splits.train.specs
    named = named_encoders(settings.encoder, specs)
    return {
        m: describe_input(
            spec,
            encoders[m],
            reading.get(m, ""),
            name=named[m]["name"] if m in named else None,
            count_work=not settings.compile,
            rows=len(splits.train),
        )
        for m, spec in specs.items()
    }


def describe_input(
    spec: ModalitySpec,
    encoder: nn.Module,
    reading: str,
    *,
    name: str | None = None,
    count_work: bool = True,
    rows: int | None = None,
) -> str:
    """The text of one modality, see `describe_inputs`.

    Args:
        spec: of the modality.
        encoder: of the modality.
        reading: the part that is read; "" where the data come as arrays, which are read whole.
        name: of the encoder; None for the default of the kind and shape.
        rows: number of training samples; None for an unknown one.
        count_work: run a large sample through the encoder, to count its multiplications.
    """
    read = reading or f"{times(spec.shape)} numbers"
    if spec.vocabulary is not None:
        read += f", vocabulary of {spec.vocabulary:,}"
    if spec.kind == "tabular":
        read += f" → {spec.shape[0]} inputs"
    count = sum(parameter.numel() for parameter in encoder.parameters())
    chosen = name or default_encoder(spec.kind, spec.shape, rows)
    text = f"{read} → {chosen}, {_short(count)} parameters"
    if name is None and rows is not None and chosen != "resnet" and large(spec.kind, spec.shape):
        text += f", as {rows:,} samples are few (from {ENOUGH:,} on: resnet)"
    if len(spec.shape) < 3 and spec.kind in ("text", "array") and spec.shape[0] > LONG:
        return f"{text}; {spec.shape[0]:,} steps take long, a smaller 'length' is faster"
    work = _multiplications(encoder, spec) if count_work else 0.0
    if work > SLOW:
        return f"{text}; {work / 1e9:.1f} billion multiplications a sample, slow without a GPU"
    return text


def _short(count: int) -> str:
    """A number of parameters such as 77 k or 11.2 M."""
    if count >= 1_000_000:
        return f"{count / 1e6:.1f} M"
    return f"{count / 1e3:.0f} k" if count >= 1000 else str(count)


def _multiplications(encoder: nn.Module, spec: ModalitySpec) -> float:
    """Multiplications of a forward pass of one large sample; 0 for small ones."""
    from torch.utils.flop_counter import FlopCounterMode

    if spec.vocabulary is not None or torch.Size(spec.shape).numel() < LARGE:
        return 0.0
    parameter = next(encoder.parameters(), None)
    sample = torch.zeros(1, *spec.shape)
    modes = [(module, module.training) for module in encoder.modules()]
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter:
            encoder.eval()(sample if parameter is None else sample.to(parameter.device))
    except Exception:  # an encoder of the user's own may want more than one sample
        return 0.0
    finally:
        # One by one, because a frozen part is not in the mode of the whole.
        for module, trains in modes:
            module.training = trains
    return counter.get_total_flops() / 2
