"""Sound into spectrograms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from equipoise.checks import choice, flag, positive, require, whole
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media import read_audio
from equipoise.data.transforms.base import Draws, statistics
from equipoise.data.transforms.scale import Scale
from equipoise.errors import invalid

NORMALISATIONS = {
    "cav-mae": ([-5.081], [4.4849]),  # YuanGongND/cav-mae
    "ast": ([-4.2677393], [2 * 4.5689974]),  # YuanGongND/ast
    "ogm-ge": ([-4.503877], [2 * 5.141276]),  # OGM-GE's KineticSound loader
}
DEVIATION_FLOOR = 1e-6  # under a clip's own standard deviation: digital silence has none


@dataclass(frozen=True)
class Sound(ABC):
    """What every transform of sound has.

    Attributes:
        rate: sampling rate in Hz to which every file is resampled (soxr, high quality).
        seconds: length; longer sounds are cut at the end.
        short: what a shorter sound gets: pad (silence at the end) or tile (itself again).
        normalise: none, fit (to the training rows), clip (each by its own mean and deviation),
            cav-mae, ast, ogm-ge, or [mean, deviation].
        mask_bands: hide up to this many neighbouring frequency bands of a training sample, at
            random (SpecAugment).
        mask_frames: the same of time frames.
    """

    rate: int = 16000
    seconds: float = 3.0
    short: str = "pad"
    normalise: Any = "none"
    mask_bands: int = 0
    mask_frames: int = 0
    late: ClassVar = frozenset({"normalise", "mask_bands", "mask_frames"})
    axis: ClassVar[int] = 0
    padded: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(
            "audio",
            whole("rate", self.rate, 1),
            positive("seconds", self.seconds),
            choice("short", self.short, ("pad", "tile")),
            whole("mask_bands", self.mask_bands, 0),
            whole("mask_frames", self.mask_frames, 0),
        )
        if self.normalise != "clip":
            statistics("audio", self.normalise, NORMALISATIONS)

    @property
    def samples(self) -> int:
        return round(self.rate * self.seconds)

    @property
    def dtype(self) -> str:
        return "float32"

    @property
    def random(self) -> bool:
        return bool(self.mask_bands or self.mask_frames)

    @property
    @abstractmethod
    def stored(self) -> tuple[int, ...]:
        """(1, bands, frames)."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stored

    def decode(self, part: FilePart) -> np.ndarray:
        """float32 of `shape`.

        Raises:
            DataError: the file is not readable as audio.
        """
        return self.spectrogram(self.fitted(read_audio(part, self.rate)))

    def fitted(self, wave: np.ndarray) -> np.ndarray:
        """(samples,): cut, or made longer."""
        if self.short == "tile" and len(wave):
            return np.resize(wave, self.samples)
        fitted = np.zeros(self.samples, dtype=np.float32)
        fitted[: len(wave)] = wave[: self.samples]
        return fitted

    @abstractmethod
    def spectrogram(self, wave: np.ndarray) -> np.ndarray:
        """The transform of mono samples (samples,)."""

    def finish(self, block: np.ndarray, draws: Draws | None) -> np.ndarray:
        """Normalise (B, …), then mask: what is masked has the mean."""
        known = (
            None
            if self.normalise == "clip"
            else statistics("audio", self.normalise, NORMALISATIONS)
        )
        if self.normalise == "clip":
            axes = tuple(range(1, block.ndim))
            deviation = np.maximum(block.std(axes, keepdims=True), DEVIATION_FLOOR)
            block = (block - block.mean(axes, keepdims=True)) / deviation
        elif known is not None:
            block = Scale(*known).apply(block)
        return self._mask(block, draws) if draws and self.random else block

    def _mask(self, block: np.ndarray, draws: Draws) -> np.ndarray:
        masked = block.copy()
        for sample, rng in zip(masked, draws, strict=True):
            mean = sample.mean()
            sample[:, _stretch(rng, self.mask_bands, sample.shape[-2])] = mean
            sample[..., _stretch(rng, self.mask_frames, sample.shape[-1])] = mean
        return masked


def _stretch(rng: np.random.Generator, longest: int, size: int) -> slice:
    length = min(int(rng.integers(0, longest + 1)), size)
    start = int(rng.integers(0, size - length + 1))
    return slice(start, start + length)


@dataclass(frozen=True)
class LogMel(Sound):
    """Logarithm of the mel-filtered power of short windows, (1, mels, frames); small and quick.

    Attributes:
        mels: triangular filters, evenly spaced on the mel scale 2595 log10(1 + f/700) from 0 to
            rate/2.
        window: samples of a (Hann) window.
        hop: samples between two windows.
        floor: smallest power, under the logarithm.
    """

    rate: int = 8000
    seconds: float = 1.0
    normalise: Any = "fit"
    mels: int = 40
    window: int = 256
    hop: int = 128
    floor: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            "audio",
            whole("mels", self.mels, 1),
            whole("window", self.window, 1),
            whole("hop", self.hop, 1),
            positive("floor", self.floor),
        )
        _check_window(self, self.window)

    @property
    def stored(self) -> tuple[int, ...]:
        return (1, self.mels, 1 + (self.samples - self.window) // self.hop)

    def spectrogram(self, wave: np.ndarray) -> np.ndarray:
        """float32 (1, mels, frames)."""
        frames = windows(wave, self.window, self.hop)
        power = np.abs(np.fft.rfft(frames * hann(self.window), axis=1)) ** 2
        mel = power @ mel_filters(self.rate, self.window, self.mels).T
        logarithm: np.ndarray = np.log(np.maximum(mel, self.floor)).T[None].astype(np.float32)
        return logarithm


@dataclass(frozen=True)
class LogStft(Sound):
    """Logarithm of the magnitude of the short-time Fourier transform, (1, window/2 + 1, frames).

    The settings of the papers: 16 kHz, windows of 512 with an overlap of 353, hence 257×299 for
    three seconds and 257×1004 for ten.

    Attributes:
        window: samples of a (Hann) window.
        hop: samples between two windows.
        centre: put windows around their time, over silence beyond both ends.
        floor: added to the magnitude, under the logarithm.
    """

    window: int = 512
    hop: int = 159
    centre: bool = False
    floor: float = 1e-7

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            "audio",
            whole("window", self.window, 1),
            whole("hop", self.hop, 1),
            flag("centre", self.centre),
            positive("floor", self.floor),
        )
        _check_window(self, self.window)

    @property
    def stored(self) -> tuple[int, ...]:
        length = self.samples + 2 * (self.window // 2) * self.centre
        return (1, self.window // 2 + 1, 1 + (length - self.window) // self.hop)

    def spectrogram(self, wave: np.ndarray) -> np.ndarray:
        """float32 (1, window/2 + 1, frames)."""
        if self.centre:
            wave = np.pad(wave, self.window // 2)
        magnitude = np.abs(
            np.fft.rfft(windows(wave, self.window, self.hop) * hann(self.window), axis=1)
        )
        logarithm: np.ndarray = np.log(magnitude + self.floor).T[None].astype(np.float32)
        return logarithm


@dataclass(frozen=True)
class LogPower(LogStft):
    """Logarithm of the power spectral density as scipy.signal.spectrogram gives it: VGGSound's and
    OGM-GE's release.

    Each window loses its mean, has a Tukey(0.25) shape, and is scaled to a one-sided density.
    """

    normalise: Any = "clip"

    def spectrogram(self, wave: np.ndarray) -> np.ndarray:
        """float32 (1, window/2 + 1, frames)."""
        from scipy.signal import spectrogram

        if self.centre:
            wave = np.pad(wave, self.window // 2)
        overlap = self.window - self.hop
        power = spectrogram(wave, self.rate, ("tukey", 0.25), self.window, overlap)[2]
        logarithm: np.ndarray = np.log(power + self.floor)[None].astype(np.float32)
        return logarithm


@dataclass(frozen=True)
class Fbank(Sound):
    """Kaldi's log mel filter bank without dither, (1, mels, frames): MLA, CAV-MAE and AST.

    Windows of 25 ms every 10 ms, each without its mean, pre-emphasis 0.97, symmetric Hann window,
    power spectrum of the next power of two, natural logarithm. 1,024 frames, as AST and CAV-MAE
    read, take 10.255 s: a clip of ten seconds has 998.

    Attributes:
        mels: triangular filters from 20 Hz to rate/2, triangular on Kaldi's mel scale.
        frames: cut to this many, or padded with zeros at the end; `seconds` must be long enough for
            them.
    """

    seconds: float = 10.255
    mels: int = 128
    frames: int = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        require("audio", whole("mels", self.mels, 1), whole("frames", self.frames, 1))
        _check_window(self, self.window)

    @property
    def window(self) -> int:
        return int(0.025 * self.rate)

    @property
    def stored(self) -> tuple[int, ...]:
        return (1, self.mels, self.frames)

    def fitted(self, wave: np.ndarray) -> np.ndarray:
        """A padded sound ends where it ends: zeros stand for its missing frames, not the logarithm of silence."""
        return super().fitted(wave) if self.short == "tile" else wave[: self.samples]

    def spectrogram(self, wave: np.ndarray) -> np.ndarray:
        """float32 (1, mels, frames)."""
        bank = np.zeros(self.stored, dtype=np.float32)
        if len(wave) >= self.window:
            found = self._bank(wave)[: self.frames]
            bank[0, :, : len(found)] = found.T
        return bank

    def _bank(self, wave: np.ndarray) -> np.ndarray:
        frames = windows(wave.astype(np.float64), self.window, int(0.010 * self.rate))
        frames = frames - frames.mean(axis=1, keepdims=True)
        frames = frames - 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
        length = 1 << (self.window - 1).bit_length()
        shape = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window) / (self.window - 1))
        power = np.abs(np.fft.rfft(frames * shape, length, axis=1)) ** 2
        floor = np.finfo(np.float32).eps
        bank: np.ndarray = np.log(
            np.maximum(power @ kaldi_filters(self.rate, length, self.mels).T, floor)
        )
        return bank


@dataclass(frozen=True)
class Waveform(Sound):
    """The samples themselves, (samples,), for networks that read sound (wav2vec 2.0 and its kin)."""

    seconds: float = 5.0
    normalise: Any = "clip"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mask_bands or self.mask_frames:
            raise invalid("audio", "masks", "0 for a waveform", (self.mask_bands, self.mask_frames))
        if self.normalise == "fit":
            raise invalid("audio", "normalise", "none or clip for a waveform", self.normalise)

    @property
    def stored(self) -> tuple[int, ...]:
        return (self.samples,)

    def spectrogram(self, wave: np.ndarray) -> np.ndarray:
        """The samples."""
        return wave


def _check_window(settings: Sound, window: int) -> None:
    if settings.samples < window:
        raise invalid(
            "audio",
            "seconds",
            f"at least one window ({window / settings.rate:g} s)",
            settings.seconds,
        )


def windows(wave: np.ndarray, length: int, hop: int) -> np.ndarray:
    """(frames, length), a view."""
    return np.lib.stride_tricks.sliding_window_view(wave, length)[::hop]


def hann(length: int) -> np.ndarray:
    """Periodic Hann window."""
    window: np.ndarray = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return window


@lru_cache(maxsize=8)
def mel_filters(rate: int, window: int, mels: int) -> np.ndarray:
    """(mels, window/2 + 1) triangles of height 1."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, mels + 2) / 2595) - 1)
    return _triangles(np.fft.rfftfreq(window, 1 / rate), corners)


@lru_cache(maxsize=8)
def kaldi_filters(rate: int, window: int, mels: int) -> np.ndarray:
    """(mels, window/2 + 1) triangles on the mel scale 1127 ln(1 + f/700), from 20 Hz to rate/2."""
    low, top = (1127 * np.log(1 + f / 700) for f in (20.0, rate / 2))
    frequency = 1127 * np.log(1 + np.fft.rfftfreq(window, 1 / rate) / 700)
    return _triangles(frequency, np.linspace(low, top, mels + 2))


def _triangles(frequency: np.ndarray, corners: Sequence[float] | np.ndarray) -> np.ndarray:
    corners = np.asarray(corners)
    rising = (frequency - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - frequency) / (corners[2:] - corners[1:-1])[:, None]
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))
