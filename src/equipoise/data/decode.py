"""From a checked manifest to arrays: decode, and deal with bad files as the user asked."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.cache import decode_all
from equipoise.data.kinds import make_transform
from equipoise.data.manifest import Manifest
from equipoise.data.modality import ModalitySpec
from equipoise.errors import ConfigError, DataError, invalid, suggest
from equipoise.files import replace_file

Problem = dict[str, Any]
POLICIES = ("error", "drop", "absent")


@dataclass(frozen=True)
class Decoded:
    """Arrays of a whole manifest.

    Attributes:
        specs: {modality: spec}.
        arrays: {modality: float32 (N, …)}.
        present: {modality: bool (N,)}.
        keep: bool (N,), False for rows dropped because of a bad file.
        transforms: {modality: settings}, enough to decode new files alike.
        problems: row, id, modality, file and reason of every bad file.
    """

    specs: dict[str, ModalitySpec]
    arrays: dict[str, np.ndarray]
    present: dict[str, np.ndarray]
    keep: np.ndarray
    transforms: dict[str, dict[str, Any]]
    problems: list[Problem]


def decode(manifest: Manifest, options: Mapping[str, Mapping[str, Any]], policy: str, cache: Path) -> Decoded:
    """Decode every modality through the cache.

    Args:
        manifest: what to read.
        options: {modality: settings of its transform}.
        policy: what a bad file does: "error" stops, "drop" drops its row, "absent" its modality.
        cache: folder of decoded arrays.

    Raises:
        ConfigError: another policy, or settings for a modality that has none.
        DataError: a bad file under "error"; all of them are listed in `problems.csv` in the cache folder. Or a
            sample has no modality (left).
    """
    specs, arrays, present = {}, {}, {}
    transforms: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    keep = np.ones(len(manifest), dtype=bool)
    _check_options(manifest, options, policy)
    for declaration in manifest.declarations:
        modality, kind = declaration.name, str(declaration.kind)
        if modality in manifest.numbers:
            values = manifest.numbers[modality]
            here = ~np.isnan(values).any(axis=1)
            arrays[modality], transforms[modality] = np.nan_to_num(values), {}
        else:
            files = manifest.files[modality]
            transform = make_transform(modality, kind, options.get(modality, {}), files)
            arrays[modality], bad = decode_all(modality, files, transform, cache)
            here = np.array([file is not None for file in files])
            here[list(bad)] = False
            if policy != "absent":
                keep[list(bad)] = False
            transforms[modality] = asdict(transform)  # type: ignore[call-overload]
            problems += [_problem(manifest, modality, row, reason) for row, reason in bad.items()]
        present[modality] = here
        specs[modality] = ModalitySpec(modality, kind, arrays[modality].shape[1:])
    if problems and policy == "error":
        _stop(manifest, problems, cache)
    _check_some_modality(manifest, present, keep, problems)
    return Decoded(specs, arrays, present, keep, transforms, problems)


def _check_options(manifest: Manifest, options: Mapping[str, Mapping[str, Any]], policy: str) -> None:
    if policy not in POLICIES:
        raise invalid("data", "problems", f"one of {', '.join(POLICIES)}", policy)
    names = [declaration.name for declaration in manifest.declarations]
    for modality, settings in options.items():
        if modality not in names:
            raise ConfigError(f"data.options: there is no modality {modality!r}{suggest(modality, names)}")
        if not isinstance(settings, Mapping):
            raise invalid("data.options", modality, "settings by name", settings)
        if settings and modality in manifest.numbers:
            raise ConfigError(f"data.options.{modality}: number columns have no settings")


def _problem(manifest: Manifest, modality: str, row: int, reason: str) -> Problem:
    return {
        "row": manifest.sheet.numbers[row],
        "id": manifest.ids[row],
        "modality": modality,
        "file": str(manifest.files[modality][row]),
        "reason": reason,
    }


def write_problems(problems: list[Problem], path: Path) -> None:
    """A CSV with a row per bad file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["row", "id", "modality", "file", "reason"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(problems)
    replace_file(path, text.getvalue().encode())


def _stop(manifest: Manifest, problems: list[Problem], cache: Path) -> None:
    path = cache / "problems.csv"
    write_problems(problems, path)
    first = problems[0]
    others = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise DataError(
        f"{manifest.where} row {first['row']}, modality {first['modality']!r}: {first['reason']}{others}; "
        f"all are listed in {path}: mend them, or add --problems drop or absent"
    )


def _check_some_modality(
    manifest: Manifest, present: Mapping[str, np.ndarray], keep: np.ndarray, problems: list[Problem]
) -> None:
    """A row without any modality is an error of the manifest, unless bad files made it so: then it is dropped."""
    nothing = ~np.stack(list(present.values())).any(axis=0) & keep
    spoilt = {p["row"] for p in problems}
    for row in np.flatnonzero(nothing):
        if manifest.sheet.numbers[int(row)] not in spoilt:
            raise DataError(f"{manifest.at(int(row))}: every modality is absent; remove the row, or fill a cell")
        keep[row] = False
