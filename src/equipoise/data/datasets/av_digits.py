"""`av-digits`: a spoken digit of the Free Spoken Digit Dataset with a handwritten one of its class.

The images are the 8×8 digits that come with scikit-learn. Two speakers are held out for testing and
one for validation, so the audio is hard to learn. The images are partitioned too, and no image is
in two splits.

Test accuracy after 15 epochs, prepared with seed 0: mean over training seeds 0, 1 and 2 ± standard
deviation. The learning rate is `--optimiser.lr 0.03`, the best of 0.003, 0.01 and 0.03 on
validation for both methods; everything else is at its default.

    method                                    audio          image         fused
    joint                                     18.4 ± 3.0     97.7 ± 0.1    98.1 ± 0.3
    late (two networks side by side)          52.6 ± 13.1    98.2 ± 0.2    98.4 ± 0.6
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.datasets.fsdd import TOTAL, Recording, assign_speakers, find_recordings
from equipoise.data.datasets.preparing.writing import Collection, Row, write

PARTS = {"train": 3, "validation": 1, "test": 2}
"""Sixths of the speakers and of the images in each split."""


def prepare(out: Path, *, fsdd: str | Path, seed: int = 0) -> dict[str, Any]:
    """Write `manifest.csv`, `dataset.json` and the images into an existing empty folder.

    Args:
        out: the folder.
        fsdd: folder of the recordings, `<digit>_<speaker>_<take>.wav`, or the folder above it.
        seed: of the speakers that are held out and of the pairs of recording and image.

    Returns:
        Facts about what was found, see `writing.write`.

    Raises:
        DataError: there are no recordings, or recordings of fewer than four speakers.
    """
    recordings = find_recordings(Path(fsdd))
    rng = np.random.default_rng(seed)
    split_of = assign_speakers(sorted({recording.speaker for recording in recordings}), rng)
    pools = image_pools(rng)
    save_images(out / "images")
    collection = Collection(
        "av-digits",
        ["audio=audio:audio", "image=image:image"],
        list(_pairs(recordings, split_of, pools)),
        total=TOTAL,
        options={
            "audio": {
                "rate": 8000,
                "seconds": 0.6,
                "mels": 40,
                "window": 256,
                "hop": 128,
                "centre": False,
            },
            "image": {"size": 8, "channels": 1, "normalise": "fit"},
        },
        notes=["an image goes with several recordings of its class, always within one split"],
    )
    return write(out, collection)


def image_pools(rng: np.random.Generator) -> dict[tuple[str, int], np.ndarray]:
    """Partition the images into {(split, digit): indices of the images}."""
    from sklearn.datasets import load_digits

    target = load_digits().target
    pools = {}
    for digit in range(10):
        members = rng.permutation(np.flatnonzero(target == digit))
        bounds = np.cumsum([*PARTS.values()]) * len(members) // sum(PARTS.values())
        for name, part in zip(PARTS, np.split(members, bounds[:-1]), strict=True):
            pools[name, digit] = part
    return pools


def save_images(folder: Path) -> None:
    """Write every digit image as an 8-bit png, which keeps their 17 grey levels exactly."""
    from PIL import Image
    from sklearn.datasets import load_digits

    folder.mkdir()
    for number, image in enumerate(load_digits().images):
        Image.fromarray((image * 15).astype(np.uint8)).save(folder / f"{number:04d}.png")


def _pairs(
    recordings: Sequence[Recording],
    split_of: dict[str, str],
    pools: dict[tuple[str, int], np.ndarray],
) -> Iterator[Row]:
    """Pair every recording with an image of its class and split.

    The images are dealt out in turn, so that none is used much more often than another.
    """
    used: dict[tuple[str, int], int] = {}
    for digit, speaker, _, path in recordings:
        key = (split_of[speaker], digit)
        number = pools[key][used.get(key, 0) % len(pools[key])]
        used[key] = used.get(key, 0) + 1
        files = {"audio": str(path), "image": f"images/{number:04d}.png"}
        yield {"id": path.stem, **files, "label": str(digit), "speaker": speaker, "split": key[0]}
