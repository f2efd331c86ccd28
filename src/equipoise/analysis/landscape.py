r"""The loss around a trained network, along random directions, and how sharp its minimum is.

Li, Xu, Taylor, Studer, Goldstein. Visualizing the Loss Landscape of Neural Nets. NeurIPS 2018.

$$L(\theta + a \, d_1 + b \, d_2), \qquad
d_{i,j} \leftarrow \frac{d_{i,j}}{\lVert d_{i,j} \rVert} \lVert \theta_{i,j} \rVert$$

for every filter $j$ of every weight, that is every row of a linear layer and every output channel
of a convolution. Biases and normalisation layers are not moved. The normalisation makes networks
comparable whose weights have different scales. A direction is drawn from the seed and the name of
the weight, so that networks of one architecture are moved in the same directions.

The loss of a modality depends on its own encoder and head alone, so one pass over the samples gives
the landscapes of the fused prediction and of every modality.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from equipoise.analysis.objective import (
    Objective,
    hessian_product,
    largest_eigenvalue,
    moved,
    trace,
    worst_nearby,
)
from equipoise.analysis.opened import Runs, drawn_rows, open_runs
from equipoise.analysis.picture import Grid, Line, Panel, Picture
from equipoise.analysis.record import Record
from equipoise.checks import flag, integer, not_negative, positive, require
from equipoise.progress import track


def direction(module: nn.Module, seed: int) -> dict[str, Tensor]:
    """A filter-normalised random direction {name of a parameter: tensor of its shape}.

    Args:
        module: the network; parameters of one axis (biases, normalisation) are left out.
        seed: of the draw.
    """
    found = {}
    for name, weight in module.named_parameters():
        if weight.dim() < 2 or not weight.requires_grad:
            continue
        key = (seed * 2**32 + zlib.crc32(name.encode())) % 2**63
        drawn = torch.randn(weight.shape, generator=torch.Generator().manual_seed(key))
        rows = drawn.flatten(1)
        own = weight.detach().flatten(1).norm(dim=1, keepdim=True)
        scaled = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-30) * own.cpu()
        found[name] = scaled.view_as(weight).to(weight.device, weight.dtype)
    return found


def surface(
    objective: Objective, directions: Sequence[dict[str, Tensor]], steps: Sequence[float]
) -> Iterator[tuple[tuple[float, ...], dict[str, float]]]:
    """Losses at every point of a grid.

    Args:
        objective: the loss.
        directions: one or two.
        steps: distances along each direction.

    Yields:
        The distances, and {"fused" or modality: loss} there.
    """
    parameters = dict(objective.model.named_parameters())
    weights = [parameters[name] for name in directions[0]]
    axes = np.meshgrid(*[np.asarray(steps)] * len(directions), indexing="ij")
    for point in zip(*(axis.ravel().tolist() for axis in axes), strict=True):
        offsets = [
            sum((a * d[name] for a, d in zip(point, directions, strict=True)), torch.zeros(()))
            for name in directions[0]
        ]
        with moved(weights, offsets):
            yield point, objective.losses()


def landscape(
    runs: Runs,
    *,
    dimensions: int = 2,
    points: int = 21,
    span: float = 1.0,
    samples: int = 512,
    split: str = "train",
    curvature: bool = True,
    rho: float = 0.05,
    iterations: int = 20,
    epoch: int | None = None,
    seed: int = 0,
    trust: bool = False,
) -> Record:
    """Draw the loss around trained networks, and measure how sharp their minima are.

    Args:
        runs: a finished run or its folder, the folder of a comparison, or several of them; the runs
            share directions, plane and colour scale.
        dimensions: 1 for lines, 2 for a plane of two directions.
        points: of the grid along each direction.
        span: largest distance along a direction; at 1 a filter is moved by its own length.
        samples: the largest number of samples over which losses are taken.
        split: of the runs' own data, train, validation or test.
        curvature: also measure the worst loss nearby and the Hessian, which takes second
            derivatives.
        rho: radius of the ball in which the worst loss is looked for, over all weights together.
        iterations: products with the Hessian for its largest eigenvalue, and as many for its trace.
        epoch: one of the runs' keep_epochs; the best epoch by default.
        seed: of directions, samples and starts.
        trust: code that the settings of the runs import may run.

    Returns:
        A table with a row for each run and part (the fused prediction and every modality): the loss
        at the weights, the mean rise of the loss over the grid, the worst loss within rho, the
        largest eigenvalue and the trace of the Hessian, with the standard error of the latter. Its
        detail "surface" holds the losses of the grid.

    Raises:
        ConfigError: an option has a wrong value.
        RunError: no finished run.
    """
    require(
        "landscape",
        ("dimensions", dimensions in (1, 2), "1 or 2", dimensions),
        integer("points", points, 3),
        positive("span", span),
        integer("samples", samples, 1),
        flag("curvature", curvature),
        not_negative("rho", rho),
        integer("iterations", iterations, 2),
    )
    steps = np.linspace(-span, span, points).tolist()
    opened = open_runs(runs, trust)
    rows: list[dict[str, Any]] = []
    surfaces = []
    for one in opened:
        trained = one.trained(epoch)
        objective = Objective(trained.model, drawn_rows(trained.own(split), samples, seed))
        directions = [direction(trained.model, seed + k) for k in range(dimensions)]
        grid = track(
            surface(objective, directions, steps),
            points**dimensions,
            f"{one.label}: losses of the grid",
        )
        found = [
            {**one.facts, **dict(zip(("a", "b"), point, strict=False)), "part": part, "loss": loss}
            for point, losses in grid
            for part, loss in losses.items()
        ]
        frame = pd.DataFrame(found)
        surfaces.append(frame)
        for part, centre in objective.losses().items():
            rise = float(frame.loc[frame["part"] == part, "loss"].mean()) - centre
            row = {**one.facts, "part": part, "loss": centre, "rise": rise}
            if curvature:
                row |= sharpness(objective, part, rho, iterations, seed)
            rows.append(row)
    whole = pd.concat(surfaces)
    picture = _picture(whole, [one.label for one in opened], dimensions, steps)
    return Record("landscape", pd.DataFrame(rows), picture, {"surface": whole})


def sharpness(
    objective: Objective, part: str, rho: float, iterations: int, seed: int
) -> dict[str, float]:
    """How sharp the minimum of one part of the loss is.

    Args:
        objective: the loss.
        part: "fused" or a modality.
        rho: radius of the ball in which the worst loss is looked for.
        iterations: products with the Hessian for its largest eigenvalue, and as many for its trace.
        seed: of the starts.

    Returns:
        {"worst": loss, "largest_eigenvalue", "trace", "trace_error"}.
    """
    weights = objective.weights(part)
    generator = torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        return objective.loss(part)

    product = hessian_product(loss, weights)
    largest = largest_eigenvalue(product, weights, generator, iterations)
    sum_of_all, error = trace(product, weights, generator, iterations)
    return {
        "worst": worst_nearby(loss, weights, rho, generator),
        "largest_eigenvalue": largest,
        "trace": sum_of_all,
        "trace_error": error,
    }


def _picture(
    whole: pd.DataFrame, labels: Sequence[str], dimensions: int, steps: list[float]
) -> Picture:
    """A panel for each part (lines) or for each part and run (planes)."""
    parts = list(dict.fromkeys(whole["part"]))
    panels = []
    for part in parts:
        own = {label: whole[(whole["part"] == part) & (whole["run"] == label)] for label in labels}
        if dimensions == 1:
            lines = [
                Line(frame["a"].tolist(), frame["loss"].tolist(), label, number)
                for number, (label, frame) in enumerate(own.items())
            ]
            panels.append(Panel(lines, part, x="distance", y="loss", log_y=True))
            continue
        for label, frame in own.items():
            losses = frame["loss"].to_numpy().reshape(len(steps), -1).T
            marks = []
            if losses.size:  # a run may lack a modality of the others
                logarithms = np.log10(np.maximum(losses, 1e-6))
                marks = [Grid(logarithms, steps, steps, "log10 of the loss", levels=True)]
            panels.append(Panel(marks, f"{label}: {part}"))
    return Picture(panels, columns=len(parts) if dimensions == 1 else len(labels))
