"""Sound from sound files, and from the sound track of videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from equipoise.data.media.file import Window, check_file, reason, split_window
from equipoise.data.media.video import open_container
from equipoise.errors import DataError

SOUND_FILES = (".wav", ".flac", ".ogg", ".oga", ".mp3", ".aiff", ".aif", ".au")
"""What libsndfile reads; anything else is taken for a container with a sound track."""


def read_audio(path: Path, rate: int) -> np.ndarray:
    """Mono float32 samples in [−1, 1] at `rate` Hz; channels are averaged, as librosa and the papers' loaders do.

    Raises:
        DataError: not decodable, without a sound track, or shorter than its header says.
    """
    import soxr

    file, window = split_window(path)
    check_file(file)
    wave, native = _sound_file(file) if file.suffix.lower() in SOUND_FILES else _sound_track(file)
    wave = _cut(path, wave, native, window)
    if len(wave) == 0:
        raise DataError(f"{path}: the sound has no samples")
    if not np.isfinite(wave).all():
        raise DataError(f"{path}: holds NaN or infinite samples")
    resampled: np.ndarray = wave if native == rate else soxr.resample(wave, native, rate)
    return resampled


def _cut(path: Path, wave: np.ndarray, rate: int, window: Window) -> np.ndarray:
    if window.start is None or window.end is None:
        if window.first is not None:
            raise DataError(f"{path}: a window in frames has no meaning for sound; give seconds, #t=start,end")
        return wave
    return wave[round(window.start * rate) : round(window.end * rate)]


def _sound_file(path: Path) -> tuple[np.ndarray, int]:
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            promised, native = file.frames, file.samplerate
            wave = file.read(dtype="float32", always_2d=True).mean(axis=1)
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise DataError(f"{path}: not readable as audio ({reason(error, path)})") from None
    if len(wave) < promised or (len(wave) and _cut_short(path)):
        raise DataError(f"{path}: truncated, the header promises more samples than there are")
    return wave, native


def _cut_short(path: Path) -> bool:
    """True for a RIFF wav whose data chunk is longer than the file: decoders silently give what is left."""
    content = path.read_bytes()
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return False
    place = 12
    while place + 8 <= len(content):
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        if content[place : place + 4] == b"data":
            streamed = size == 0xFFFFFFFF  # written to a pipe: the length was not known
            return not streamed and place + 8 + size > len(content)
        place += 8 + size + size % 2
    return True


def _sound_track(path: Path) -> tuple[np.ndarray, int]:
    """The mean of the channels is taken here: the resampler of FFmpeg mixes stereo down √2 too loud in float."""
    import av

    with open_container(path) as container:
        if not container.streams.audio:
            raise DataError(f"{path}: has no sound track")
        stream = container.streams.audio[0]
        pieces, planar = [], av.AudioResampler(format="fltp")
        try:
            for frame in container.decode(stream):
                pieces += [part.to_ndarray().mean(axis=0) for part in planar.resample(frame)]
            pieces += [part.to_ndarray().mean(axis=0) for part in planar.resample(None)]
        except av.FFmpegError as error:
            raise DataError(f"{path}: the sound track is damaged ({reason(error, path)})") from None
        wave = np.concatenate(pieces or [np.empty(0, np.float32)])
        promised = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        native = int(stream.rate)
    if len(wave) < 0.8 * promised * native:
        found = len(wave) / native
        raise DataError(f"{path}: truncated, {found:.2f} s of sound where the header promises {promised:.2f} s")
    return wave, native
