"""Decode every file once, into a memory-mapped array that later runs read.

The key holds the transform's settings and each file's path, size and time of change: when one of them differs, it is
another cache file. A cache file is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.kinds import Transform
from equipoise.data.progress import track
from equipoise.errors import DataError, RunError
from equipoise.files import replace_file


def default_folder() -> Path:
    """$EQUIPOISE_CACHE, or the user's cache folder."""
    given = os.environ.get("EQUIPOISE_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "equipoise"


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
        if not (path.is_file() and notes.is_file()):
            folder.mkdir(parents=True, exist_ok=True)
            bad = _decode(name, files, transform, path)
            replace_file(notes, json.dumps(bad).encode())
        reasons = {int(row): reason for row, reason in json.loads(notes.read_text(encoding="utf-8")).items()}
        return np.load(path, mmap_mode="r"), reasons
    except OSError as error:
        raise RunError(f"{folder}: cannot use the cache ({error.strerror or error}); set --data.cache") from None


def _decode(name: str, files: Sequence[Path | None], transform: Transform, path: Path) -> dict[int, str]:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    bad: dict[int, str] = {}
    try:
        store = np.lib.format.open_memmap(
            temporary, mode="w+", dtype=np.float32, shape=(len(files), *transform.shape)
        )

        def one(row: int) -> None:
            file = files[row]
            try:
                if file is not None:
                    store[row] = transform.decode(file)
            except DataError as error:
                bad[row] = str(error)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in track(pool.map(one, range(len(files))), len(files), f"decoding {name}"):
                pass
        store.flush()
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return dict(sorted(bad.items()))


def _key(files: Sequence[Path | None], transform: Transform) -> str:
    settings: Any = asdict(transform)  # type: ignore[call-overload]
    digest = hashlib.sha256(json.dumps([type(transform).__name__, settings], default=list).encode())
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
