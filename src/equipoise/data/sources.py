"""From any source to the splits of a run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.assemble import assemble, draw_splits, label_codes, make_table
from equipoise.data.datasets import DATASETS
from equipoise.data.decoding.cache import cache_folder
from equipoise.data.decoding.decode import DecodedManifest, decode_manifest
from equipoise.data.locate import as_path, is_built_in, locate, read_prepared
from equipoise.data.manifest.columns import ColumnReader
from equipoise.data.manifest.declaration import Columns, Declaration
from equipoise.data.manifest.labels import Label, LabelType
from equipoise.data.manifest.manifest import Manifest, read_manifest
from equipoise.data.modality import ModalitySpec
from equipoise.data.table.missing import mask
from equipoise.data.table.splits import cut_holdout
from equipoise.data.table.steps import Absent, fit_steps, unfitted_step
from equipoise.data.table.table import Splits, Table
from equipoise.errors import ConfigError, DataError
from equipoise.settings import DataSettings


def load(settings: DataSettings, holdout: float | None = None) -> Splits:
    """Load the splits of a data set, a prepared folder, a manifest or a DataFrame.

    Args:
        settings: which data, and how they are read, split and hidden.
        holdout: fraction of the training samples to keep back, instead of the settings' own.

    Raises:
        ConfigError: an unknown source, column, kind or option.
        DataError: the data are unusable; the message names file and row.
    """
    if holdout is not None:
        settings = replace(settings, holdout=holdout)
    parts = _built_in(settings) if is_built_in(settings.source) else _from_manifest(settings)
    return complete(parts, settings)


def complete(parts: Splits, settings: DataSettings) -> Splits:
    """Cut the holdout, hide cells, and let the steps learn.

    Args:
        parts: splits that are read.
        settings: `holdout`, `missing` and those beside it, and `seed`.

    Raises:
        DataError: too few samples for a holdout.
    """
    # Steps learn last: neither the holdout nor a hidden cell may shape what training reads.
    return fit_steps(_hide_cells(_cut_holdout(parts, settings), settings), settings.seed)


def _built_in(settings: DataSettings) -> Splits:
    name = settings.source
    for option in ("modality", "split", "group", "id", "weight", "root"):
        if getattr(settings, option):
            raise ConfigError(
                f"{name}: a built-in data set has its own modalities and splits; "
                f"leave out {option!r}"
            )
    if settings.folds:
        raise ConfigError(
            f"{name}: a built-in data set draws its own splits; folds are for tables of your own"
        )
    entry = DATASETS[name]
    if not entry.target.endswith(":load"):
        raise ConfigError(
            f"data set {name!r} comes from a download: "
            f"equipoise prepare {name} --help, then --data FOLDER"
        )
    parts: Splits = DATASETS.build(
        name,
        settings.options,
        seed=settings.seed,
        validation=settings.validation,
        test=settings.test,
    )
    return parts


def _from_manifest(settings: DataSettings) -> Splits:
    found = locate(settings)
    if settings.folds and found.named["split"] is not None:
        raise ConfigError(
            f"{found.name}: column {found.named['split']!r} names the splits, which folds would "
            "draw anew; leave out the folds"
        )
    draw = partial(
        draw_splits,
        validation=settings.validation,
        test=settings.test,
        seed=settings.seed,
        fold=(settings.fold, settings.folds) if settings.folds else None,
    )
    manifest = read_manifest(found.data, found.columns, settings.root or found.root, draw=draw)
    cache = cache_folder(settings.cache)
    decoded = decode_manifest(manifest, found.options, settings.problems, cache)
    return assemble(manifest, decoded, name=found.name, label=found.columns.label)


def _cut_holdout(parts: Splits, settings: DataSettings) -> Splits:
    if not settings.holdout:
        return parts
    # Splits are drawn with seed and seed + 1; the holdout must not repeat their draws.
    train, held = cut_holdout(parts.train, settings.holdout, settings.seed + 2)
    return replace(parts, train=train, holdout=held)


def _hide_cells(parts: Splits, settings: DataSettings) -> Splits:
    """Hide cells at one rate in training and holdout, and at another in validation and test."""
    hide = partial(
        mask,
        seed=settings.seed,
        modality=settings.missing_modality,
        exact=settings.missing_exact,
    )
    training = partial(
        hide, rate=settings.missing, simulated=settings.missing_regime == "simulated"
    )
    later = settings.missing if settings.missing_test is None else settings.missing_test
    held = parts.holdout
    return replace(
        parts,
        train=training(parts.train, split="train"),
        validation=hide(parts.validation, rate=later, split="validation"),
        test=hide(parts.test, rate=later, split="test"),
        holdout=None if held is None else training(held, split="holdout"),
    )


def read_table(
    settings: DataSettings,
    *,
    specs: Mapping[str, ModalitySpec],
    classes: Sequence[Label],
    preprocessing: Mapping[str, Any],
    labelled: bool = True,
    allow_absent: bool = False,
) -> Table:
    """Read all rows of new data, decoded and scaled as a run's own data were.

    Rows that are left out because of bad files, and cells taken as absent, are warned of.

    Args:
        settings: `source`, `id`, `root`, `problems` and `cache` say what is read and how; the
            columns of the modalities and the label are the run's own.
        specs: modalities of the run.
        classes: classes of the run.
        preprocessing: `Splits.preprocessing` of the run.
        labelled: False to leave the label column unread, whatever it holds.
        allow_absent: the data may lack the columns or all files of some modalities of the run,
            which are then absent in every row.

    Returns:
        A table; the label of a row is −1 where it is missing. Its ids are those of the column
        `id`, or else of a column named "id", in their own type; or else the rows' positions.

    Raises:
        ConfigError: the columns of a modality are missing.
        DataError: the run was not trained on files or columns, a cell, file or label is unusable,
            all files of a modality are, or no row is left.
    """
    if "transforms" not in preprocessing:
        raise DataError(
            "the run was trained on a built-in data set, "
            "which has no columns that new data could fill"
        )
    declared = [Declaration(**d) for d in preprocessing["modalities"]]
    data = as_path(settings.source)
    root = settings.root
    if isinstance(data, Path) and data.is_dir():
        data, facts = read_prepared(data)
        root = root or facts.get("root")
    columns = Columns(declared, preprocessing["label"])
    # Number columns have one setting at most, and neither texts nor rows of a table are files.
    cells = ("text", "tabular")
    files = {
        d.name
        for d in declared
        if d.kind not in cells and preprocessing["transforms"][d.name].keys() - {"normalise"}
    }
    manifest = read_manifest(
        data,
        columns,
        root,
        files=files,
        known=LabelType.from_dict(preprocessing.get("label_type")),
        allow_absent=allow_absent,
        labelled=labelled,
    )
    ids = _ids(manifest, settings.id)
    named = [declaration.name for declaration in manifest.declarations]
    transforms = {m: options for m, options in preprocessing["transforms"].items() if m in named}
    for declaration in manifest.declarations:
        if declaration.kind == "array":
            # Runs of earlier versions have no masks, whatever the lengths of new series are.
            name = declaration.name
            transforms[name] = {"mask": False, **transforms[name]}
    cache = cache_folder(settings.cache)
    decoded = decode_manifest(manifest, transforms, settings.problems, cache)
    if decoded.keep.any():
        _check_usable(manifest, decoded, allow_absent=allow_absent)
    _warn_of_losses(manifest, decoded)
    _warn_of_cuts(manifest, decoded)
    # A modality that is absent in every row has no shape to compare.
    there = {m: found for m, found in decoded.modalities.items() if found.present.any()}
    decoded = replace(decoded, modalities=there)
    restored = {
        m: unfitted_step(found.transform).restore(preprocessing["learned"][m])
        for m, found in decoded.modalities.items()
    }
    for modality, found in decoded.modalities.items():
        shape = restored[modality].spec(found.spec).shape
        if shape != specs[modality].shape:
            raise DataError(
                f"{manifest.where}: modality {modality!r} has shape {shape}, "
                f"the run {specs[modality].shape}"
            )
    rows = np.flatnonzero(decoded.keep)
    codes = label_codes(manifest, rows, classes)
    table = make_table(manifest, decoded, specs, rows, codes, classes)
    table = replace(table, ids=[ids[row] for row in rows])
    absent = {m: Absent() for m in specs}
    return table.stepped({**absent, **restored})


def _ids(manifest: Manifest, column: str | None) -> list[Any]:
    """The ids of new data, in their own type."""
    reader = ColumnReader(manifest.sheet)
    positions = list(range(len(manifest)))
    if column is not None and column in reader.columns:
        return reader.own_ids(column)
    if column is not None:
        warnings.warn(
            f"{manifest.where}: no id column {column!r}; rows are named by their position",
            stacklevel=3,
        )
        return positions
    if "id" not in reader.columns:
        return positions
    try:
        return reader.own_ids("id")
    except DataError as error:  # nobody said that it is the id column
        warnings.warn(f"{error}; rows are named by their position instead", stacklevel=3)
        return positions


def _check_usable(manifest: Manifest, decoded: DecodedManifest, *, allow_absent: bool) -> None:
    """Refuse new data in which no file of a modality can be used; warn where no cell is filled."""
    for declaration in manifest.declarations:
        name = declaration.name
        found = decoded.modalities[name]
        if found.present.any():
            continue
        column = declaration.columns[0]
        if not found.bad:
            warnings.warn(
                f"{manifest.where}: column {column!r} is empty, so modality {name!r} is absent in "
                "every row",
                stacklevel=3,
            )
        elif not allow_absent:
            row, reason = next(iter(found.bad.items()))
            raise DataError(
                f"{manifest.at(row)}: {reason}; none of the {len(found.bad)} cells of column "
                f"{column!r} (modality {name!r}, {declaration.kind}) can be used: check the column "
                "and --data.root, or treat the modality as absent with --allow-absent"
            )


def _warn_of_cuts(manifest: Manifest, decoded: DecodedManifest) -> None:
    """Warn of samples that are longer than the part that the run reads."""
    for modality, found in decoded.modalities.items():
        reading = found.reading
        if reading.cut:
            part = reading.text.partition(" (cuts ")[0]
            warnings.warn(
                f"{manifest.where}: the run reads {part} of modality {modality!r}; "
                f"{reading.cut} of {reading.measured:,} samples are longer and are cut",
                stacklevel=3,
            )


def _warn_of_losses(manifest: Manifest, decoded: DecodedManifest) -> None:
    """Warn of rows and cells lost to bad files; refuse data of which no row is left."""
    if not decoded.keep.any():
        raise DataError(
            f"{manifest.where}: not a single row has a usable file; "
            f"all are listed in {decoded.listing}"
        )
    bad = len(decoded.problems)
    if not bad:
        return
    left_out = int((~decoded.keep).sum())
    if left_out:
        lost = f"{left_out} row{'s' * (left_out > 1)} left out"
    else:
        lost = f"{bad} bad cell{'s' * (bad > 1)} taken as absent"
    warnings.warn(f"{manifest.where}: {lost}, listed in {decoded.listing}", stacklevel=3)
