"""Sound into a log-mel spectrogram."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from equipoise.data.media import read_audio
from equipoise.errors import invalid


@dataclass(frozen=True)
class LogMel:
    """Logarithm of the mel-filtered power of short windows, (1, mels, frames).

    Attributes:
        rate: sampling rate in Hz to which every file is resampled.
        seconds: length; longer sounds are cut, shorter ones padded with silence at the end.
        mels: triangular filters, evenly spaced on the mel scale 2595 log10(1 + f/700) from 0 to rate/2.
        window: samples of a (Hann) window.
        hop: samples between two windows.
        floor: smallest power, under the logarithm.
    """

    rate: int = 8000
    seconds: float = 1.0
    mels: int = 40
    window: int = 256
    hop: int = 128
    floor: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("rate", "mels", "window", "hop"):
            if not (isinstance(getattr(self, name), int) and getattr(self, name) > 0):
                raise invalid("audio", name, "a positive whole number", getattr(self, name))
        for name in ("seconds", "floor"):
            if not (isinstance(getattr(self, name), int | float) and getattr(self, name) > 0):
                raise invalid("audio", name, "a positive number", getattr(self, name))
        if self.samples < self.window:
            raise invalid("audio", "seconds", f"at least one window ({self.window / self.rate:g} s)", self.seconds)

    @property
    def samples(self) -> int:
        return round(self.rate * self.seconds)

    @property
    def shape(self) -> tuple[int, ...]:
        return (1, self.mels, 1 + (self.samples - self.window) // self.hop)

    def decode(self, path: Path) -> np.ndarray:
        """float32 of `shape`.

        Raises:
            DataError: the file is not readable as audio.
        """
        return self.spectrogram(read_audio(path, self.rate))

    def spectrogram(self, wave: np.ndarray) -> np.ndarray:
        """The transform of mono samples (n,)."""
        padded = np.zeros(self.samples, dtype=np.float32)
        padded[: len(wave)] = wave[: self.samples]
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.window)[:: self.hop]
        power = np.abs(np.fft.rfft(frames * hann(self.window), axis=1)) ** 2
        mel = power @ mel_filters(self.rate, self.window, self.mels).T
        logarithm: np.ndarray = np.log(np.maximum(mel, self.floor)).T[None].astype(np.float32)
        return logarithm


def hann(length: int) -> np.ndarray:
    """Periodic Hann window."""
    window: np.ndarray = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return window


@lru_cache(maxsize=8)
def mel_filters(rate: int, window: int, mels: int) -> np.ndarray:
    """(mels, window/2 + 1) triangles of height 1."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, mels + 2) / 2595) - 1)
    frequency = np.fft.rfftfreq(window, 1 / rate)
    rising = (frequency - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - frequency) / (corners[2:] - corners[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling))
