"""Clips cut from videos of YouTube, found by their video and first second.

Lists and download scripts name the same clip `<video>_2`, `<video>_000002` or
`<video>_000002_000012`, and use different containers. The id of a video has 11 characters, any of
which may be `_` or `-`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

Clip = tuple[str, int]
"""(id of the video, second at which the clip begins)."""

_NAME = re.compile(r"([\w-]{11})_(\d+)(?:_\d+)?")
_ENDINGS = (".mp4", ".webm", ".mkv")


def parse_clip(name: str) -> Clip | None:
    """Read the clip from a file's name without its ending; None if it is not a clip's name."""
    match = _NAME.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def clip_id(clip: Clip) -> str:
    """Write the id of a clip: the video, `_` and its start in six digits."""
    return f"{clip[0]}_{clip[1]:06d}"


def index_clips(folder: Path, root: Path) -> dict[Clip, str]:
    """Find every video file below a folder, following links, as {clip: path relative to `root`}."""
    found: dict[Clip, str] = {}
    for here, _, names in os.walk(folder, followlinks=True):
        for name in sorted(names):
            stem, ending = os.path.splitext(name)
            clip = parse_clip(stem) if ending.lower() in _ENDINGS else None
            if clip is not None:
                found[clip] = (Path(here) / name).relative_to(root).as_posix()
    return found
