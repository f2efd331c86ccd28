"""Reading a published pickle of numpy arrays without running what a pickle can be made to run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from equipoise.data.datasets.preparing.writing import need_file
from equipoise.errors import DataError


def _latin1(text: str, encoding: str) -> bytes:
    """Bytes as protocol 2 writes them."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes in encoding {encoding!r}")
    return text.encode("latin-1")


_RECONSTRUCT = np.zeros(1).__reduce__()[0]
_SCALAR = np.float64(1).__reduce__()[0]
_FROM_BUFFER = np.zeros(1).__reduce_ex__(5)[0]
ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _RECONSTRUCT for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FROM_BUFFER for core in ("core", "_core")},
}
"""{(module, name) as numpy 1 and 2 write it: the object}; enough for arrays, and nothing else is imported."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="latin1")  # the way to read arrays that Python 2 wrote

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it wants {module}.{name}, which is no array") from None


def load_arrays(path: Path, what: str) -> Any:
    """The content of a pickle made of dicts, lists, texts, numbers and numpy arrays.

    Args:
        path: of the pickle.
        what: where it comes from, for the message.

    Raises:
        DataError: not there, no pickle, damaged, larger than memory, or of anything else; nothing
            of it was run.
    """
    with need_file(path, what).open("rb") as file:
        try:
            return _Unpickler(file).load()
        except Exception as error:  # damaged bytes can raise anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{path}: not readable as a pickle of arrays ({reason})") from None
