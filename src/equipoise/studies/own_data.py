"""The rows of a study on data of your own, in place of the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from equipoise.configuration.presets import preset_names
from equipoise.data.locate import read_prepared
from equipoise.errors import ConfigError, suggest
from equipoise.studies.study import FUSED, GAP, Measure, Study, StudyData, Training

PARTS = {FUSED: "All", GAP: "Gap"}
METRICS = {"accuracy": "", "macro_f1": " macro-F1", "mean_average_precision": " mAP"}


def on_data(study: Study, folder: Path, preset: str | None = None) -> Study:
    """The methods of a study on one prepared folder; nothing is published about it.

    Settings that a study has for a data set of the paper alone are left out: your data have those
    of the preset, or the defaults.

    Args:
        study: whose methods and measures to take.
        folder: that `prepare` made.
        preset: of inputs and encoders.

    Raises:
        ConfigError: no such preset.
        DataError: no prepared folder.
    """
    if preset is not None and preset not in preset_names():
        raise ConfigError(f"unknown preset {preset!r}{suggest(preset, preset_names())}")
    facts = read_prepared(folder)[1]
    modalities = tuple(text.partition("=")[0] for text in facts["modalities"])
    name = folder.resolve().name
    data = StudyData(name, name, name, modalities, preset)
    return replace(
        study,
        rows=("data", "variant"),
        columns=("measure",),
        data=(data,),
        trainings=_without_data(study.trainings),
        measures={name: _measures(study, modalities)},
        published={},
        x="variant" if study.x == "variant" else None,
        notes=("These are not the data of the paper, so that it prints no number.",),
    )


def _without_data(trainings: Mapping[str, Training]) -> dict[str, Training]:
    return {key: replace(training, on={}) for key, training in trainings.items()}


def _measures(study: Study, modalities: tuple[str, ...]) -> tuple[Measure, ...]:
    """Every metric of the study, fused and of each modality, and the gap where it has one."""
    used = [measure for of in study.measures.values() for measure in of]
    gap = (GAP,) if any(measure.part == GAP for measure in used) else ()
    return tuple(
        Measure(f"{PARTS.get(part, part)}{METRICS[metric]}", part, metric)
        for metric in METRICS
        if metric in {measure.metric for measure in used}
        for part in (FUSED, *modalities, *gap)
    )
