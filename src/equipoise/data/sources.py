"""From any source to the splits of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data import missing as masking
from equipoise.data import splits as splitting
from equipoise.data.cache import default_folder
from equipoise.data.datasets import DATASETS
from equipoise.data.decode import Decoded, decode
from equipoise.data.manifest import Columns, Manifest, read_manifest
from equipoise.data.modality import ModalitySpec
from equipoise.data.scale import Scale, fit_scale
from equipoise.data.table import Splits, Table
from equipoise.errors import ConfigError, DataError, suggest


def load(
    source: Any,
    *,
    modalities: Sequence[str] | None = None,
    label: str = "label",
    split: str | None = None,
    group: str | None = None,
    id: str | None = None,
    root: str | None = None,
    seed: int = 0,
    holdout: float = 0.0,
    validation: float = 0.15,
    test: float = 0.15,
    missing: float = 0.0,
    missing_test: float | None = None,
    problems: str = "error",
    cache: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Splits:
    """The splits of a data set, a prepared folder, a manifest or a DataFrame.

    Args:
        source: which of these.
        modalities: declarations `name=column[,column…][:kind]`, for a manifest or DataFrame.
        label: label column.
        split: column of train, validation and test; without it splits are drawn.
        group: column whose values stay within one split.
        id: column of unique ids.
        root: folder that relative paths start from.
        seed: of splits, holdout and hidden cells.
        holdout: share of train to keep back.
        validation: share for validation where splits are drawn.
        test: share for testing where splits are drawn.
        missing: share of the cells to hide at random.
        missing_test: the same for validation and test, where it differs.
        problems: "error", "drop" or "absent", what a bad file does.
        cache: folder of decoded arrays.
        options: of a built-in data set, or {modality: settings of its transform}.

    Raises:
        ConfigError: an unknown source, column, kind or option.
        DataError: the data are unusable; the message names file and row.
    """
    options = dict(options or {})
    if isinstance(source, str) and source in DATASETS and not Path(source).exists():
        parts = _built_in(source, seed=seed, validation=validation, test=test, options=options)
    else:
        columns = Columns(list(modalities or ()), label, split, group, id)
        source, columns, options, name = _resolve(source, columns, options)
        manifest = read_manifest(source, columns, root)
        decoded = decode(manifest, options, problems, Path(cache) if cache else default_folder())
        which = manifest.split
        if which is None:
            which = _draw(manifest, decoded, validation=validation, test=test, seed=seed)
        parts = _assemble(manifest, decoded, which, name, columns)
    return _finish(parts, seed=seed, holdout=holdout, missing=missing, missing_test=missing_test)


def read_table(
    source: Any,
    *,
    specs: Mapping[str, ModalitySpec],
    classes: Sequence[str],
    preprocessing: Mapping[str, Any],
    modalities: Sequence[str] = (),
    label: str = "label",
    id: str | None = None,
    root: str | None = None,
    problems: str = "error",
    cache: str | None = None,
) -> Table:
    """All rows of new data, decoded and scaled as a run's own were; labels may be missing (−1).

    Raises:
        DataError: the run was not trained on files or columns, or a cell, file or label is unusable.
    """
    if "transforms" not in preprocessing:
        raise DataError("the run was trained on a built-in data set, which has no columns that new data could fill")
    columns = Columns(list(preprocessing["modalities"]), preprocessing["label"], None, None, id)
    if isinstance(source, str | Path) and Path(source).is_dir():
        source = _prepared(Path(source))[0]
    manifest = read_manifest(source, columns, root, labels=False)
    decoded = decode(manifest, preprocessing["transforms"], problems, Path(cache) if cache else default_folder())
    for modality, spec in decoded.specs.items():
        if spec.shape != specs[modality].shape:
            raise DataError(
                f"{manifest.where}: modality {modality!r} has shape {spec.shape}, the run {specs[modality].shape}"
            )
    whole = _table(manifest, decoded, classes, _codes(manifest, classes))
    scales = {m: Scale(**values) for m, values in preprocessing["scales"].items()}
    return whole.take(np.flatnonzero(decoded.keep)).scaled(scales)


def _built_in(name: str, *, seed: int, validation: float, test: float, options: Mapping[str, Any]) -> Splits:
    entry = DATASETS[name]
    if not entry.target.endswith(":load"):
        raise ConfigError(
            f"data set {name!r} comes from a download: equipoise prepare {name} --help, then --data FOLDER"
        )
    parts: Splits = DATASETS.build(name, options, seed=seed, validation=validation, test=test)
    return parts


def _resolve(source: Any, columns: Columns, options: dict[str, Any]) -> tuple[Any, Columns, dict[str, Any], str]:
    """A prepared folder says itself which columns hold what; what the user says stands above it."""
    if not isinstance(source, str | Path):
        return source, columns, options, "DataFrame"
    path = Path(source)
    if path.is_dir():
        manifest, facts = _prepared(path)
        named = {k: facts[k] for k in ("label", "split", "group", "id") if k in facts}
        own = Columns(facts["modalities"], **named)
        chosen = replace(own, modalities=columns.modalities or own.modalities)
        return manifest, chosen, {**facts.get("options", {}), **options}, facts.get("name", path.name)
    if not path.exists():
        near = suggest(str(source), DATASETS.names())
        raise DataError(f"{source}: no such file or folder, and no data set of that name{near}")

    return path, columns, options, path.stem


def _prepared(folder: Path) -> tuple[Path, dict[str, Any]]:
    try:
        facts: dict[str, Any] = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        return folder / facts["manifest"], facts
    except OSError:
        raise DataError(f"{folder}: not a prepared folder (it has no dataset.json); give a manifest file") from None
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{folder / 'dataset.json'}: not valid; prepare the data again") from None


def _draw(manifest: Manifest, decoded: Decoded, *, validation: float, test: float, seed: int) -> np.ndarray:
    """Splits for the rows that are kept."""
    rows = np.flatnonzero(decoded.keep)
    for row in rows:
        if manifest.label[row] is None:
            raise DataError(f"{manifest.at(int(row))}: the label is missing")
    names = sorted({str(manifest.label[r]) for r in rows})
    codes = np.array([names.index(str(manifest.label[r])) for r in rows])
    _check_classes(manifest.where, names)
    group = None if manifest.group is None else manifest.group[rows]
    which = np.full(len(manifest), "train", dtype=object)
    which[rows] = splitting.draw(codes, validation=validation, test=test, seed=seed, group=group)
    return which


def _assemble(manifest: Manifest, decoded: Decoded, which: np.ndarray, name: str, columns: Columns) -> Splits:
    rows = {part: np.flatnonzero(decoded.keep & (which == part)) for part in splitting.NAMES}
    for part in ("train", "validation"):
        if not len(rows[part]):
            raise DataError(f"{manifest.where}: no row is in the {part} split")
    for row in rows["train"]:
        if manifest.label[row] is None:
            raise DataError(f"{manifest.at(int(row))}: the label of a training row is missing")
    classes = _natural({str(manifest.label[r]) for r in rows["train"]})
    _check_classes(manifest.where, classes)
    whole = _table(manifest, decoded, classes, _codes(manifest, classes, which))
    train = whole.take(rows["train"])
    scales = {m: fit_scale(train, m) for m in train.modalities}
    declared = [f"{d.split('=')[0]}={d.split('=', 1)[1].split(':')[0]}" for d in columns.modalities]
    facts = {
        "modalities": [f"{d}:{manifest.kinds[d.split('=')[0].strip()]}" for d in declared],
        "label": columns.label,
        "transforms": decoded.transforms,
        "scales": {m: scale.to_dict() for m, scale in scales.items()},
    }
    parts = [whole.take(rows[part]).scaled(scales) for part in splitting.NAMES]
    return Splits(parts[0], parts[1], parts[2], name=name, problems=decoded.problems, preprocessing=facts)


def _codes(manifest: Manifest, classes: Sequence[str], which: np.ndarray | None = None) -> np.ndarray:
    """Labels as indices of the classes, −1 where there is none."""
    number = {name: code for code, name in enumerate(classes)}
    codes = np.full(len(manifest), -1, dtype=np.int64)
    for row, label in enumerate(manifest.label):
        if label is None:
            continue
        if label not in number:
            part = "" if which is None else f" of the {which[row]} split"
            raise DataError(
                f"{manifest.at(row)}{part}: label {label!r} is in no training row; known: {', '.join(classes)}"
            )
        codes[row] = number[label]
    return codes


def _table(manifest: Manifest, decoded: Decoded, classes: Sequence[str], codes: np.ndarray) -> Table:
    raw = {m: [None if f is None else str(f) for f in files] for m, files in manifest.files.items()}
    rows = np.arange(len(manifest))
    return Table(decoded.specs, decoded.arrays, rows, codes, decoded.present, classes, manifest.ids, raw)


def _check_classes(where: str, classes: Sequence[str]) -> None:
    if len(classes) < 2:
        raise DataError(
            f"{where}: the training rows have a single class, {classes[0]!r}; there is nothing to tell apart"
        )


def _natural(names: set[str]) -> list[str]:
    """Numbers by value, other names by the alphabet."""
    try:
        return sorted(names, key=float)
    except ValueError:
        return sorted(names)


def _finish(parts: Splits, *, seed: int, holdout: float, missing: float, missing_test: float | None) -> Splits:
    """Cut the holdout and hide cells; the same for every source."""
    train, held = parts.train, None
    if holdout:
        train, held = splitting.cut_holdout(train, holdout, seed + 2)
        held = masking.mask(held, missing, seed=seed, split="holdout")
    later = missing if missing_test is None else missing_test
    return replace(
        parts,
        train=masking.mask(train, missing, seed=seed, split="train"),
        validation=masking.mask(parts.validation, later, seed=seed, split="validation"),
        test=masking.mask(parts.test, later, seed=seed, split="test"),
        holdout=held,
    )
