"""Sound from sound files and from the sound track of videos."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media.file import check_file, check_window, reason
from equipoise.data.media.truncation import (
    PLAYED_FRACTION,
    Packets,
    is_cut,
    tells_length,
)
from equipoise.data.media.video import open_container
from equipoise.errors import DataError

SOUND_FILES = (".wav", ".flac", ".ogg", ".oga", ".mp3", ".aiff", ".aif", ".au")
"""Endings that libsndfile reads; any other file is read as a container with a sound track."""

MP3_TAG = 42
"""Bytes of an MP3 frame up to the end of the tag's name: header, checksum, side information, name.
"""
PADDING = 4096
"""Samples that an encoder may append to a sound: two blocks of the longest codec in use."""


def read_audio(part: FilePart, rate: int) -> np.ndarray:
    """Read a sound as mono samples.

    Channels are averaged, as librosa and the loaders of the papers do. The sound of a video begins
    with its first picture, like its frames, and ends where its track ends. Padding that an encoder
    put before or behind it is removed if the container declares it. AVI declares neither, so its
    sound begins up to 50 ms late; FLV and Matroska do not declare the end, where up to a block of
    padding stays.

    Args:
        part: a file; its window is in seconds.
        rate: of the samples to return, in Hz.

    Returns:
        float32 (samples,) in [−1, 1].

    Raises:
        DataError: not decodable, without a sound track, truncated, or too far from its pictures.
    """
    import soxr

    check_window(part)
    file = part.path
    check_file(file)
    wave, native = _sound_file(file) if file.suffix.lower() in SOUND_FILES else _sound_track(file)
    wave = _cut(part, wave, native)
    if len(wave) == 0:
        raise DataError(f"{part}: the sound has no samples")
    if not np.isfinite(wave).all():
        raise DataError(f"{part}: holds NaN or infinite samples")
    resampled: np.ndarray = wave if native == rate else soxr.resample(wave, native, rate)
    return resampled


def _cut(part: FilePart, wave: np.ndarray, rate: int) -> np.ndarray:
    """The samples inside the window; all of them if there is none."""
    window = part.window
    if window.start is None or window.end is None:
        if window.first is not None:
            raise DataError(
                f"{part}: a window in frames has no meaning for sound; give seconds, #t=start,end"
            )
        return wave
    return wave[round(window.start * rate) : round(window.end * rate)]


def _sound_file(path: Path) -> tuple[np.ndarray, int]:
    """Samples and rate of a file that libsndfile reads."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            if file.format == "MP3" and not _frames_are_counted(path):
                return _sound_track(path)
            promised = file.frames
            native = file.samplerate
            wave = file.read(dtype="float32", always_2d=True).mean(axis=1)
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise DataError(f"{path}: not readable as audio ({reason(error, path)})") from None
    if len(wave) < promised or (len(wave) and is_cut(path)):
        raise DataError(f"{path}: truncated, it breaks off after {len(wave) / native:.2f} s")
    return wave, native


def _frames_are_counted(path: Path) -> bool:
    """True where the first frame of an MP3 says how many frames there are.

    Where it does not, libsndfile guesses their number from the sizes of the file and of that frame,
    and promises sound that is not there or misses the end.
    """
    with path.open("rb") as file:
        head = file.read(10)
        tags = 10 + sum(
            (byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)
        )
        file.seek(tags if head[:3] == b"ID3" else 0)
        frame = file.read(MP3_TAG)
    return any(name in frame for name in (b"Xing", b"Info", b"VBRI"))


def _sound_track(path: Path) -> tuple[np.ndarray, int]:
    """Samples and rate of the sound track of a container."""
    with open_container(path) as container:
        if not container.streams.audio:
            raise DataError(f"{path}: has no sound track")
        stream = container.streams.audio[0]
        wave = _decoded(path, container, stream)
        native = int(stream.rate)
        promised = _seconds(stream, stream.duration)
        late = _late(container, stream)
        length = round(promised * native) if tells_length(container) else 0
    if len(wave) < PLAYED_FRACTION * length:
        raise DataError(
            f"{path}: damaged, {len(wave) / native:.2f} s of sound are left of {promised:.2f} s"
        )
    # A header that differs by more than an encoder's padding is wrong and is ignored.
    if length and len(wave) - length <= PADDING:
        wave = wave[:length]
    shift = round(late * native)
    if abs(shift) > len(wave):
        raise DataError(
            f"{path}: its sound begins {late:.2f} s from its pictures and lasts "
            f"{len(wave) / native:.2f} s"
        )
    return wave[-shift:] if shift < 0 else np.pad(wave, (shift, 0)), native


def _decoded(path: Path, container: Any, stream: Any) -> np.ndarray:
    """Decode a stream and average its channels, (samples,).

    The channels are averaged here because FFmpeg's resampler mixes float stereo √2 too loud.
    """
    import av

    packets = Packets(path, container)
    pieces = []
    planar = av.AudioResampler(format="fltp")
    try:
        frames = (frame for packet in packets.of(stream) for frame in packet.decode())
        for frame in chain(frames, [None]):
            pieces += [part.to_ndarray().mean(axis=0) for part in planar.resample(frame)]
    except av.FFmpegError as error:
        raise DataError(f"{path}: the sound track is damaged ({reason(error, path)})") from None
    if packets.are_cut():
        raise DataError(f"{path}: truncated, it breaks off after {packets.end:.2f} s")
    return np.concatenate(pieces or [np.empty(0, np.float32)])


def _late(container: Any, sound: Any) -> float:
    """Seconds from the first picture to the first sample; 0 without pictures."""
    if not container.streams.video:
        return 0.0
    pictures = container.streams.video[0]
    return _seconds(sound, sound.start_time) - _seconds(pictures, pictures.start_time)


def _seconds(stream: Any, ticks: int | None) -> float:
    """Seconds of a time that a stream tells in ticks; 0 for none."""
    return float(ticks * stream.time_base) if ticks and stream.time_base else 0.0
