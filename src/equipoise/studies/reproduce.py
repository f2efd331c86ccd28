"""Run a study: train what is missing, and fill the table.

The trainings of a paper lie in one folder for each of its data sets, as a comparison does, so that
its tables share them:

    OUT/<paper>/<data set>/cells/<training>/seed-<n>/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from equipoise.analysis import ANALYSES
from equipoise.analysis.record import Record
from equipoise.batch import Predictions
from equipoise.comparison.cell import Outcome
from equipoise.comparison.plan import Plan
from equipoise.comparison.run import Watch, run_comparison
from equipoise.configuration.layers import PRESET, overlay
from equipoise.errors import ConfigError, EquipoiseError, Interrupted
from equipoise.evaluation.metrics import score
from equipoise.evaluation.predictions import load_predictions
from equipoise.evaluation.statistics import mean_and_std
from equipoise.heads.parts.fusion import FUSION_RULES, fusion_rule
from equipoise.studies.find import Found, find_data
from equipoise.studies.miniature import make_miniature, tiny_settings
from equipoise.studies.study import FUSED, GAP, Measure, Number, Study, StudyData, Training, Variant
from equipoise.studies.table import Cell, Table


@dataclass(frozen=True)
class Place:
    """A data set of a study on this machine.

    Attributes:
        data: as the paper uses it.
        found: where it is.
        folder: of its trainings.
    """

    data: StudyData
    found: Found
    folder: Path


def reproduce(
    study: Study,
    roots: Sequence[Path],
    out: Path,
    *,
    seeds: int | None = None,
    jobs: int = 1,
    smoke: bool = False,
    trust: bool = False,
    watch: Watch = lambda done, total, outcome: None,
) -> Table:
    """Train what a study needs and has not been trained, and read its table.

    Args:
        study: what to run.
        roots: prepared folders, or folders of them.
        out: folder of all studies.
        seeds: number of seeds; None for that of the paper.
        jobs: trainings at a time.
        smoke: run on miniatures of the data, with tiny encoders and one seed.
        trust: settings in an earlier folder may import code.
        watch: called as each training ends.

    Raises:
        DataError: a root is no folder.
        RunError: the folder holds trainings with other settings.
        Interrupted: a signal came; give the same command again to go on.
    """
    count = seeds or (1 if smoke else study.seeds)
    if smoke:
        for data in study.data:
            make_miniature(data, out / "miniature" / data.set)
        roots = [out / "miniature"]
    places = {data.key: _place(study, data, roots, out) for data in study.data}
    outcomes: list[Outcome] = []
    for place in places.values():
        if place.found.folder is not None:
            plan = plan_of(study, place.data, place.found, range(count), smoke=smoke)
            try:
                outcomes += run_comparison(plan, place.folder, jobs=jobs, trust=trust, watch=watch)
            except Interrupted:
                raise Interrupted(
                    "stopped by a signal; give the same command again to go on"
                ) from None
    table = read_table(study, places, count, smoke=smoke)
    records, flaws = look_into(study, places, smoke=smoke, trust=trust)
    failed = any(outcome.error for outcome in outcomes) or bool(flaws)
    return replace(table, failed=failed, records=records, flaws=flaws)


def look_into(
    study: Study, places: Mapping[str, Place], *, smoke: bool = False, trust: bool = False
) -> tuple[dict[str, Record], dict[str, str]]:
    """Run the analysis of a figure on the first seed of every variant that has trained.

    Returns:
        {data: record} and {data: why there is none}; data sets that are not there are in neither.
    """
    records: dict[str, Record] = {}
    flaws: dict[str, str] = {}
    if study.look is None:
        return records, flaws
    options = {**study.look.options, **(study.look.smoke if smoke else {})}
    for key, place in places.items():
        folders = (place.folder / "cells" / t.key / "seed-0" for t in study.trainings_on(key))
        runs = [folder for folder in folders if (folder / "result.json").is_file()]
        if runs:
            try:
                records[key] = ANALYSES[study.look.kind].load()(runs, trust=trust, **options)
            except EquipoiseError as error:
                flaws[key] = str(error)
    return records, flaws


def plan_of(
    study: Study, data: StudyData, found: Found, seeds: Iterable[int], *, smoke: bool = False
) -> Plan:
    """The comparison of all trainings of a study on one data set."""
    own: dict[str, Any] = {"data": {"source": str(found.folder)}}
    if found.declared:
        own["data"]["modality"] = list(found.declared)
    if smoke:
        shared = overlay(overlay(_without_size(data.settings), tiny_settings(data)), own)
    else:
        preset = {} if data.preset is None else {PRESET: data.preset}
        shared = overlay(overlay(preset, data.settings), own)
    methods = {
        training.key: settings_on(training, data.key, smoke=smoke)
        for training in study.trainings_on(data.key)
    }
    return Plan(methods=methods, seeds=tuple(seeds), shared=overlay(UNCALIBRATED, shared))


UNCALIBRATED = {"calibration": "none"}
"""The papers calibrate nothing. Temperatures would change the ranks that mean average precision
reads, and the entropies by which modalities are weighed at test."""


def settings_on(training: Training, data: str, *, smoke: bool = False) -> dict[str, Any]:
    """The settings of a training on one data set."""
    settings = overlay(training.settings, training.on.get(data, {}))
    return overlay(_without_size(settings), training.smoke) if smoke else settings


SIZES = ("epochs", "batch_size", "width", "encoder", "optimiser")
"""Settings that a miniature has of its own."""


def _without_size(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without inputs, encoders, optimiser and length."""
    kept = {key: value for key, value in settings.items() if key not in SIZES}
    if "data" in kept:
        kept["data"] = {key: v for key, v in kept["data"].items() if key != "options"}
    return kept


def _place(study: Study, data: StudyData, roots: Sequence[Path], out: Path) -> Place:
    return Place(data, find_data(data, roots), out / study.name.partition("/")[0] / data.key)


def read_table(
    study: Study, places: Mapping[str, Place], seeds: int, *, smoke: bool = False
) -> Table:
    """Read the numbers of a study from the folders of its trainings."""
    cells = {}
    for key, place in places.items():
        for variant in study.variants:
            read = _read_variant(study, place, variant, seeds)
            for measure in study.measures[key]:
                found = [values[measure.title] for values in read.values]
                numbers = [value for value in found if value is not None]
                mean, deviation = mean_and_std(numbers) if numbers else (None, None)
                cells[key, variant.title, measure.title] = Cell(
                    published=study.published.get((key, variant.title, measure.title)),
                    ours=None if mean is None else Number(mean, deviation),
                    seeds=len(numbers),
                    reason=read.reason,
                )
    return Table(study, cells, smoke)


@dataclass(frozen=True)
class _Read:
    """The numbers of a variant on one data set, of each seed, and why there are not all."""

    values: Sequence[Mapping[str, float | None]] = ()
    reason: str = ""


def _read_variant(study: Study, place: Place, variant: Variant, seeds: int) -> _Read:
    if not study.wanted(place.data.key, variant):
        return _Read()
    if place.found.reason:
        return _Read(reason=place.found.reason)
    values = []
    reason = ""
    for seed in range(seeds):
        folder = place.folder / "cells" / variant.training / f"seed-{seed}"
        try:
            if not (folder / "result.json").is_file():
                reason = reason or _reason(folder)
                continue
            predictions = load_predictions(folder / "predictions" / "test.npz")
            values.append(_measured(predictions, variant, study.measures[place.data.key]))
        except EquipoiseError as error:
            reason = reason or str(error)
    return _Read(values, reason)


def _reason(folder: Path) -> str:
    """The reason why a training has no result."""
    path = folder / "error.txt"
    if not path.is_file():
        return "not trained"
    return path.read_text(encoding="utf-8").partition("\n")[0]


def _measured(
    predictions: Predictions, variant: Variant, measures: Iterable[Measure]
) -> dict[str, float | None]:
    """The measures of one training in percent, by title."""
    fused = predictions.fused
    if variant.fusion is not None:
        fused = fuse(predictions, variant.fusion)
    return {m.title: _value(predictions, fused, m) for m in measures}


def _value(predictions: Predictions, fused: np.ndarray, measure: Measure) -> float | None:
    known = predictions.label >= 0
    if measure.part == FUSED:
        return _percent(fused[known], predictions.label[known], measure.metric)
    alone = {}
    for modality in predictions.modalities:
        rows = known & predictions.present[modality]
        logits = predictions.logits[modality][rows]
        alone[modality] = _percent(logits, predictions.label[rows], measure.metric)
    if measure.part != GAP:
        return alone[measure.part]
    values = [value for value in alone.values() if value is not None]
    return max(values) - min(values) if len(values) > 1 else None


def _percent(logits: np.ndarray, label: np.ndarray, metric: str) -> float | None:
    value = score(logits, label, (metric,))[metric]
    return None if value is None else 100 * float(value)


def fuse(predictions: Predictions, rule: str) -> np.ndarray:
    """Fused logits (N, C) of the modalities' logits by another rule than that of the training.

    Raises:
        ConfigError: there is no such rule, or it needs weights.
    """
    if rule not in FUSION_RULES or rule == "fixed":
        raise ConfigError(f"fusion {rule!r} cannot be chosen at test")
    modalities = predictions.modalities
    apply = fusion_rule("fusion", rule, tuple(modalities))
    logits = torch.from_numpy(np.stack([predictions.logits[m] for m in modalities]))
    present = torch.from_numpy(np.stack([predictions.present[m] for m in modalities]))
    return np.asarray(apply(logits, present)[0])
