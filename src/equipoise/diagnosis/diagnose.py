"""Diagnosis of a source: from settings to a report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import torch

from equipoise import data
from equipoise.data.locate import ROLES, is_built_in, locate
from equipoise.data.manifest.sheet import read_sheet
from equipoise.diagnosis.advice import advise
from equipoise.diagnosis.balance import count_classes
from equipoise.diagnosis.columns import describe_columns, suggest_declarations
from equipoise.diagnosis.copies import find_copies
from equipoise.diagnosis.inference import base_folder, data_flags
from equipoise.diagnosis.leakage import find_leaks
from equipoise.diagnosis.presence import describe_presence
from equipoise.diagnosis.strength import measure_strength
from equipoise.diagnosis.study import Study, from_source, from_splits
from equipoise.runs.build import build_encoders
from equipoise.runs.inputs import describe_input
from equipoise.settings import DataSettings, Settings

Report = dict[str, Any]


def diagnose(settings: DataSettings) -> Report:
    """Examine a data set, whatever its defects. Hidden cells and the holdout are ignored.

    Args:
        settings: of the data. Bad files are listed whatever `problems` says.

    Returns:
        Plain values: "source", "rows", "columns" (see `describe_columns`) and "advice" (see
        `advise`). If no modality is declared there is also a "suggestion" (see
        `suggest_declarations`), and no advice. Otherwise there are also "inputs" (a line for each
        modality, see `describe_inputs`), "splits", "balance", "presence", "problems", "remarks",
        "duplicates", "leakage" and "strength"; see the functions that return them.

    Raises:
        ConfigError: an unknown column, kind or option.
        DataError: the table itself is unusable; the message names the row.
    """
    if is_built_in(settings.source):
        parts = data.load(
            DataSettings(
                settings.source,
                seed=settings.seed,
                validation=settings.validation,
                test=settings.test,
                options=settings.options,
            )
        )
        return {
            "source": settings.source,
            "columns": [],
            **_examine(from_splits(parts), settings, None, ()),
        }
    named = {role: getattr(settings, role) for role in ROLES}
    source = locate(settings)
    columns = describe_columns(read_sheet(source.data), base_folder(source, settings.root))
    report = {
        "source": source.name if source.name == "DataFrame" else str(settings.source),
        "columns": columns,
    }
    if not source.declared:
        rows = len(read_sheet(source.data).table)
        return {
            **report,
            "rows": rows,
            "suggestion": suggest_declarations(columns, named),
            "advice": [],
        }
    study = from_source(source, settings)
    used = source.columns.others.union(*(view.columns for view in study.views.values()))
    other = [column["column"] for column in columns if column["column"] not in used]
    return {**report, **_examine(study, settings, source.named["group"], other)}


def _examine(
    study: Study, settings: DataSettings, group: str | None, other: Sequence[str]
) -> Report:
    found = {
        "rows": len(study.ids),
        "inputs": describe_views(study),
        "splits": {
            "given": study.given,
            "undrawn": study.undrawn,
            "by_group": study.group is not None,
        },
        "balance": count_classes(study),
        "presence": describe_presence(study),
        "problems": list(study.problems),
        "remarks": list(study.remarks),
        "duplicates": find_copies(study),
        "leakage": find_leaks(study, group, other),
        "strength": measure_strength(study, settings.seed),
    }
    return {**found, "advice": [_with_data(finding, settings) for finding in advise(found)]}


def describe_views(study: Study) -> dict[str, str]:
    """Say what a training at the defaults would read of each modality, and by which encoder."""
    specs = {m: view.spec for m, view in study.views.items()}
    # Building encoders draws weights; the caller's random state must not change.
    with torch.random.fork_rng():
        encoders = build_encoders(Settings(), specs)
    return {
        m: describe_input(view.spec, encoders[m], view.reading) for m, view in study.views.items()
    }


def _with_data(finding: dict[str, str], settings: DataSettings) -> dict[str, str]:
    """Advice whose command names the user's own data, so that it runs as it is printed."""
    if not isinstance(settings.source, str):
        return finding  # a DataFrame has no name on a command line
    words = shlex.join(["--data", settings.source, *data_flags(settings)])
    text = finding["text"].replace("equipoise bench ", f"equipoise bench {words} ")
    return {**finding, "text": text}
