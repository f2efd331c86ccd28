"""`av-digits`: each spoken digit of the Free Spoken Digit Dataset with a handwritten digit of the
same class.

The images are scikit-learn's bundled 8×8 digits. Two speakers are held out for testing and one for
validation, so the audio is the hard, slow modality; the images are partitioned too, and none is in
two splits.

Test accuracy after 15 epochs, prepared with seed 0, mean of training seeds 0, 1 and 2 ± standard
deviation. Both at `--optimiser.lr 0.03`, on validation the best of 0.003, 0.01 and 0.03; everything
else at its default:

    method                                    audio          image         fused
    joint                                     18.4 ± 3.0     97.7 ± 0.1    98.1 ± 0.3
    late (two networks side by side)          52.6 ± 13.1    98.2 ± 0.2    98.4 ± 0.6
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.datasets.fsdd import WHOLE, Recording, assign_speakers, find_recordings
from equipoise.data.datasets.preparing.writing import Collection, Row, write

SHARES = {"train": 3, "validation": 1, "test": 2}  # of the six speakers, and of the images


def prepare(out: Path, *, fsdd: str | Path, seed: int = 0) -> dict[str, Any]:
    """Write `manifest.csv`, `dataset.json` and the images into an existing empty folder.

    Args:
        out: the folder.
        fsdd: folder of the recordings, `<digit>_<speaker>_<take>.wav`, or the folder above it.
        seed: decides which speakers are held out and which image goes with which recording.

    Returns:
        What was found, see `writing.write`.

    Raises:
        DataError: no recordings there, or of fewer than four speakers.
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
        whole=WHOLE,
        options={
            "audio": {"seconds": 0.6},
            "image": {"size": 8, "channels": 1, "normalise": "fit"},
        },
        notes=["an image goes with several recordings of its class, always within one split"],
    )
    return write(out, collection)


def image_pools(rng: np.random.Generator) -> dict[tuple[str, int], np.ndarray]:
    """{(split, digit): numbers of the images}, disjoint."""
    from sklearn.datasets import load_digits

    target = load_digits().target
    pools = {}
    for digit in range(10):
        members = rng.permutation(np.flatnonzero(target == digit))
        bounds = np.cumsum([*SHARES.values()]) * len(members) // sum(SHARES.values())
        for name, part in zip(SHARES, np.split(members, bounds[:-1]), strict=True):
            pools[name, digit] = part
    return pools


def save_images(folder: Path) -> None:
    """Every digit image as an 8-bit png; their 17 grey levels survive exactly."""
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
    """Within a split the images of a class are dealt out in turn, so that none is used much more than another."""
    used: dict[tuple[str, int], int] = {}
    for digit, speaker, _, path in recordings:
        key = (split_of[speaker], digit)
        number = pools[key][used.get(key, 0) % len(pools[key])]
        used[key] = used.get(key, 0) + 1
        files = {"audio": str(path), "image": f"images/{number:04d}.png"}
        yield {"id": path.stem, **files, "label": str(digit), "speaker": speaker, "split": key[0]}
