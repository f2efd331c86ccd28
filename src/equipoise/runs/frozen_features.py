"""Features of frozen encoders: computed once, cached, and read instead of the samples."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor, nn

from equipoise.data.decoding.cache import Stored, checksum, lock_store
from equipoise.data.table.table import Splits, Table
from equipoise.errors import RunError
from equipoise.evaluating import evaluating
from equipoise.model import Model
from equipoise.progress import track

REMEDY = "delete it, and the features are computed anew"
BATCH_SIZE = 64  # samples encoded at a time


def cache_features(splits: Splits, model: Model, folder: Path, device: torch.device) -> Splits:
    """Encode every modality whose encoder is frozen, and let all splits read the features.

    An encoder is frozen if its attribute `frozen` is true; it then has a method
    `backbone_features`. A modality whose training samples are augmented is not cached, because its
    encoder sees other samples in every epoch.

    Args:
        splits: of the run.
        model: its encoders are on `device`.
        folder: of the cache.
        device: to encode on.

    Returns:
        The splits, with features in place of the samples of these modalities.

    Raises:
        RunError: the cache folder cannot be written.
    """
    for modality in model.modalities:
        encoder = model.encoders[modality]
        step = splits.train.steps.get(modality)
        if getattr(encoder, "frozen", False) and not (step is not None and step.random):
            splits = _with_features(splits, modality, encoder, folder, device)
    return splits


def _with_features(
    splits: Splits, modality: str, encoder: Any, folder: Path, device: torch.device
) -> Splits:
    tables = [
        t for t in (splits.train, splits.validation, splits.test, splits.holdout) if t is not None
    ]
    rows = np.unique(np.concatenate([t.store_rows[t.existing[modality]] for t in tables]))
    if not len(rows):
        return splits
    path = folder / f"{_key(splits, modality, encoder)}.features.npy"
    try:
        if len(_left(path, rows)):
            folder.mkdir(parents=True, exist_ok=True)
            with lock_store(path.with_suffix("")):
                left = _left(path, rows)  # another process may have encoded them meanwhile
                if len(left):
                    _encode(tables[0], modality, encoder, left, path, device)
        features = _open(path, len(tables[0].arrays[modality]))
    except OSError as error:
        raise RunError(
            f"{folder}: cannot use the cache ({error.strerror or error}); set --data.cache"
        ) from None
    except (ValueError, EOFError, IndexError):
        raise RunError(f"{path}: damaged; {REMEDY}") from None
    return splits.map(lambda table: replace(table, features={**table.features, modality: features}))


def _open(path: Path, rows: int) -> Stored:
    """The features of all rows of a store, each compared with its checksum when it is first read.

    Raises:
        ValueError: the file, or the list of its rows, is not what was written.
    """
    features = np.load(path, mmap_mode="r")
    known = _known(path)
    whole = features.ndim == 2 and features.dtype == np.float32 and len(features) == rows
    if not whole or not len(known) or known[:, 0].min() < 0 or known[:, 0].max() >= rows:
        raise ValueError
    checksums = {row: f"{value:08x}" for row, value in known.tolist()}
    return Stored(features, np.arange(rows), path.name, checksums=checksums, remedy=REMEDY)


def _known(path: Path) -> np.ndarray:
    """The rows of the store that the file of features is known to hold, and their checksums.

    Returns:
        int64 (R, 2), in ascending order.
    """
    beside = path.with_suffix(".rows.npy")
    known = np.load(beside) if path.exists() and beside.exists() else None
    # A list of version 0.1 has no checksums, and its features are computed anew.
    return known if known is not None and known.ndim == 2 else np.empty((0, 2), np.int64)


def _left(path: Path, rows: np.ndarray) -> np.ndarray:
    """The rows that must still be encoded.

    A run that hides other cells needs other rows than the run that made the file.
    """
    return np.setdiff1d(rows, _known(path)[:, 0])


def _encode(
    table: Table, modality: str, encoder: Any, rows: np.ndarray, path: Path, device: torch.device
) -> None:
    """Write (K, d) for the whole store: these rows, those known before, and zeros for the rest."""
    known = _known(path)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    found: dict[int, int] = dict(known.tolist())
    store: Any = None
    try:
        for chosen, block in _blocks(table, modality, encoder, rows, device):
            if store is None:
                shape = (len(table.arrays[modality]), block.shape[1])
                store = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
                if len(known):
                    store[known[:, 0]] = np.load(path, mmap_mode="r")[known[:, 0]]
            store[chosen] = block
            found.update((int(r), int(checksum(f), 16)) for r, f in zip(chosen, block, strict=True))
        store.flush()
        os.replace(temporary, path)
        # After the features, so that the list of known rows never names one that is not there.
        with temporary.open("wb") as file:
            np.save(file, np.array(sorted(found.items()), np.int64))
        os.replace(temporary, path.with_suffix(".rows.npy"))
    finally:
        temporary.unlink(missing_ok=True)


def _blocks(
    table: Table, modality: str, encoder: Any, rows: np.ndarray, device: torch.device
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The features of these rows, as (rows, features) block by block."""
    step = table.steps.get(modality)
    starts = range(0, len(rows), BATCH_SIZE)
    for start in track(starts, len(starts), f"encoding {modality}"):
        chosen = rows[start : start + BATCH_SIZE]
        block = table.arrays[modality][chosen]
        read = block if step is None else step(block, None)
        # No frozen encoder reads the mask of a series.
        values = read["values"] if isinstance(read, Mapping) else read
        inputs = torch.from_numpy(np.array(values)).to(device)
        with evaluating(encoder), torch.no_grad():
            found: Tensor = encoder.backbone_features(inputs)
        yield chosen, found.float().cpu().numpy()


def _key(splits: Splits, modality: str, encoder: nn.Module) -> str:
    """A hash of all that the features depend on: weights, samples, transform and its statistics."""
    plain = {
        n: v
        for n, v in vars(encoder).items()
        if isinstance(v, str | int | float) and n != "training"
    }
    digest = hashlib.sha256(f"{encoder!r} {sorted(plain.items())}".encode())
    for name, value in encoder.state_dict().items():
        if not name.startswith("projection."):
            digest.update(
                name.encode()
                + value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
            )
    store: Any = splits.train.arrays[modality]
    content = getattr(store, "identity", None) or _content(store)
    facts = [splits.preprocessing.get(part, {}).get(modality) for part in ("transforms", "learned")]
    digest.update(content.encode() + json.dumps(facts, default=list).encode())
    return digest.hexdigest()[:32]


def _content(store: np.ndarray) -> str:
    plain = (
        "\n".join(store.tolist()).encode()
        if store.dtype == object
        else np.ascontiguousarray(store).tobytes()
    )
    return hashlib.sha256(plain).hexdigest()
