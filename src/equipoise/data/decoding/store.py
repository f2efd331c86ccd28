"""The stores that a table reads its rows from."""

from __future__ import annotations

import os
import zlib
from typing import Any, Protocol

import numpy as np


class Store(Protocol):
    """Reads like an array (K, …): an array, or rows of the cache."""

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray: ...

    def __len__(self) -> int: ...


def fingerprint(store: Any) -> bytes:
    """Short bytes that change with the values of a store.

    They are computed at every start of a training, so they must be cheap:

    * an array in memory: a checksum, which notices changes but does not withstand forgery;
    * a mapped file: its size and time of change;
    * rows of the cache: the identity of transform and files, by which the cache knows them;
    * any other store: no bytes, since nothing is known of it.

    Args:
        store: an array (K, …), of texts (K,), or an object that a table reads in place of one.
    """
    identity = getattr(store, "identity", None)
    if isinstance(identity, str):
        return identity.encode()
    if not isinstance(store, np.ndarray):
        return b""
    facts: tuple[Any, ...] = (store.shape, store.dtype.str)
    if isinstance(store, np.memmap) and store.filename is not None:
        file = os.stat(store.filename)
        facts = (*facts, store.offset, file.st_size, file.st_mtime_ns)
    elif store.dtype == object:
        text = "\0".join(map(str, store.ravel()))
        facts = (*facts, zlib.crc32(text.encode("utf-8", "surrogatepass")))
    else:
        facts = (*facts, zlib.crc32(np.ascontiguousarray(store).reshape(-1).view(np.uint8).data))
    return repr(facts).encode()
