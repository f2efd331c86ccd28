"""The transform of videos into frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import ClassVar

import numpy as np

from equipoise.checks import choice, integer, is_integer, require
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media import read_frames
from equipoise.data.media.image import fit_image
from equipoise.data.transforms.base import Draws
from equipoise.data.transforms.image import Picture


@dataclass(frozen=True)
class Frames(Picture):
    """Some frames of a clip, (frames, channels, height, width), in the order of time.

    Every published loader picks frames in its own way, several by an unsorted listing. Here the
    clip is cut into as many segments as there are candidates, and the centre of each is stored.
    The candidates form `frames` groups; training takes a random candidate of each group, evaluation
    the central one.

    Attributes:
        frames: number of frames in a sample.
        candidates: number of frames in the cache, from which training samples are drawn; null for
            no others than `frames`, so that nothing is random.
        sampling: segments; or dense, which takes neighbouring frames, from a random start in
            training and from the middle in evaluation.
        minimum: clips with fewer frames are refused; a clip with fewer than `frames` repeats some.
            A window in seconds may show a single one.
    """

    frames: int = 3
    candidates: int | None = None
    sampling: str = "segments"
    minimum: int = 2
    follows: ClassVar = Picture.follows | {"frames"}
    late: ClassVar = Picture.late | {"frames", "candidates"}
    axis: ClassVar[int] = 1
    kind: ClassVar[str] = "video"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.kind,
            integer("frames", self.frames, 1),
            integer("minimum", self.minimum, 1),
            choice("sampling", self.sampling, ("segments", "dense")),
        )
        if self.candidates is not None:
            enough = is_integer(self.candidates, self.frames)
            expected = f"at least as many as frames ({self.frames})"
            require(self.kind, ("candidates", enough, expected, self.candidates))

    @property
    def kept(self) -> int:
        """Number of frames in the cache."""
        return self.candidates or self.frames

    @property
    def stored(self) -> tuple[int, ...]:
        return (self.kept, *super().stored)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.frames, *super().shape)

    @property
    def random(self) -> bool:
        return self.varied or self.kept > self.frames

    def decode(self, part: FilePart) -> np.ndarray:
        """uint8 of shape `stored`.

        Raises:
            DataError: the file is not readable as a video, or has too few frames.
        """
        draw = partial(
            fit_image,
            size=self.cached,
            channels=self.channels,
            fit=self.fit,
            resample=self.resample,
        )
        minimum = self.minimum if part.window.start is None else 1
        return np.stack(read_frames(part, self.pick, draw, minimum, self.white))

    def pick(self, count: int) -> list[int]:
        """Choose the frames to store of a clip with `count` frames, by their indices."""
        if self.sampling == "segments":
            return [int((k + 0.5) * count / self.kept) for k in range(self.kept)]
        start = max(count - self.kept, 0) // 2
        return [min(start + k, count - 1) for k in range(self.kept)]

    def finish(self, block: np.ndarray, draws: Draws | None) -> np.ndarray:
        """Augment and normalise samples, (B, *stored) → float32 (B, *shape).

        All frames of a sample are cut alike.
        """
        looks = self._looks(draws)
        if self.kept > self.frames:
            rngs: Sequence[np.random.Generator | None]
            rngs = [None] * len(block) if draws is None else draws
            chosen = [self.choose(rng) for rng in rngs]
            block = block[np.arange(len(block))[:, None], np.array(chosen)]
        each = None if looks is None else [look for look in looks for _ in range(self.frames)]
        images = self._seen(self._units(block).flatten(0, 1), each)
        finished: np.ndarray = images.numpy().reshape(len(block), *self.shape)
        return finished

    def choose(self, rng: np.random.Generator | None) -> Sequence[int]:
        """Choose the stored frames that a sample shows; the central ones without a generator."""
        if self.sampling == "dense":
            spare = self.kept - self.frames
            start = spare // 2 if rng is None else int(rng.integers(0, spare + 1))
            return range(start, start + self.frames)
        bounds = [k * self.kept // self.frames for k in range(self.frames + 1)]
        groups = pairwise(bounds)
        if rng is None:
            return [(first + last - 1) // 2 for first, last in groups]
        return [int(rng.integers(first, last)) for first, last in groups]
