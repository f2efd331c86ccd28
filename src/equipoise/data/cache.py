"""Decode every file once, into a memory-mapped array that later runs read.

The key holds the transform's settings and each file's path, size and time of change: when one of them differs, it is
another cache file. A cache file is there whole or not at all.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from equipoise.data.kinds import Transform
from equipoise.data.progress import track
from equipoise.errors import DataError, RunError
from equipoise.files import replace_file

VERSION = 1  # of what the transforms compute: raise it when the same settings give other numbers


def default_folder() -> Path:
    """$EQUIPOISE_CACHE, or the user's cache folder."""
    given = os.environ.get("EQUIPOISE_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "equipoise"


def decode_all(
    name: str, files: Sequence[Path | None], transform: Transform, folder: Path
) -> tuple[np.ndarray, dict[int, str]]:
    """Decode files, or read what an earlier call decoded.

    Args:
        name: of the modality, for the progress display.
        files: None where the modality is absent.
        transform: what decodes one file.
        folder: of the cache.

    Returns:
        A read-only memory map (N, *shape), zeros where there is nothing, and {row: reason} for files that failed.

    Raises:
        RunError: the cache folder cannot be written.
    """
    path = folder / f"{_key(files, transform)}.npy"
    notes = path.with_suffix(".json")
    try:
        found = _read(path, notes, (len(files), *transform.shape))
        if found is None:
            folder.mkdir(parents=True, exist_ok=True)
            bad = _decode(name, files, transform, path)
            replace_file(notes, json.dumps(bad).encode())
            found = np.load(path, mmap_mode="r"), bad
        return found
    except OSError as error:
        raise RunError(f"{folder}: cannot use the cache ({error.strerror or error}); set --data.cache") from None


def _read(path: Path, notes: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, dict[int, str]] | None:
    """What an earlier call decoded; None if it is not there, or damaged."""
    try:
        store = np.load(path, mmap_mode="r")
        reasons = {int(row): str(reason) for row, reason in json.loads(notes.read_text(encoding="utf-8")).items()}
    except (FileNotFoundError, ValueError, EOFError):
        return None
    return (store, reasons) if store.shape == shape else None


def _decode(name: str, files: Sequence[Path | None], transform: Transform, path: Path) -> dict[int, str]:
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    bad: dict[int, str] = {}
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        store = _make_store(temporary, (len(files), *transform.shape))

        def one(row: int) -> None:
            file = files[row]
            try:
                if file is not None:
                    store[row] = transform.decode(file)
            except DataError as error:
                bad[row] = str(error)

        for _ in track(pool.map(one, range(len(files))), len(files), f"decoding {name}"):
            pass
        store.flush()
        os.replace(temporary, path)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl+C does not wait for the files that are left
        temporary.unlink(missing_ok=True)
    return dict(sorted(bad.items()))


def _make_store(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """A writable memory map whose space is taken now: on a full disk, writing to a map would kill the process."""
    store: np.memmap = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # some file systems cannot reserve
                    raise
    return store


def _key(files: Sequence[Path | None], transform: Transform) -> str:
    settings: Any = asdict(transform)  # type: ignore[call-overload]
    digest = hashlib.sha256(json.dumps([VERSION, type(transform).__name__, settings], default=list).encode())
    for file in files:
        digest.update(_identity(file).encode())
    return digest.hexdigest()[:32]


def _identity(file: Path | None) -> str:
    if file is None:
        return "\n-"
    try:
        facts = file.stat()
        readable = os.access(file, os.R_OK)
        return f"\n{file.absolute()} {facts.st_size} {facts.st_mtime_ns} {readable}"
    except OSError:
        return f"\n{file.absolute()} none"
