"""What a store of samples holds, in a few bytes: other values, other bytes."""

from __future__ import annotations

import os
import zlib
from typing import Any

import numpy as np


def fingerprint(store: Any) -> bytes:
    """Short bytes that change with the values of a store.

    It is computed at every start of a training, so it is cheap: a checksum for arrays in memory (it notices changes,
    it does not withstand forgery), size and time of change for mapped files, and for rows of the cache the identity
    of transform and files that the cache knows them by. Of a store of another make nothing is known: no bytes.

    Args:
        store: an array (K, …), of texts (K,), or what a table reads in place of one.
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
        facts = (*facts, zlib.crc32("\0".join(map(str, store.ravel())).encode("utf-8", "surrogatepass")))
    else:
        facts = (*facts, zlib.crc32(np.ascontiguousarray(store).reshape(-1).view(np.uint8).data))
    return repr(facts).encode()
