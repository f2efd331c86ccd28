"""Decoders: files into arrays. Every error names the file and the reason."""

from equipoise.data.media.array import read_array
from equipoise.data.media.audio import read_audio
from equipoise.data.media.file import check_file
from equipoise.data.media.image import read_image
from equipoise.data.media.video import read_frames

__all__ = [
    "check_file",
    "read_array",
    "read_audio",
    "read_frames",
    "read_image",
]
