r"""Grad-CAM: the parts of a sample that speak for a class.

Selvaraju et al. Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization.
ICCV 2017.

$$w_k = \frac1Z \sum_{ij} \frac{\partial v_c}{\partial A^k_{ij}}, \qquad
\mathrm{map} = \mathrm{ReLU}\Big(\sum_k w_k A^k\Big) \qquad \text{(Eq. 1-2)}$$

$A$ is the output of the last convolution of the modality's encoder whose maps are larger than one
pixel, and $v_c$ the logit of the class that this modality alone predicts. Films are looked at frame
by frame where the encoder is two-dimensional.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equipoise.analysis.opened import Runs, drawn_rows, open_runs
from equipoise.analysis.picture import Panel, Photo, Picture
from equipoise.analysis.record import Record
from equipoise.analysis.samples import is_spatial, photo
from equipoise.batch import Batch
from equipoise.checks import choice, integer, integer_list, require
from equipoise.data.table.table import Table
from equipoise.errors import ConfigError, suggest
from equipoise.model import Model

TARGETS = ("predicted", "label")


def class_maps(
    model: Model, batch: Batch, modality: str, target: str = "predicted"
) -> tuple[Tensor, Tensor]:
    """Grad-CAM of one modality.

    Args:
        model: the trained network, in evaluation mode.
        batch: samples that all have the modality; its samples are (…, height, width).
        modality: name.
        target: the class of the maps, the "predicted" one or the "label".

    Returns:
        Maps (B, height, width), or (B, frames, height, width) of films, from 0 to 1; and the
        classes (B,).

    Raises:
        ConfigError: the encoder has no convolution with maps larger than one pixel.
    """
    maps: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        if output.shape[-1] * output.shape[-2] > 1:
            output.retain_grad()
            maps.append(output)

    layers = [m for m in model.encoders[modality].modules() if isinstance(m, nn.Conv2d | nn.Conv3d)]
    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        with torch.enable_grad():
            logits = model(batch, only=(modality,)).logits[modality]
    finally:
        for handle in handles:
            handle.remove()
    if not maps:
        raise ConfigError(
            f"gradcam: the encoder of {modality!r} has no convolution with maps of several pixels"
        )
    classes = logits.argmax(1) if target == "predicted" else batch.label
    (gradient,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), maps[-1])
    activation = maps[-1].detach()
    space = tuple(range(2, activation.dim()))
    found = (gradient.mean(space, keepdim=True) * activation).sum(1).relu()
    inputs = batch.inputs[modality]
    shape = (inputs if isinstance(inputs, Tensor) else inputs["values"]).shape
    return _enlarged(found, shape), classes


def _enlarged(found: Tensor, shape: torch.Size) -> Tensor:
    """Maps of the size of the samples (B, …, height, width), each with the largest value 1."""
    rows = shape[0]
    found = found.view(rows, -1, *found.shape[1:])
    if found.dim() == 5:  # (B, 1, frames, height, width) of a three-dimensional encoder
        size = (shape[1], *shape[-2:]) if len(shape) == 5 else tuple(shape[-3:])
        found = F.interpolate(found, size=size, mode="trilinear", align_corners=False)[:, 0]
    else:
        found = F.interpolate(found, size=tuple(shape[-2:]), mode="bilinear", align_corners=False)
    largest = found.flatten(1).amax(1).view(-1, 1, 1, 1).clamp_min(1e-12)
    scaled = found / largest
    return scaled if len(shape) == 5 else scaled[:, 0]


def overlay(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A grey picture (height, width, 3) under a map (height, width) in red and yellow."""
    grey = np.repeat(pixels.mean(2, keepdims=True), 3, 2)
    colour = np.stack([np.clip(2 * heat, 0, 1), np.clip(2 * heat - 1, 0, 1), 0 * heat], 2)
    weight = 0.7 * heat[..., None]
    mixed: np.ndarray = (1 - weight) * grey + weight * colour
    return mixed


def gradcam(
    runs: Runs,
    *,
    modality: str | None = None,
    data: Any = None,
    split: str | None = None,
    samples: int = 4,
    ids: Sequence[Any] = (),
    epochs: Sequence[int] = (),
    target: str = "predicted",
    seed: int = 0,
    trust: bool = False,
) -> Record:
    """Draw which parts of pictures, films and spectrograms speak for a class.

    LFM (Yang et al. NeurIPS 2024), Figure 4.

    Args:
        runs: a finished run or its folder, the folder of a comparison, or several of them.
        modality: pictures, films or spectrograms; all such modalities by default.
        data: other data with the columns of the runs; their own by default.
        split: of the runs' own data, train, validation or test; test by default.
        samples: number of samples, drawn at random, where no ids are given.
        ids: of the samples to show.
        epochs: some of the runs' keep_epochs; the best epoch by default.
        target: the class that the map speaks for, predicted or label.
        seed: of the choice of samples.
        trust: code that the settings of the runs import may run.

    Returns:
        A table with a row for each run, epoch, modality and sample: id, label, class of the map,
        the centre of the map as fractions of width (x) and height (y), and the fraction of the
        sample's area in which the map is at least half of its largest value.

    Raises:
        ConfigError: an option has a wrong value, or an encoder has no maps.
        RunError: no finished run, or the weights of an epoch were not kept.
    """
    require(
        "gradcam",
        integer("samples", samples, 1),
        integer_list("epochs", list(epochs), empty=True),
        choice("target", target, TARGETS),
    )
    rows: list[dict[str, Any]] = []
    panels = []
    columns = 0
    for one in open_runs(runs, trust):
        chosen: list[int | None] = [*epochs] or [None]
        for epoch in chosen:
            trained = one.trained(epoch)
            table = replace(trained.table(data, split), augment=None)
            for name in _spatial(table, modality):
                there = _chosen(table, name, ids, samples, seed)
                found = _mapped(trained.model, there, name, target)
                columns = max(columns, len(found))
                for facts, panel in found:
                    when = trained.run.result["best_epoch"] + 1 if epoch is None else epoch
                    rows.append({**one.facts, "epoch": when, "modality": name, **facts})
                    title = f"{one.label}, epoch {when}: {facts['class']}"
                    panels.append(replace(panel, title=title))
                # A row of the picture for each run, epoch and modality.
                panels += [Panel([], bare=True)] * (columns - len(found))
    return Record("gradcam", pd.DataFrame(rows), Picture(panels, max(columns, 1)))


def _spatial(table: Table, modality: str | None) -> list[str]:
    known = [m for m, spec in table.specs.items() if is_spatial(spec.kind, spec.shape)]
    if modality is None and known:
        return known
    if modality not in known:
        found = suggest(modality, known) if known else "; the run has none"
        raise ConfigError(f"gradcam: {modality!r} is no picture, film or spectrogram{found}")
    return [modality]


def _chosen(table: Table, modality: str, ids: Sequence[Any], samples: int, seed: int) -> Table:
    """The samples to show, which all have the modality."""
    there = table.take(np.flatnonzero(table.present[modality]))
    if not ids:
        return drawn_rows(there, samples, seed)
    place = {str(name): row for row, name in enumerate(there.ids)}
    missing = [name for name in ids if str(name) not in place]
    if missing:
        raise ConfigError(f"gradcam: no sample {missing[0]!r} with {modality!r} in these data")
    return there.take(np.array([place[str(name)] for name in ids]))


def _mapped(
    model: Model, table: Table, modality: str, target: str
) -> list[tuple[dict[str, Any], Panel]]:
    """The row of the table and the panel of each sample."""
    device = next(model.parameters()).device
    batch = table.rows(np.arange(len(table))).to(device)
    maps, classes = class_maps(model.eval(), batch, modality, target)
    inputs = batch.inputs[modality]
    blocks = (inputs if isinstance(inputs, Tensor) else inputs["values"]).float().cpu().numpy()
    found = []
    for number, (block, heat) in enumerate(zip(blocks, maps.cpu().numpy(), strict=True)):
        if heat.ndim == 3:  # of a film, the frame with the strongest map
            frame = int(heat.reshape(len(heat), -1).sum(1).argmax())
            block, heat = block[frame], heat[frame]
        total = max(float(heat.sum()), 1e-12)
        height, width = heat.shape
        facts = {
            "id": table.ids[number],
            "label": table.classes[int(table.label[number])],
            "class": table.classes[int(classes[number])],
            "x": float((heat.sum(0) * (np.arange(width) + 0.5) / width).sum() / total),
            "y": float((heat.sum(1) * (np.arange(height) + 0.5) / height).sum() / total),
            "area": float((heat >= 0.5 * heat.max()).mean()),
        }
        pixels = overlay(photo(block), heat)
        flipped = pixels[::-1] if table.specs[modality].kind == "audio" else pixels
        panel = Panel([Photo(flipped)], bare=True, text=f"{facts['id']} ({facts['label']})")
        found.append((facts, panel))
    return found
