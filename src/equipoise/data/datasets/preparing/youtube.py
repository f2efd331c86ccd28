"""Clips cut from videos of YouTube, found by video and first second however their files are named.

Lists and download scripts disagree on `<video>_2`, `<video>_000002` and `<video>_000002_000012`,
and on the container. A video's id has 11 characters, among which `_` and `-` may be anywhere.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

Clip = tuple[str, int]
"""Id of the video, and the second its clip begins at."""

_NAME = re.compile(r"([\w-]{11})_(\d+)(?:_\d+)?")
_ENDINGS = (".mp4", ".webm", ".mkv")


def parse_clip(name: str) -> Clip | None:
    """The clip that a name without ending means; None where it is none."""
    match = _NAME.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def clip_id(clip: Clip) -> str:
    """`<video>_<start, six digits>`."""
    return f"{clip[0]}_{clip[1]:06d}"


def index_clips(folder: Path, root: Path) -> dict[Clip, str]:
    """{clip: path relative to `root`} of every video file below a folder, links followed."""
    found: dict[Clip, str] = {}
    for here, _, names in os.walk(folder, followlinks=True):
        for name in sorted(names):
            stem, ending = os.path.splitext(name)
            clip = parse_clip(stem) if ending.lower() in _ENDINGS else None
            if clip is not None:
                found[clip] = (Path(here) / name).relative_to(root).as_posix()
    return found
