"""From any source to the splits of a run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.assemble import assemble, label_codes, make_table
from equipoise.data.datasets import DATASETS
from equipoise.data.decoding.cache import cache_folder
from equipoise.data.decoding.decode import Decoded, decode
from equipoise.data.manifest.declaration import Columns, Declaration
from equipoise.data.manifest.locate import as_path, is_built_in, locate, read_prepared
from equipoise.data.manifest.manifest import Manifest, read_manifest
from equipoise.data.modality import ModalitySpec
from equipoise.data.table import missing as masking
from equipoise.data.table import splits as splitting
from equipoise.data.table.steps import Absent, fit_steps
from equipoise.data.table.table import Splits, Table
from equipoise.errors import ConfigError, DataError, invalid


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
    missing_modality: str | None = None,
    missing_exact: bool = False,
    missing_regime: str = "strict",
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
        group: column whose values stay within one split, and on one side of the holdout.
        id: column of unique ids.
        root: folder that relative paths start from.
        seed: of splits, holdout and hidden cells.
        holdout: share of train to keep back.
        validation: share for validation where splits are drawn.
        test: share for testing where splits are drawn.
        missing: share of the cells to hide at random.
        missing_test: the same for validation and test, where it differs.
        missing_modality: hide this modality only, in the share `missing` of the samples.
        missing_exact: hide that share exactly in each split, rounded to whole cells, not in
            expectation.
        missing_regime: "strict", hidden training content is gone; "simulated", batches can reveal
            it to a method.
        problems: "error", "drop" or "absent", what a bad file does.
        cache: folder of decoded arrays.
        options: of a built-in data set, or {modality: settings of its transform}.

    Raises:
        ConfigError: an unknown source, column, kind or option.
        DataError: the data are unusable; the message names file and row.
    """
    if not (isinstance(seed, Integral) and seed >= 0):
        raise invalid("data", "seed", "a whole number of at least 0", seed)
    if split is None:
        _check_shares(validation, test)
    if missing_regime not in ("strict", "simulated"):
        raise invalid("data", "missing_regime", "strict or simulated", missing_regime)
    hide = partial(masking.mask, seed=seed, modality=missing_modality, exact=missing_exact)
    later = missing if missing_test is None else missing_test
    finish = partial(
        _finish,
        seed=seed,
        holdout=holdout,
        training=partial(hide, rate=missing, simulated=missing_regime == "simulated"),
        evaluation=partial(hide, rate=later),
    )
    options = dict(options or {})
    if is_built_in(source):
        given = {"modality": modalities, "split": split, "group": group, "id": id, "root": root}
        for name in (name for name, value in given.items() if value):
            raise ConfigError(
                f"{source}: a built-in data set has its own modalities and splits; leave out {name!r}"
            )
        parts = _built_in(source, seed=seed, validation=validation, test=test, options=options)
        return fit_steps(finish(parts), seed)
    declared = [Declaration.parse(str(text)) for text in modalities or ()]
    found = locate(
        source, declared, {"label": label, "split": split, "group": group, "id": id}, options
    )
    manifest = read_manifest(found.data, found.columns, root or found.root)
    decoded = decode(manifest, found.options, problems, cache_folder(cache))
    parts = assemble(
        manifest,
        decoded,
        name=found.name,
        label=found.columns.label,
        validation=validation,
        test=test,
        seed=seed,
    )
    return fit_steps(finish(parts), seed)


def read_table(
    source: Any,
    *,
    specs: Mapping[str, ModalitySpec],
    classes: Sequence[str],
    preprocessing: Mapping[str, Any],
    id: str | None = None,
    root: str | None = None,
    problems: str = "error",
    cache: str | None = None,
    labelled: bool = True,
) -> Table:
    """All rows of new data, decoded and scaled as a run's own were; labels may be missing (−1).

    With `labelled=False` the label column is not read, whatever it holds.

    Rows that are left out because of bad files, and cells taken as absent, are warned of.

    Raises:
        DataError: the run was not trained on files or columns, a cell, file or label is unusable,
            or no row is left.
    """
    if "transforms" not in preprocessing:
        raise DataError(
            "the run was trained on a built-in data set, which has no columns that new data could fill"
        )
    columns = Columns(
        [Declaration(**d) for d in preprocessing["modalities"]], preprocessing["label"], id=id
    )
    data = as_path(source)
    if isinstance(data, Path) and data.is_dir():
        data, facts = read_prepared(data)
        root = root or facts.get("root")
    manifest = read_manifest(data, columns, root, new=True, labelled=labelled)
    named = [declaration.name for declaration in manifest.declarations]
    transforms = {m: settings for m, settings in preprocessing["transforms"].items() if m in named}
    decoded = decode(manifest, transforms, problems, cache_folder(cache))
    _tell(manifest, decoded)
    for modality, reading in decoded.readings.items():
        if reading.spec.shape != specs[modality].shape:
            raise DataError(
                f"{manifest.where}: modality {modality!r} has shape {reading.spec.shape}, "
                f"the run {specs[modality].shape}"
            )
    rows = np.flatnonzero(decoded.keep)
    whole = make_table(
        manifest, decoded, specs, rows, label_codes(manifest, rows, classes), classes
    )
    learned = preprocessing["learned"]
    absent = {m: Absent() for m in specs}
    return whole.stepped(
        {**absent, **{m: r.step.restore(learned[m]) for m, r in decoded.readings.items()}}
    )


def _tell(manifest: Manifest, decoded: Decoded) -> None:
    """Warn of what bad files took from new data; refuse data of which nothing is left."""
    if not decoded.keep.any():
        raise DataError(
            f"{manifest.where}: not a single row has a usable file; all are listed in {decoded.listing}"
        )
    left = int((~decoded.keep).sum())
    bad = len(decoded.problems)
    if bad:
        told = (
            f"{left} row{'s' * (left > 1)} left out"
            if left
            else f"{bad} bad cell{'s' * (bad > 1)} taken as absent"
        )
        warnings.warn(f"{manifest.where}: {told}, listed in {decoded.listing}", stacklevel=3)


def _built_in(
    name: str, *, seed: int, validation: float, test: float, options: Mapping[str, Any]
) -> Splits:
    entry = DATASETS[name]
    if not entry.target.endswith(":load"):
        raise ConfigError(
            f"data set {name!r} comes from a download: equipoise prepare {name} --help, then --data FOLDER"
        )
    parts: Splits = DATASETS.build(name, options, seed=seed, validation=validation, test=test)
    return parts


def _check_shares(validation: float, test: float) -> None:
    if not (validation > 0 and test >= 0 and validation + test < 1):
        raise invalid(
            "data", "validation and test", "shares that leave rows to train on", (validation, test)
        )


def _finish(
    parts: Splits,
    *,
    seed: int,
    holdout: float,
    training: Callable[..., Table],
    evaluation: Callable[..., Table],
) -> Splits:
    """Cut the holdout and hide cells, by one function in training and another after it; the same for every source."""
    train = parts.train
    held = None
    if not 0 <= holdout < 1:
        raise invalid("data", "holdout", "in [0, 1)", holdout)
    if holdout:
        train, held = splitting.cut_holdout(train, holdout, seed + 2)
        held = training(held, split="holdout")
    return replace(
        parts,
        train=training(train, split="train"),
        validation=evaluation(parts.validation, split="validation"),
        test=evaluation(parts.test, split="test"),
        holdout=held,
    )
