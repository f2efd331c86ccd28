"""Transforms of sound: spectrograms of several kinds, and the waveform itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from equipoise.checks import choice, flag, integer, positive, require
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
"""{name: (means, standard deviations)}"""
DEVIATION_FLOOR = 1e-6
"""Smallest standard deviation that a clip is divided by, for digital silence."""


@dataclass(frozen=True)
class Sound(ABC):
    """The base of all transforms of sound.

    Attributes:
        rate: sampling rate in Hz to which every file is resampled (soxr, high quality).
        seconds: length; a longer sound is cut at its end.
        short: how a shorter sound is filled: pad (silence at its end) or tile (repeated).
        normalise: none, fit (by the mean and standard deviation of the training rows), clip (each
            sound by its own), cav-mae, ast, ogm-ge, or [mean, standard deviation].
        mask_bands: hide up to this many neighbouring frequency bands of a training sample, at
            random (SpecAugment, Park et al., Interspeech 2019).
        mask_frames: hide up to this many neighbouring time frames in the same way.
    """

    follows: ClassVar[frozenset[str]] = frozenset({"rate", "seconds"})

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
            integer("rate", self.rate, 1),
            positive("seconds", self.seconds),
            choice("short", self.short, ("pad", "tile")),
            integer("mask_bands", self.mask_bands, 0),
            integer("mask_frames", self.mask_frames, 0),
        )
        if self.normalise != "clip":
            statistics("audio", self.normalise, NORMALISATIONS)

    @property
    def samples(self) -> int:
        """Number of samples of every sound."""
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
        return self.spectrogram(self.fitted(read_audio(part, self.rate, self.seconds)))

    def fitted(self, wave: np.ndarray) -> np.ndarray:
        """Cut a sound, or make it longer: (any,) → (samples,)."""
        if self.short == "tile" and len(wave):
            return np.resize(wave, self.samples)
        fitted = np.zeros(self.samples, dtype=np.float32)
        fitted[: len(wave)] = wave[: self.samples]
        return fitted

    @abstractmethod
    def spectrogram(self, wave: np.ndarray) -> np.ndarray:
        """Transform mono samples, (samples,) → `stored`."""

    def finish(self, block: np.ndarray, draws: Draws | None) -> np.ndarray:
        """Normalise (B, …), then mask at random where there are draws."""
        if self.normalise == "clip":
            axes = tuple(range(1, block.ndim))
            deviation = np.maximum(block.std(axes, keepdims=True), DEVIATION_FLOOR)
            block = (block - block.mean(axes, keepdims=True)) / deviation
        else:
            known = statistics("audio", self.normalise, NORMALISATIONS)
            if known is not None:
                block = Scale(*known).apply(block)
        return self._mask(block, draws) if draws and self.random else block

    def _mask(self, block: np.ndarray, draws: Draws) -> np.ndarray:
        """Set a stretch of bands and a stretch of frames of every sample to the sample's mean."""
        masked = block.copy()
        for sample, rng in zip(masked, draws, strict=True):
            mean = sample.mean()
            sample[:, _stretch(rng, self.mask_bands, sample.shape[-2])] = mean
            sample[..., _stretch(rng, self.mask_frames, sample.shape[-1])] = mean
        return masked


def _stretch(rng: np.random.Generator, longest: int, size: int) -> slice:
    """Draw a stretch of an axis, of length 0 to `longest`."""
    length = min(int(rng.integers(0, longest + 1)), size)
    start = int(rng.integers(0, size - length + 1))
    return slice(start, start + length)


@dataclass(frozen=True)
class LogMel(Sound):
    """Logarithm of the mel-filtered power of short windows, (1, mels, frames); small and fast.

    Attributes:
        mels: number of triangular filters, evenly spaced on the mel scale 2595 log10(1 + f/700)
            from 0 to rate/2.
        window: samples in a (Hann) window.
        hop: samples from one window to the next.
        centre: centre each window at its time, over silence beyond both ends.
        floor: smallest power of which the logarithm is taken.
    """

    follows: ClassVar = Sound.follows | {"mels", "window", "hop", "centre"}
    rate: int = 8000
    seconds: float = 1.0
    normalise: Any = "fit"
    mels: int = 40
    window: int = 256
    hop: int = 128
    centre: bool = False
    floor: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            "audio",
            integer("mels", self.mels, 1),
            integer("window", self.window, 1),
            integer("hop", self.hop, 1),
            flag("centre", self.centre),
            positive("floor", self.floor),
        )
        _check_window(self, self.window)

    @property
    def stored(self) -> tuple[int, ...]:
        length = self.samples + 2 * (self.window // 2) * self.centre
        return (1, self.mels, 1 + (length - self.window) // self.hop)

    def spectrogram(self, wave: np.ndarray) -> np.ndarray:
        """float32 (1, mels, frames)."""
        if self.centre:
            wave = np.pad(wave, self.window // 2)
        frames = windows(wave, self.window, self.hop)
        power = np.abs(np.fft.rfft(frames * hann(self.window), axis=1)) ** 2
        mel = power @ mel_filters(self.rate, self.window, self.mels).T
        logarithm: np.ndarray = np.log(np.maximum(mel, self.floor)).T[None].astype(np.float32)
        return logarithm


@dataclass(frozen=True)
class LogStft(Sound):
    """Logarithm of the magnitude of the short-time Fourier transform, (1, window/2 + 1, frames).

    The defaults are the settings of the papers: 16 kHz and windows of 512 samples with an overlap
    of 353, hence 257×299 for three seconds and 257×1004 for ten.

    Attributes:
        window: samples in a (Hann) window.
        hop: samples from one window to the next.
        centre: centre each window at its time, over silence beyond both ends.
        floor: added to the magnitude before the logarithm is taken.
    """

    window: int = 512
    hop: int = 159
    centre: bool = False
    floor: float = 1e-7

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            "audio",
            integer("window", self.window, 1),
            integer("hop", self.hop, 1),
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
    """Logarithm of the power spectral density of scipy.signal.spectrogram.

    The code of VGGSound and of OGM-GE uses it. The mean of each window is removed, the window has a
    Tukey(0.25) shape, and its power is scaled to a one-sided density.
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

    Windows of 25 ms every 10 ms, each without its mean; pre-emphasis 0.97, a symmetric Hann window,
    the power spectrum of the next power of two, the natural logarithm. The 1,024 frames that AST
    and CAV-MAE read take 10.255 s; a clip of ten seconds has 998.

    Attributes:
        mels: number of filters from 20 Hz to rate/2, triangular on Kaldi's mel scale.
        frames: number of frames; more are cut, fewer are padded with zeros at the end. `seconds`
            must be long enough for them.
    """

    follows: ClassVar[frozenset[str]] = frozenset()  # the frames are those of the networks
    seconds: float = 10.255
    mels: int = 128
    frames: int = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        require("audio", integer("mels", self.mels, 1), integer("frames", self.frames, 1))
        _check_window(self, self.window)

    @property
    def window(self) -> int:
        return int(0.025 * self.rate)

    @property
    def stored(self) -> tuple[int, ...]:
        return (1, self.mels, self.frames)

    def fitted(self, wave: np.ndarray) -> np.ndarray:
        """Cut a sound, or tile it. A padded sound keeps its length.

        Zeros stand for the missing frames of a padded sound, not the logarithm of silence.
        """
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
    """The samples themselves, (samples,), for networks such as wav2vec 2.0."""

    follows: ClassVar = frozenset({"seconds"})  # the networks are trained at 16 kHz
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
        """Return the samples as they are."""
        return wave


def _check_window(settings: Sound, window: int) -> None:
    """Refuse sounds that are shorter than a window."""
    if settings.samples < window:
        raise invalid(
            "audio",
            "seconds",
            f"at least one window ({window / settings.rate:g} s)",
            settings.seconds,
        )


def windows(wave: np.ndarray, length: int, hop: int) -> np.ndarray:
    """View a sound as windows, (samples,) → (frames, length)."""
    return np.lib.stride_tricks.sliding_window_view(wave, length)[::hop]


def hann(length: int) -> np.ndarray:
    """Compute the periodic Hann window."""
    window: np.ndarray = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return window


@lru_cache(maxsize=8)
def mel_filters(rate: int, window: int, mels: int) -> np.ndarray:
    """Compute triangular filters of height 1, (mels, window/2 + 1).

    They are evenly spaced on the mel scale 2595 log10(1 + f/700), from 0 to rate/2.
    """
    top = 2595 * np.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, mels + 2) / 2595) - 1)
    return _triangles(np.fft.rfftfreq(window, 1 / rate), corners)


@lru_cache(maxsize=8)
def kaldi_filters(rate: int, window: int, mels: int) -> np.ndarray:
    """Compute Kaldi's filters, (mels, window/2 + 1).

    They are triangles on the mel scale 1127 ln(1 + f/700), from 20 Hz to rate/2.
    """
    low, top = (1127 * np.log(1 + f / 700) for f in (20.0, rate / 2))
    frequency = 1127 * np.log(1 + np.fft.rfftfreq(window, 1 / rate) / 700)
    return _triangles(frequency, np.linspace(low, top, mels + 2))


def _triangles(frequency: np.ndarray, corners: Sequence[float] | np.ndarray) -> np.ndarray:
    corners = np.asarray(corners)
    rising = (frequency - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - frequency) / (corners[2:] - corners[1:-1])[:, None]
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))
