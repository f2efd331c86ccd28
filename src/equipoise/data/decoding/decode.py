"""From a checked manifest to stores: read every modality, and deal with bad cells as the user asked."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.decoding.reading import Reading, read_modality
from equipoise.data.manifest.manifest import Manifest
from equipoise.errors import ConfigError, DataError, invalid, suggest
from equipoise.files import replace_file
from equipoise.settings import POLICIES

Problem = dict[str, Any]


@dataclass(frozen=True)
class Decoded:
    """A whole manifest, read.

    Attributes:
        readings: {modality: its rows}.
        keep: bool (N,), False for rows dropped because of a bad cell.
        problems: row, id, modality, file and reason of every bad cell.
        listing: the file that lists them; there is none where there are none.
    """

    readings: dict[str, Reading]
    keep: np.ndarray
    problems: list[Problem]
    listing: Path


def decode(
    manifest: Manifest, options: Mapping[str, Mapping[str, Any]], policy: str, cache: Path
) -> Decoded:
    """Read every modality, files through the cache. Bad cells are listed there, in a file for each
    manifest.

    Args:
        manifest: what to read.
        options: {modality: settings of its transform}.
        policy: what a bad file or text does: "error" stops, "drop" drops its row, "absent" its
            modality.
        cache: folder of decoded arrays.

    Raises:
        ConfigError: another policy, or settings for a modality that has none.
        DataError: a bad cell under "error", or a sample has no modality (left).
    """
    if policy not in POLICIES:
        raise invalid("data", "problems", f"one of {', '.join(POLICIES)}", policy)
    readings, problems = read_all(manifest, options, cache)
    listing = cache / _listing(manifest)
    if problems:
        write_problems(problems, listing)
    elif listing.exists():  # asked first, as a folder may be read-only
        listing.unlink(missing_ok=True)  # another process may have been faster
    if problems and policy == "error":
        _stop(manifest, problems, listing)
    keep = np.ones(len(manifest), dtype=bool)
    if policy == "drop":
        keep[[row for reading in readings.values() for row in reading.bad]] = False
    _check_some_modality(manifest, {m: r.present for m, r in readings.items()}, keep, problems)
    return Decoded(readings, keep, problems, listing)


def read_all(
    manifest: Manifest, options: Mapping[str, Mapping[str, Any]], cache: Path
) -> tuple[dict[str, Reading], list[Problem]]:
    """Read every modality; a bad cell is absent and listed, and stops nothing.

    Raises:
        ConfigError: settings for a modality that has none.
        DataError: a modality has no readable array file at all.
    """
    _check_options(manifest, options)
    readings = {
        d.name: read_modality(manifest, d, options.get(d.name, {}), cache)
        for d in manifest.declarations
    }
    bad = [
        (row, m, reason) for m, reading in readings.items() for row, reason in reading.bad.items()
    ]
    problems = [
        _problem(manifest, modality, row, reason)
        for row, modality, reason in sorted(bad, key=itemgetter(0))
    ]
    return readings, problems


def _check_options(manifest: Manifest, options: Mapping[str, Mapping[str, Any]]) -> None:
    names = [declaration.name for declaration in manifest.declarations]
    for modality, settings in options.items():
        if modality not in names:
            raise ConfigError(
                f"data.options: there is no modality {modality!r}{suggest(modality, names)}"
            )
        if not isinstance(settings, Mapping):
            raise invalid("data.options", modality, "settings by name", settings)
        if settings and modality in manifest.numbers:
            raise ConfigError(f"data.options.{modality}: number columns have no settings")


def _listing(manifest: Manifest) -> str:
    """`problems-clips-3f9a1c07.csv`: the same for the same manifest, and another one for others of
    that name.

    A DataFrame is known by its ids and files.
    """
    path = manifest.sheet.path
    known = repr((manifest.ids, manifest.files)) if path is None else str(path.resolve())
    stem = manifest.where if path is None else path.stem
    return f"problems-{stem}-{hashlib.sha256(known.encode()).hexdigest()[:8]}.csv"


def _problem(manifest: Manifest, modality: str, row: int, reason: str) -> Problem:
    files = manifest.files.get(modality)
    return {
        "row": manifest.sheet.numbers[row],
        "id": manifest.ids[row],
        "modality": modality,
        "file": "" if files is None else str(files[row]),
        "reason": reason,
    }


def write_problems(problems: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A CSV with a row per bad cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["row", "id", "modality", "file", "reason"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(problems)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.getvalue().encode())


def _stop(manifest: Manifest, problems: list[Problem], path: Path) -> None:
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
            raise DataError(
                f"{manifest.at(int(row))}: every modality is absent; remove the row, or fill a cell"
            )
        keep[row] = False
