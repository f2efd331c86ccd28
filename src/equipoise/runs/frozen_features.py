"""Features of frozen encoders: computed once, cached, and read in place of the samples."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor, nn

from equipoise.data.decoding.cache import alone
from equipoise.data.decoding.progress import track
from equipoise.data.table.table import Splits, Table
from equipoise.errors import RunError
from equipoise.evaluating import evaluating
from equipoise.model import Model

BATCH = 64


def cache_features(splits: Splits, model: Model, folder: Path, device: torch.device) -> Splits:
    """Encode every modality whose encoder is frozen, and let all splits read the result.

    An encoder is frozen that says so (`encoder.frozen`) and offers `backbone_features`. One whose
    training samples are augmented sees other samples every epoch, so it runs as any other.

    Args:
        splits: of the run.
        model: its encoders are on `device`.
        folder: of the cache.
        device: to encode on.

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
            with alone(path.with_suffix("")):
                left = _left(path, rows)
                if len(left):
                    _encode(tables[0], modality, encoder, left, path, device)
        features = np.load(path, mmap_mode="r")
    except OSError as error:
        raise RunError(
            f"{folder}: cannot use the cache ({error.strerror or error}); set --data.cache"
        ) from None
    train, validation, test = (
        t.with_features(modality, features) for t in (splits.train, splits.validation, splits.test)
    )
    holdout = splits.holdout and splits.holdout.with_features(modality, features)
    return replace(splits, train=train, validation=validation, test=test, holdout=holdout)


def _known(path: Path) -> np.ndarray:
    """The rows of the store, in ascending order, that the file of features holds for certain."""
    beside = path.with_suffix(".rows.npy")
    return np.load(beside) if path.exists() and beside.exists() else np.empty(0, np.int64)


def _left(path: Path, rows: np.ndarray) -> np.ndarray:
    """Those of the rows that are yet to be encoded; with other cells hidden, a run needs others than the last one."""
    return np.setdiff1d(rows, _known(path))


def _encode(
    table: Table, modality: str, encoder: Any, rows: np.ndarray, path: Path, device: torch.device
) -> None:
    """Write (K, d) for the whole store: these rows beside those known before, zeros for the others."""
    known = _known(path)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    store: Any = None
    try:
        for chosen, block in _blocks(table, modality, encoder, rows, device):
            if store is None:
                shape = (len(table.arrays[modality]), block.shape[1])
                store = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
                if len(known):
                    store[known] = np.load(path, mmap_mode="r")[known]
            store[chosen] = block
        store.flush()
        os.replace(temporary, path)
        with temporary.open(
            "wb"
        ) as file:  # later than the features: it never promises more than there is
            np.save(file, np.union1d(known, rows))
        os.replace(temporary, path.with_suffix(".rows.npy"))
    finally:
        temporary.unlink(missing_ok=True)


def _blocks(
    table: Table, modality: str, encoder: Any, rows: np.ndarray, device: torch.device
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    step = table.steps.get(modality)
    starts = range(0, len(rows), BATCH)
    for start in track(starts, len(starts), f"encoding {modality}"):
        chosen = rows[start : start + BATCH]
        block = table.arrays[modality][chosen]
        inputs = torch.from_numpy(np.array(block if step is None else step(block, None))).to(device)
        with evaluating(encoder), torch.no_grad():
            found: Tensor = encoder.backbone_features(inputs)
        yield chosen, found.float().cpu().numpy()


def _key(splits: Splits, modality: str, encoder: nn.Module) -> str:
    """Of everything the features depend on: weights, content, transform, and what was learned."""
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
