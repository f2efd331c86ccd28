"""Make the recordings that come with the package from the Free Spoken Digit Dataset.

    python benchmarks/embed_spoken_digits.py free-spoken-digit-dataset spoken_digits.npz

`src/equipoise/data/datasets/embedded/README.md` says what it writes, and under which licence.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from equipoise.data.datasets.fsdd import find_recordings
from equipoise.data.datasets.spoken_digits import LEVELS, LOUDEST, QUIETEST
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.transforms.audio import LogMel

TAKES = 35
LOG_MEL = LogMel(rate=8000, seconds=0.6, mels=40, window=256, hop=128, centre=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("recordings", type=Path, help="folder of the recordings")
    parser.add_argument("out", type=Path, help="file to write, .npz")
    args = parser.parse_args()
    kept = [recording for recording in find_recordings(args.recordings) if recording.take < TAKES]
    energy = np.stack([LOG_MEL.decode(FilePart(recording.path))[0] for recording in kept])
    fraction = (energy - QUIETEST) / (LOUDEST - QUIETEST)
    np.savez_compressed(
        args.out,
        sound=np.rint(np.clip(fraction, 0, 1) * (LEVELS - 1)).astype(np.uint8),
        digit=np.array([recording.digit for recording in kept], dtype=np.uint8),
        speaker=np.array([recording.speaker for recording in kept]),
        take=np.array([recording.take for recording in kept], dtype=np.uint8),
    )


if __name__ == "__main__":
    main()
