"""The kinds of modality that a manifest can declare, and the file endings they are known by."""

from __future__ import annotations

from equipoise.errors import unknown

KINDS = ("audio", "image", "video", "flow", "text", "vector", "tabular", "array")
"""Each has its transforms in `transforms/kinds.py`."""

KIND_BY_ENDING = {
    **dict.fromkeys((".wav", ".flac", ".ogg", ".oga", ".mp3", ".aiff", ".m4a", ".opus"), "audio"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"), "image"),
    **dict.fromkeys(
        (".mp4", ".avi", ".flv", ".webm", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv"), "video"
    ),
    ".npy": "vector",
}
"""The kind of a column of files, by the ending of a file, where no kind is declared."""


def check_kind(kind: str) -> str:
    """Return the kind itself.

    Raises:
        ConfigError: unknown kind.
    """
    if kind not in KINDS:
        raise unknown("kind of modality", kind, KINDS)
    return kind
