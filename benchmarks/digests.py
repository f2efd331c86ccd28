"""A digest of the weights that every method ends with, to compare two versions of the library.

    python benchmarks/digests.py > before.txt     # then, on the other version
    python benchmarks/digests.py > after.txt
    diff before.txt after.txt

Every registered method trains for 3 epochs on `synthetic`, with two and with three modalities, 30 %
of the cells missing. The weights are those of the newest checkpoint, method memory included. Only
`equipoise.fit` and the files of a run are used, so that the script runs on versions whose modules
lie elsewhere. Bits are those of one machine, one number of threads and one build of PyTorch.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file

import equipoise
from equipoise.methods import METHODS

MODALITIES = {
    "easy": {"strength": 2.5},
    "hard": {"strength": 2.0, "bends": 3},
    "third": {"strength": 1.5, "bends": 1},
}


def digest(folder: Path) -> str:
    """A digest of the names, shapes and bits of all tensors of a run's newest checkpoint."""
    newest = max((folder / "checkpoints").glob("epoch-*"))
    summary = hashlib.sha256()
    for file in ("model.safetensors", "method.safetensors"):
        for name, tensor in sorted(load_file(newest / file).items()):
            summary.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            summary.update(tensor.contiguous().numpy().tobytes())
    return summary.hexdigest()[:16]


def train(method: str, count: int, folder: Path) -> str:
    """Train a method with `count` modalities; return the digest, or why it refuses."""
    names = list(MODALITIES)[:count]
    options = {"samples": 240, "modalities": {name: MODALITIES[name] for name in names}}
    try:
        equipoise.fit(
            "synthetic",
            method,
            folder,
            epochs=3,
            batch_size=32,
            missing=0.3,
            **{"data.options": options},
        )
    except equipoise.EquipoiseError as error:
        return f"refused: {error}"
    return digest(folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", default="all", help="names, separated by commas")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    names = METHODS.names() if given.methods == "all" else given.methods.split(",")
    for name in sorted(names):
        for count in (2, 3):
            with tempfile.TemporaryDirectory() as folder:
                print(f"{name} M={count} {train(name, count, Path(folder) / 'run')}", flush=True)


if __name__ == "__main__":
    main()
