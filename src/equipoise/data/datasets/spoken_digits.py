"""`spoken-digits`: real spoken digits, each with the upper half of a real written one.

It comes with the package: 2,100 recordings of the Free Spoken Digit Dataset as spectrograms, and
the 8×8 images of scikit-learn. Neither modality can do without the other. Half an image is not
enough to tell 4 from 9, and is quickly learned all the same; a sound is enough, and takes longer.
So joint training fits the images, and the sounds are left behind.

All six speakers are in every split. Their takes are not: the first takes are for testing, the next
ones for validation. No image is in two splits, and an image goes with several recordings of its
class.

## Licence

The recordings are under CC BY-SA 4.0 (Zohar Jackson and others, free-spoken-digit-dataset), and so
is what was made from them; `embedded/README.md` says how. The images are under CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from equipoise.data.datasets.av_digits import image_pools
from equipoise.data.manifest.columns import SPLIT_NAMES
from equipoise.data.modality import ModalitySpec
from equipoise.data.table.steps import Arrays
from equipoise.data.table.table import Splits, Table
from equipoise.errors import invalid

FILE = Path(__file__).parent / "embedded" / "spoken_digits.npz"
QUIETEST, LOUDEST, LEVELS = -8.0, 7.7, 64
"""The logarithm of the energy of a band is kept in 64 levels between these."""


def load(*, seed: int = 0, validation: float = 0.15, test: float = 0.25, rows: int = 4) -> Splits:
    """Load sounds (1, 40 bands, 36 frames of 16 ms) and images (1, rows, 8).

    Args:
        seed: of the images that go with the sounds.
        validation: fraction of the takes for validation.
        test: fraction of the takes for testing.
        rows: the upper rows of an image that are seen, 1 to 8.

    Raises:
        ConfigError: a bad number of rows.
    """
    if not (isinstance(rows, int) and 1 <= rows <= 8):
        raise invalid("spoken-digits", "rows", "an integer from 1 to 8", rows)
    from sklearn.datasets import load_digits

    with np.load(FILE) as kept:
        levels, label, speaker, take = (kept[k] for k in ("sound", "digit", "speaker", "take"))
    split = _splits(take, validation, test)
    chosen = _images(split, label, image_pools(np.random.default_rng(seed)))
    sound = QUIETEST + levels[:, None].astype(np.float32) * (LOUDEST - QUIETEST) / (LEVELS - 1)
    image = (load_digits().images[chosen, None, :rows] / 16).astype(np.float32)
    arrays = {"audio": sound, "image": image}
    specs = {name: ModalitySpec(name, name, array.shape[1:]) for name, array in arrays.items()}
    whole = Table(
        specs,
        arrays,
        np.arange(len(label)),
        label.astype(np.int64),
        {m: np.ones(len(label), dtype=bool) for m in specs},
        [str(k) for k in range(10)],
        [f"{d}_{s}_{t}" for d, s, t in zip(label, speaker, take, strict=True)],
    )
    train, validating, testing = (whole.take(np.flatnonzero(split == name)) for name in SPLIT_NAMES)
    fitting = {name: Arrays(None) for name in specs}
    return Splits(train, validating, testing, name="spoken-digits", fitting=fitting)


def _splits(take: np.ndarray, validation: float, test: float) -> np.ndarray:
    """The split of each recording, by the number of its take."""
    takes = int(take.max()) + 1
    testing = round(test * takes)
    validating = round(validation * takes)
    train_name, validation_name, test_name = SPLIT_NAMES
    later = np.where(take < testing + validating, validation_name, train_name)
    return np.where(take < testing, test_name, later)


def _images(
    split: np.ndarray, label: np.ndarray, pools: dict[tuple[str, int], np.ndarray]
) -> np.ndarray:
    """The image of each recording, (N,): those of its class and split in turn."""
    chosen = np.empty(len(label), dtype=np.int64)
    for (name, digit), pool in pools.items():
        members = np.flatnonzero((split == name) & (label == digit))
        chosen[members] = np.resize(pool, len(members))
    return chosen
