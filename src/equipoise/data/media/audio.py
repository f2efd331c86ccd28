"""Sound from sound files and from the sound track of videos."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media.file import check_file, check_window, decoding
from equipoise.data.media.remarks import remark
from equipoise.data.media.truncation import (
    PLAYED_FRACTION,
    Packets,
    is_cut,
    is_joined,
    tells_length,
)
from equipoise.data.media.video import open_container
from equipoise.errors import DataError
from equipoise.quiet import muffled

SOUND_FILES = (".wav", ".flac", ".ogg", ".oga", ".mp3", ".aiff", ".aif", ".au")
"""Endings that libsndfile reads; any other file is read as a container with a sound track."""

SEEKABLE = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC")
"""Formats of libsndfile in which it finds a sample exactly."""
SILENT = (b"RIFF", b"RF64", b"fLaC", b"FORM", b".snd", b"OggS")
"""First bytes of files whose decoders print nothing to the terminal; that of MP3 does, and it is
also asked for a file that is called so."""
BLOCK = 1 << 16
"""Samples per channel that are decoded at a time."""

MP3_TAG = 42
"""Bytes of an MP3 frame up to the end of the tag's name: header, checksum, side information, name.
"""
PADDING = 4096
"""Samples that an encoder may append to a sound: two blocks of the longest codec in use."""
CANCELLED = 0.05
"""Energy of the mean of the channels, over their mean energy and times their number, below which
they cancel each other; it is 1 for independent channels."""

MARGIN = 1.0
"""Seconds behind the part that is wanted, which resampling looks at."""
FAR = 1e15
"""A sample behind the end of every sound."""

Span = tuple[float, float]
"""Beginning and end in seconds."""


def read_audio(part: FilePart, rate: int, most: float = math.inf) -> np.ndarray:
    """Read a sound as mono samples.

    Channels are averaged, as librosa and the loaders of the papers do. Where they cancel each other
    (stereo in opposite phase), the first loud one is read instead, which is said in a remark. The
    sound of a video begins with its first picture, like its frames, and ends where its track ends.
    Padding that an encoder put before or behind it is removed if the container declares it. AVI
    declares neither, so its sound begins up to 50 ms late; FLV and Matroska do not declare the end,
    where up to a block of padding stays.

    Only the window, and of it the part that is wanted, is kept in memory. Decoding ends behind the
    window; without one the whole file is decoded, to notice damage, however little is wanted. In
    formats that find a sample exactly (wav, flac, AIFF and AU) decoding also begins with the
    window, in compressed ones (MP3, Ogg, films) at the beginning of the file.

    Args:
        part: a file; its window is in seconds.
        rate: of the samples to return, in Hz.
        most: seconds that are wanted at most, from the beginning on; the rest is cut.

    Returns:
        float32 (samples,) in [−1, 1].

    Raises:
        DataError: not decodable, without a sound track, truncated, or too far from its pictures.
    """
    import soxr

    check_window(part)
    window = part.window
    if window.first is not None:
        raise DataError(
            f"{part}: a window in frames has no meaning for sound; give seconds, #t=start,end"
        )
    check_file(part.path)
    span = (window.start or 0.0, math.inf if window.end is None else window.end)
    mix = _Mix(most + MARGIN)
    native = _read(part.path, span, mix)
    chosen = mix.cancelled()
    if chosen is not None:
        mix = _Mix(most + MARGIN, chosen)
        native = _read(part.path, span, mix)
        remark(
            "have channels in opposite phase, which cancel each other when they are averaged; "
            "one channel is read instead"
        )
    wave = mix.wave()
    if len(wave) == 0:
        behind = " in the window" if window.start is not None else ""
        raise DataError(f"{part}: the sound has no samples{behind}")
    if not mix.finite:
        raise DataError(f"{part}: holds NaN or infinite samples")
    resampled: np.ndarray = wave if native == rate else soxr.resample(wave, native, rate)
    return resampled if most == math.inf else resampled[: math.ceil(most * rate)]


class _Mix:
    """One channel made of several, block by block.

    Args:
        most: seconds that are kept; what comes behind them is only looked at.
        channel: the channel that is kept; None for the mean of all.

    Attributes:
        finite: False if a sample is NaN or infinite.
    """

    def __init__(self, most: float, channel: int | None = None) -> None:
        self.most = most
        self.channel = channel
        self.finite = True
        self.pieces: list[np.ndarray] = []
        self._total = 0  # samples that came, kept or not
        self._room = FAR  # samples that are kept
        self.energy = np.zeros(1)
        self.energy_of_mean = 0.0

    def begin(self, rate: int) -> None:
        """Say the rate of the samples that will be added, in Hz."""
        self._room = min(math.ceil(min(self.most * rate, FAR)), FAR)

    def add(self, block: np.ndarray) -> None:
        """Add samples, (n, channels)."""
        channels = block.shape[1]
        if self.channel is not None:
            self._keep(block[:, min(self.channel, channels - 1)])
            return
        mean = block.mean(axis=1)
        self._keep(mean)
        energy = np.square(block, dtype=np.float64).sum(axis=0)
        if channels > len(self.energy):
            self.energy = np.pad(self.energy, (0, channels - len(self.energy)))
        self.energy[:channels] += energy
        self.energy_of_mean += float(np.square(mean, dtype=np.float64).sum())

    def _keep(self, samples: np.ndarray) -> None:
        self.finite = self.finite and bool(np.isfinite(samples).all())
        room = self._room - self._total
        if room > 0:
            # A copy of what is short, so that the whole block does not stay in memory.
            self.pieces.append(samples if room >= len(samples) else samples[: int(room)].copy())
        self._total += len(samples)

    def put_silence_before(self, samples: int) -> None:
        """Put zeros before the sound."""
        self.pieces.insert(0, np.zeros(int(min(samples, self._room)), dtype=np.float32))

    def cut(self, samples: float) -> None:
        """Take samples away from the end; nothing for a negative number."""
        if samples > 0:
            self._total = max(self._total - int(samples), 0)
            self.pieces = [self.wave()[: self._total]]

    def wave(self) -> np.ndarray:
        """float32 (samples,)."""
        return np.concatenate(self.pieces or [np.empty(0, np.float32)])

    def cancelled(self) -> int | None:
        """The first loud channel where the channels cancel each other, else None."""
        channels = len(self.energy)
        total = float(self.energy.sum())
        if channels == 1 or not 0 < total < math.inf:
            return None
        # energy of the mean / mean energy, times the number of channels
        if self.energy_of_mean * channels**2 >= CANCELLED * total:
            return None
        return int(np.argmax(self.energy >= self.energy.max() / 2))


def _read(path: Path, span: Span, mix: _Mix) -> int:
    """Read the samples inside a span into a mix, and return their rate."""
    if path.suffix.lower() in SOUND_FILES:
        return _sound_file(path, span, mix)
    return _sound_track(path, span, mix)


def _bounds(span: Span, rate: int) -> tuple[int, float]:
    """First sample of a span, and the one behind its last (infinite for the end of the file)."""
    first, last = (seconds * rate for seconds in span)
    return round(min(first, FAR)), round(last) if last < FAR else math.inf


def _sound_file(path: Path, span: Span, mix: _Mix) -> int:
    """Read a file that libsndfile reads."""
    import soundfile

    with path.open("rb") as opened:
        is_silent = opened.read(4) in SILENT and path.suffix.lower() != ".mp3"
    with (
        decoding(path, "not readable as audio"),
        nullcontext() if is_silent else muffled,
        soundfile.SoundFile(path) as file,
    ):
        if not _is_for_ffmpeg(path, file.format):
            native = int(file.samplerate)
            mix.begin(native)
            first, last = _bounds(span, native)
            promised = min(last, file.frames)
            place = _copy(file, first, promised, mix)
            if place < promised or (place and is_cut(path)):
                raise DataError(f"{path}: truncated, it breaks off after {place / native:.2f} s")
            if place >= file.frames and is_joined(path):
                raise DataError(
                    f"{path}: several files joined into one, of which players play the first; "
                    "join the sounds with an audio program instead"
                )
            return native
    return _sound_track(path, span, mix)


def _copy(file: Any, first: int, last: float, mix: _Mix) -> int:
    """Copy samples from `first` to `last` into a mix; return the place behind the last one."""
    place = 0
    if file.format in SEEKABLE and file.seekable():
        place = file.seek(min(first, file.frames))
    while place < last:
        block = file.read(int(min(BLOCK, last - place)), dtype="float32", always_2d=True)
        if not len(block):
            break
        if place + len(block) > first:
            mix.add(block[max(first - place, 0) :])
        place += len(block)
    return place


def _is_for_ffmpeg(path: Path, kind: str) -> bool:
    """True for files of which libsndfile reads too little or too much."""
    if kind == "MP3":
        return not _frames_are_counted(path)
    return kind == "OGG" and is_joined(path)


def _frames_are_counted(path: Path) -> bool:
    """True where the first frame of an MP3 says how many frames there are, and says so rightly.

    Where it does not, libsndfile guesses their number from the sizes of the file and of that frame,
    and promises sound that is not there or misses the end. Where files were joined, it stops behind
    the first of them, whose frames are counted.
    """
    with path.open("rb") as file:
        start = _behind_tag(file.read(10), 0)
        file.seek(start)
        frame = file.read(MP3_TAG + 12)
        if b"VBRI" in frame:
            size = int.from_bytes(frame[46:50], "big")
        else:
            place = max(frame.find(b"Xing"), frame.find(b"Info"))
            if place < 0:
                return False
            flags = int.from_bytes(frame[place + 4 : place + 8], "big")
            if flags & 3 != 3:
                return bool(flags & 1)
            size = int.from_bytes(frame[place + 12 : place + 16], "big")
        file.seek(start + size)
        rest = file.read(10)
        file.seek(_behind_tag(rest, start + size))
        head = file.read(2)
    return not (len(head) == 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0)


def _behind_tag(head: bytes, place: int) -> int:
    """The place behind an ID3 tag that begins with these ten bytes; the same place without one."""
    if head[:3] != b"ID3" or len(head) < 10:
        return place
    sizes = zip(head[6:], (21, 14, 7, 0), strict=True)
    return place + 10 + sum((byte & 0x7F) << shift for byte, shift in sizes)


def _sound_track(path: Path, span: Span, mix: _Mix) -> int:
    """Read the sound track of a container."""
    with open_container(path) as container:
        if not container.streams.audio:
            raise DataError(f"{path}: has no sound track")
        stream = container.streams.audio[0]
        native = int(stream.rate)
        mix.begin(native)
        promised = _seconds(stream, stream.duration)
        late = _late(container, stream)
        length = round(promised * native) if tells_length(container) else 0
        # Sample n of the sound is sample n − shift of the track.
        shift = round(late * native)
        first, last = (bound - shift for bound in _bounds(span, native))
        total = 0
        ended = True
        with closing(_blocks(path, container, stream)) as blocks:
            for block in blocks:
                part = block[max(first - total, 0) : max(int(min(last - total, FAR)), 0)]
                total += len(block)
                if len(part):
                    mix.add(part)
                # Beyond the length in the header, only the end tells what is padding.
                if total >= last and (last <= length or total - length > PADDING):
                    ended = False
                    break
    if ended:
        _check_length(path, total, native, promised, length)
        if abs(shift) > total:
            raise DataError(
                f"{path}: its sound begins {late:.2f} s from its pictures and lasts "
                f"{total / native:.2f} s"
            )
        # A header that differs by more than an encoder's padding is wrong and is ignored.
        if length and total - length <= PADDING:
            mix.cut(min(total, last) - length)
    mix.put_silence_before(int(min(0, last) - min(0, first)))
    return native


def _check_length(path: Path, total: int, rate: int, promised: float, length: int) -> None:
    """Refuse a track of which much less can be decoded than its header says."""
    if total < PLAYED_FRACTION * length:
        raise DataError(
            f"{path}: damaged, {total / rate:.2f} s of sound are left of {promised:.2f} s"
        )


def _blocks(path: Path, container: Any, stream: Any) -> Generator[np.ndarray, None, None]:
    """Decode a stream, block by block of float32 (n, channels).

    The channels are averaged later because FFmpeg's resampler mixes float stereo √2 too loud.
    """
    import av

    packets = Packets(path, container)
    planar = av.AudioResampler(format="fltp")
    native = stream.rate
    with decoding(path, "the sound track is damaged"):
        frames = (frame for packet in packets.of(stream) for frame in _frames(packet))
        for frame in chain(frames, [None]):
            if frame is not None and frame.sample_rate != native:
                raise DataError(
                    f"{path}: its sampling rate changes from {native} to {frame.sample_rate} Hz; "
                    "save it with one rate"
                )
            for part in planar.resample(frame):
                yield part.to_ndarray().T
    if packets.are_cut():
        raise DataError(f"{path}: truncated, it breaks off after {packets.end:.2f} s")


def _frames(packet: Any) -> Sequence[Any]:
    """Decode a packet; the ID3 tag between two MP3 files that were joined holds no sound."""
    import av

    try:
        frames: Sequence[Any] = packet.decode()
    except av.FFmpegError:
        if bytes(packet)[:3] != b"ID3":
            raise
        return ()
    return frames


def _late(container: Any, sound: Any) -> float:
    """Seconds from the first picture to the first sample; 0 without pictures."""
    if not container.streams.video:
        return 0.0
    pictures = container.streams.video[0]
    return _seconds(sound, sound.start_time) - _seconds(pictures, pictures.start_time)


def _seconds(stream: Any, ticks: int | None) -> float:
    """Seconds of a time that a stream tells in ticks; 0 for none."""
    return float(ticks * stream.time_base) if ticks and stream.time_base else 0.0
