"""The transform of optical flow, which is read or computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from equipoise.checks import positive, require
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media import read_array, read_frames
from equipoise.data.media.image import fit_image
from equipoise.data.transforms.video import Frames
from equipoise.errors import DataError


@dataclass(frozen=True)
class Flow(Frames):
    """Horizontal and vertical optical flow, (frames, 2, height, width).

    A cell is one of three:

    * a video, from which flow is computed (dense inverse search, Kroeger et al., ECCV 2016);
    * a pair of folders of grey pictures, `tvl1_flow/{u,v}/clip`, whose 0…255 become −1…1;
    * a .npy array H×W×2×T, T×2×H×W or T×H×W×2, whose numbers are not changed.

    Attributes:
        bound: computed flow, in pixels of the cached size, that becomes 1; larger flow is clipped.
    """

    channels: int = 2
    frames: int = 8
    normalise: Any = "none"
    bound: float = 20.0
    kind: ClassVar[str] = "flow"
    channel_counts: ClassVar[tuple[int, ...]] = (2,)

    def __post_init__(self) -> None:
        super().__post_init__()
        require("flow", positive("bound", self.bound))

    @property
    def dtype(self) -> str:
        return "float16"

    def decode(self, part: FilePart) -> np.ndarray:
        """float16 of shape `stored`.

        Raises:
            DataError: the file is neither a video nor flow.
        """
        sides = part.sides()
        if len(sides) > 1:
            fields = [self._pictures(side) for side in sides]
            return np.concatenate(fields, axis=1).astype(np.float16)
        if part.path.suffix == ".npy":
            return self._array(part).astype(np.float16)
        return self._computed(part).astype(np.float16)

    def _pictures(self, folder: FilePart) -> np.ndarray:
        """One component of the flow from grey pictures, (kept, 1, H, W) in [−1, 1]."""
        draw = partial(
            fit_image, size=self.cached, channels=1, fit=self.fit, resample=self.resample
        )
        return np.stack(read_frames(folder, self.pick, draw, self.minimum, self.white)) / 127.5 - 1

    def _array(self, part: FilePart) -> np.ndarray:
        """Flow from an array of numbers, (kept, 2, H, W)."""
        array = read_array(part)
        layouts: Sequence[tuple[int, tuple[int, ...]]] = [
            (2, (3, 2, 0, 1)),
            (1, (0, 1, 2, 3)),
            (3, (0, 3, 1, 2)),
        ]
        order = next(
            (axes for axis, axes in layouts if array.ndim == 4 and array.shape[axis] == 2), None
        )
        if order is None:
            raise DataError(
                f"{part}: flow has shape H×W×2×T, T×2×H×W or T×H×W×2, found {array.shape}"
            )
        fields = torch.from_numpy(array.transpose(order)[self.pick(array.shape[order[0]])].copy())
        return torch.nn.functional.interpolate(
            fields, self.cached, mode="bilinear", antialias=True
        ).numpy()

    def _computed(self, part: FilePart) -> np.ndarray:
        """Flow from each chosen frame to the next one, (kept, 2, H, W) in [−1, 1]."""
        try:
            import cv2
        except ImportError:
            raise DataError(
                f"{part}: computing flow needs OpenCV; pip install 'equipoise[flow]'"
            ) from None

        def pairs(count: int) -> list[int]:
            return [index for first in self.pick(count - 1) for index in (first, first + 1)]

        draw = partial(
            fit_image, size=self.cached, channels=1, fit=self.fit, resample=self.resample
        )
        grey = [
            frame[0] for frame in read_frames(part, pairs, draw, max(self.minimum, 2), self.white)
        ]
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        fields = [
            search.calc(a, b, np.zeros((*a.shape, 2), np.float32))
            for a, b in zip(grey[::2], grey[1::2], strict=True)
        ]
        flow: np.ndarray = np.clip(np.stack(fields).transpose(0, 3, 1, 2) / self.bound, -1, 1)
        return flow

    def _units(self, block: np.ndarray) -> Tensor:
        return torch.from_numpy(block.astype(np.float32))

    def _mirrored(self, images: Tensor, flips: Sequence[bool]) -> Tensor:
        """Reverse the horizontal flow of mirrored samples: in a mirror, right is left."""
        signs = torch.tensor([-1.0 if flip else 1.0 for flip in flips])
        return torch.stack([images[:, 0] * signs[:, None, None], images[:, 1]], dim=1)
