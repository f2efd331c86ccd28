"""From a checked manifest to stores: read every modality, and treat bad cells as the user asked."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from equipoise import spreadsheet
from equipoise.data.decoding.decoded import DecodedModality, decode_modality
from equipoise.data.manifest.manifest import Manifest
from equipoise.errors import ConfigError, DataError, invalid, suggest
from equipoise.files import replace_file

Problem = dict[str, Any]


@dataclass(frozen=True)
class DecodedManifest:
    """A whole manifest, decoded.

    Attributes:
        modalities: {modality: its rows}.
        keep: bool (N,), False for rows dropped because of a bad cell.
        problems: row, id, modality, file and reason of every bad cell.
        listing: the file that lists them; there is none where there are none.
    """

    modalities: dict[str, DecodedModality]
    keep: np.ndarray
    problems: list[Problem]
    listing: Path


def decode_manifest(
    manifest: Manifest, options: Mapping[str, Mapping[str, Any]], policy: str, cache: Path
) -> DecodedManifest:
    """Read every modality, files through the cache.

    Bad cells are listed in the cache folder, in a file for each manifest.

    Args:
        manifest: what to read.
        options: {modality: settings of its transform}.
        policy: what a bad file or text does, one of `settings.POLICIES`: "error" stops, "drop"
            drops its row, "absent" makes its modality absent.
        cache: folder of decoded arrays.

    Raises:
        ConfigError: settings for a modality that has none.
        DataError: a bad cell under "error", or a row whose modalities are all absent.
    """
    modalities, problems = decode_modalities(manifest, options, cache)
    for text in remarks_of(manifest, modalities):
        warnings.warn(f"{manifest.where}: {text}", stacklevel=3)
    listing = cache / _listing(manifest)
    if problems:
        write_problems(problems, listing)
    elif listing.exists():  # asked first, since the folder may be read-only
        listing.unlink(missing_ok=True)  # another process may have removed it meanwhile
    if problems and policy == "error":
        _stop(manifest, problems, listing)
    keep = np.ones(len(manifest), dtype=bool)
    if policy == "drop":
        keep[[row for found in modalities.values() for row in found.bad]] = False
    present = {m: found.present for m, found in modalities.items()}
    _check_some_modality(manifest, present, keep, problems)
    return DecodedManifest(modalities, keep, problems, listing)


def decode_modalities(
    manifest: Manifest, options: Mapping[str, Mapping[str, Any]], cache: Path
) -> tuple[dict[str, DecodedModality], list[Problem]]:
    """Read every modality; a bad cell counts as absent and is listed.

    Returns:
        {modality: its rows}, and the bad cells in the order of rows.

    Raises:
        ConfigError: settings for a modality that has none.
        DataError: a modality has no readable array file at all.
    """
    _check_options(manifest, options)
    modalities = {
        d.name: decode_modality(manifest, d, options.get(d.name, {}), cache)
        for d in manifest.declarations
    }
    bad = [(row, m, reason) for m, found in modalities.items() for row, reason in found.bad.items()]
    problems = [
        _problem(manifest, modality, row, reason)
        for row, modality, reason in sorted(bad, key=itemgetter(0))
    ]
    return modalities, problems


def remarks_of(manifest: Manifest, modalities: Mapping[str, DecodedModality]) -> list[str]:
    """Remarks on files that could be read: a line for each modality and remark."""
    lines = []
    for modality, found in modalities.items():
        rows: dict[str, list[int]] = {}
        for row, texts in found.remarks.items():
            for text in texts.split("\n"):
                rows.setdefault(text, []).append(row)
        files = sum(file is not None for file in manifest.files.get(modality, ()))
        lines += [
            f"modality {modality!r}: {len(where)} of {files} files {text} "
            f"(first: row {manifest.sheet.numbers[where[0]]})"
            for text, where in rows.items()
        ]
    return lines


def _check_options(manifest: Manifest, options: Mapping[str, Mapping[str, Any]]) -> None:
    names = [declaration.name for declaration in manifest.declarations]
    for modality, settings in options.items():
        if modality not in names:
            raise ConfigError(
                f"data.options: there is no modality {modality!r}{suggest(modality, names)}"
            )
        if not isinstance(settings, Mapping):
            raise invalid("data.options", modality, "settings by name", settings)
        if modality in manifest.numbers and settings.keys() - {"normalise"}:
            name = min(settings.keys() - {"normalise"})
            raise ConfigError(
                f"data.options.{modality}: number columns have no setting {name!r}"
                f"{suggest(name, ['normalise'])}"
            )


def _listing(manifest: Manifest) -> str:
    """A file name such as `problems-clips-3f9a1c07.csv`, which no other manifest has.

    A manifest is known by its path, a DataFrame by its ids and files.
    """
    path = manifest.sheet.path
    if path is None:
        files = {m: [str(part) for part in parts] for m, parts in manifest.files.items()}
        known = repr((manifest.ids, files))
    else:
        known = str(path.resolve())
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
    """Write a CSV with a row for each bad cell."""
    header = ["row", "id", "modality", "file", "reason"]
    rows = [[problem[name] for name in header] for problem in problems]
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, spreadsheet.write([header, *rows]).encode("utf-8", "surrogateescape"))


def _stop(manifest: Manifest, problems: list[Problem], path: Path) -> None:
    first = problems[0]
    others = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise DataError(
        f"{manifest.where} row {first['row']}, modality {first['modality']!r}: "
        f"{first['reason']}{others}; "
        f"all are listed in {path}: mend them, or add --problems drop or absent"
    )


def _check_some_modality(
    manifest: Manifest, present: Mapping[str, np.ndarray], keep: np.ndarray, problems: list[Problem]
) -> None:
    """Drop rows that bad files left without any modality; refuse rows the manifest left without."""
    empty = ~np.stack(list(present.values())).any(axis=0) & keep
    spoilt = {problem["row"] for problem in problems}
    for row in np.flatnonzero(empty):
        if manifest.sheet.numbers[int(row)] not in spoilt:
            raise DataError(
                f"{manifest.at(int(row))}: every modality is absent; remove the row, or fill a cell"
            )
        keep[row] = False
