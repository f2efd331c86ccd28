"""Decode every file once, into stores that later runs map into memory.

There is one store for each transform and its settings: a file of rows, and a journal that says
which row holds which file. A file is known by its path, size and time of change, a folder of frames
by those of its frames, so a changed file counts as a new one.

A store only grows. Other runs have it mapped into memory, so a row that the journal names is never
moved or written again. A row counts only once the journal names it, hence a run that was killed
while decoding goes on where it stopped. Runs that decode at the same time wait for each other.

Beside the row of a file, the journal keeps what was remarked while it was decoded, so that later
runs say it too.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media.file import LONGEST_READ, SlowError, reason
from equipoise.data.media.remarks import collect_remarks
from equipoise.data.transforms.base import Transform, cache_settings
from equipoise.errors import ConfigError, DataError, RunError
from equipoise.files import replace_file, take_lock
from equipoise.progress import track

VERSION = 6
"""Version of what the transforms compute and of the journal: raise it when the same settings give
other numbers."""

MOST_BYTES = 2**34  # of one sample
CHUNK = 64  # files between two entries of the journal
TRIES = 3  # of a file that was waited for in vain
AHEAD = 64  # decoded files that may wait to be written
REMARKS = " remarks"  # of a file: the key of its entry in the journal ends so
CHECKSUM = " checksum"  # of the bytes of a row: the key of its entry in the journal ends so


def cache_folder(chosen: str | None) -> Path:
    """The chosen folder, else $EQUIPOISE_CACHE, else the user's cache folder."""
    given = chosen or os.environ.get("EQUIPOISE_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "equipoise"


class Stored:
    """Rows of a store, in the order of a manifest; reads like an array (N, *shape).

    Args:
        store: (K, *shape), mapped into memory.
        places: (N,) row of the store; −1 where there is none.
        identity: identifies transform and files, and so the content.
        remarks: {row: lines, what a user should know of its file}.
        checksums: {row of the store: CRC-32 of its bytes}. Each row is compared with it when it is
            read for the first time in a process, so that opening a store reads none of it.
        remedy: words, what to do where a row is damaged; those of the cache by default.
    """

    def __init__(
        self,
        store: np.ndarray,
        places: np.ndarray,
        identity: str,
        remarks: Mapping[int, str] | None = None,
        checksums: Mapping[int, str] | None = None,
        remedy: str = "",
    ) -> None:
        self.remedy = remedy
        self.store = store
        self.places = places
        self.identity = identity
        self.remarks = dict(remarks or {})
        self.shape = (len(places), *store.shape[1:])
        self._checksums = dict(checksums or {})
        self._unread = np.zeros(len(store), dtype=bool)
        self._unread[list(self._checksums)] = True

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        places = self.places[rows]
        block: np.ndarray = self.store[places]
        if self._unread[places].any():
            self._verify(np.unique(places))
        return block

    def _verify(self, places: np.ndarray) -> None:
        """Compare rows of the store that were not read before with their checksums.

        Raises:
            RunError: a row is not what was written.
        """
        places = places[places >= 0]
        for place in places[self._unread[places]].tolist():
            if checksum(self.store[place]) != self._checksums[place]:
                where = Path(str(getattr(self.store, "filename", "the cache")))
                remedy = self.remedy or (
                    f"delete this file and {where.with_suffix('.jsonl').name}, "
                    "and the files are decoded again"
                )
                raise RunError(f"{where}: damaged, row {place} is not what was written; {remedy}")
        self._unread[places] = False


def decode_all(
    name: str, files: Sequence[FilePart | None], transform: Transform, folder: Path
) -> tuple[Stored, dict[int, str]]:
    """Decode files, or read what an earlier call decoded.

    Args:
        name: of the modality, for the progress bar.
        files: (N,) None where the modality is absent.
        transform: decodes one file.
        folder: of the cache.

    Returns:
        The (N, …) rows, and {row: reason} for files that failed.

    Raises:
        ConfigError: a sample would take more than `MOST_BYTES`.
        RunError: the cache folder cannot be written.
    """
    size = prod(transform.stored) * np.dtype(transform.dtype).itemsize
    if size > MOST_BYTES:
        raise ConfigError(
            f"data.options.{name}: one sample would take {size:.1e} bytes; read less of each file"
        )
    identities = [None if file is None else _identity(file) for file in files]
    base = folder / _key(transform)
    try:
        journal = _Journal(base, size)
        known = journal.read()
        if any(identity is not None and identity not in known for identity in identities):
            folder.mkdir(parents=True, exist_ok=True)
            # The warnings of decoders, such as Pillow's, name no file and cannot be acted on. They
            # are silenced here, since Python cannot do so for one thread alone.
            with lock_store(base), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                known = journal.read()
                _grow(name, dict(zip(identities, files, strict=True)), transform, journal, known)
        rows = 1 + max((entry for entry in known.values() if isinstance(entry, int)), default=-1)
        found = [known.get(identity) for identity in identities]
        said = [known.get(f"{identity}{REMARKS}") for identity in identities]
        remarks = {row: text for row, text in enumerate(said) if isinstance(text, str)}
        checksums = {
            place: str(known.get(f"{identity}{CHECKSUM}"))
            for identity, place in zip(identities, found, strict=True)
            if isinstance(place, int)
        }
        content = hashlib.sha256("\n".join([base.name, *map(str, identities)]).encode()).hexdigest()
        return _open(base, transform, rows, found, content, remarks, checksums)
    except OSError as error:
        raise RunError(
            f"{folder}: cannot use the cache ({error.strerror or error}); set --data.cache"
        ) from None


def _open(
    base: Path,
    transform: Transform,
    rows: int,
    found: Sequence[int | str | None],
    identity: str,
    remarks: Mapping[int, str],
    checksums: Mapping[int, str],
) -> tuple[Stored, dict[int, str]]:
    shape = (rows, *transform.stored)
    if rows:
        store: np.ndarray = np.memmap(
            base.with_suffix(".data"), dtype=transform.dtype, mode="r", shape=shape
        )
    else:
        store = np.empty(shape, dtype=transform.dtype)
    places = np.array([entry if isinstance(entry, int) else -1 for entry in found], dtype=np.int64)
    return Stored(store, places, identity, remarks, checksums), {
        row: entry for row, entry in enumerate(found) if isinstance(entry, str)
    }


@dataclass(frozen=True)
class _Decoded:
    """The outcome of decoding one file.

    Attributes:
        array: of the file; None where it failed.
        failure: the reason why it failed.
        lasting: True for a failure that the file itself is the reason of. Others, such as too
            little memory, are not remembered.
        slow: True where the decoder gave up waiting.
        remarks: lines, what a user should know of the file.
    """

    array: np.ndarray | None = None
    failure: str = ""
    lasting: bool = True
    slow: bool = False
    remarks: str = ""


class _Journal:
    """A file of {identity of a file: row of the store, or the reason why it has none}.

    It has a line for each chunk of files: JSON, a tab, and the CRC-32 of the JSON.
    """

    def __init__(self, base: Path, row_size: int) -> None:
        self.path = base.with_suffix(".jsonl")
        self.data = base.with_suffix(".data")
        self.row_size = row_size

    def read(self) -> dict[str | None, int | str]:
        """Read all entries.

        A crash can leave a line cut off, or an entry whose row was not written; neither counts.

        Raises:
            RunError: a whole line is not what was written.
        """
        known: dict[str | None, int | str] = {}
        try:
            lines = self.path.read_bytes().split(b"\n")
            there = self.data.stat().st_size // self.row_size
        except FileNotFoundError:
            return known
        for number, line in enumerate(lines[:-1], 1):
            entries, _, told = line.rpartition(b"\t")
            if told.decode(errors="replace") != checksum(entries):
                raise RunError(
                    f"{self.path} line {number}: edited or damaged; delete this file and "
                    f"{self.data.name}, and the files are decoded again"
                )
            known.update(json.loads(entries))
        return {
            key: entry for key, entry in known.items() if isinstance(entry, str) or entry < there
        }

    def write(self, known: dict[str | None, int | str]) -> None:
        """Replace the journal by a single line, which removes a half-written one."""
        replace_file(self.path, self._line(known))

    def append(self, entries: dict[str, int | str]) -> None:
        with self.path.open("ab") as file:
            file.write(self._line(entries))
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def _line(entries: Mapping[Any, int | str]) -> bytes:
        text = json.dumps(entries).encode()
        return text + f"\t{checksum(text)}\n".encode()


def _grow(
    name: str,
    files: dict[str | None, FilePart | None],
    transform: Transform,
    journal: _Journal,
    known: dict[str | None, int | str],
) -> None:
    """Decode the files that are not known yet and add them to `known`."""
    todo = [
        (identity, file)
        for identity, file in files.items()
        if identity and file and identity not in known
    ]
    journal.write(known)
    row = 1 + max((entry for entry in known.values() if isinstance(entry, int)), default=-1)
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        with journal.data.open("ab") as data:
            # A crash can leave rows behind that no journal names: the next row replaces them.
            data.truncate(row * journal.row_size)
            results = _in_order(pool, transform, [file for _, file in todo])
            entries: dict[str, int | str] = {}
            count = 0  # of the files since the last line of the journal
            for (identity, _), result in zip(
                todo, track(results, len(todo), f"decoding {name}"), strict=True
            ):
                if result.array is None and result.lasting:
                    entries[identity] = result.failure
                elif result.array is None:
                    known[identity] = result.failure
                else:
                    array = np.ascontiguousarray(result.array, dtype=transform.dtype)
                    data.write(array.data)
                    entries[identity] = row
                    entries[f"{identity}{CHECKSUM}"] = checksum(array)
                    row = row + 1
                if result.remarks:
                    entries[f"{identity}{REMARKS}"] = result.remarks
                count += 1
                if count == CHUNK or identity == todo[-1][0]:
                    # Rows reach the disk before the journal names them, or a crash between the two
                    # would leave entries without rows.
                    data.flush()
                    os.fsync(data.fileno())
                    journal.append(entries)
                    known.update(entries)
                    entries = {}
                    count = 0
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl+C must not wait for all files that are left


def _in_order(
    pool: ThreadPoolExecutor, transform: Transform, files: Sequence[FilePart]
) -> Iterator[_Decoded]:
    """Decode files in order, only a few ahead: a whole data set does not fit into memory."""
    waiting: deque[Future[_Decoded]] = deque()
    for file in files:
        waiting.append(pool.submit(_decode, transform, file))
        if len(waiting) > AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _decode(transform: Transform, file: FilePart) -> _Decoded:
    """Decode one file. Whatever goes wrong is a fault of this cell, so that the others are read.

    A file that was waited for in vain is read again if little was computed meanwhile: then not the
    file was slow, but a busy machine or a disk.
    """
    for _ in range(TRIES):
        computed = time.thread_time()
        decoded = _try_to_decode(transform, file)
        if not decoded.slow or time.thread_time() - computed > LONGEST_READ / 2:
            break
    return decoded


def _try_to_decode(transform: Transform, file: FilePart) -> _Decoded:
    with collect_remarks() as remarks:
        try:
            array = transform.decode(file)
            if array.shape != transform.stored:
                raise ValueError(f"shape {array.shape}, {transform.stored} is expected")
        except SlowError as error:
            return _Decoded(failure=str(error), lasting=False, slow=True)
        except DataError as error:
            return _Decoded(failure=str(error))
        except MemoryError:
            text = f"{file}: decoding it takes more memory than there is"
            return _Decoded(failure=text, lasting=False)
        except OSError as error:
            text = f"{file}: cannot be read ({error.strerror or error})"
            return _Decoded(failure=text, lasting=False)
        except Exception as error:
            text = f"{file}: cannot be decoded ({type(error).__name__}: {reason(error, file.path)})"
            return _Decoded(failure=text, lasting=False)
    return _Decoded(array=array, remarks="\n".join(remarks))


@contextmanager
def lock_store(base: Path) -> Iterator[None]:
    """Wait until no other process grows this store; the lock ends with its process."""
    with base.with_suffix(".lock").open("w") as lock:
        take_lock(lock)
        yield


def checksum(content: np.ndarray | bytes) -> str:
    """CRC-32 of some bytes, in hexadecimal. It notices damage, and does not withstand forgery."""
    plain = content if isinstance(content, bytes) else np.ascontiguousarray(content).tobytes()
    return f"{zlib.crc32(plain):08x}"


def _key(transform: Transform) -> str:
    facts: Any = [VERSION, type(transform).__name__, cache_settings(transform)]
    return hashlib.sha256(json.dumps(facts, default=list).encode()).hexdigest()[:32]


def _identity(part: FilePart) -> str:
    """Path, window, size and time of change, hashed; of folders, those of all their frames too."""
    try:
        facts = [_facts(side.path) for side in part.sides()]
    except (OSError, ValueError):
        facts = []
    text = f"{part.path.absolute()}{part.written} {facts}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _facts(path: Path) -> list[Any]:
    """Facts that change when a file does, or a file in a folder.

    Raises:
        OSError: there is none, or the folder cannot be read.
    """
    facts = path.stat()
    found: list[Any] = [facts.st_size, facts.st_mtime_ns, os.access(path, os.R_OK)]
    if path.is_dir():
        with os.scandir(path) as entries:
            frames = [(entry.name, entry.stat()) for entry in entries if entry.is_file()]
        found += sorted((name, frame.st_size, frame.st_mtime_ns) for name, frame in frames)
    return found
