"""Small videos that tests write, and how a broken file is refused."""

from fractions import Fraction

import av
import numpy as np
import pytest

from equipoise.errors import DataError

CODECS = {"mp4": ("libx264", "aac"), "avi": ("mpeg4", "libmp3lame"), "flv": ("flv", "libmp3lame")}
CODECS |= {"webm": ("libvpx-vp9", "libopus"), "mkv": ("libx264", "libopus")}


def write_video(
    path, frames=30, size=(64, 48), sound=None, rate=15, codecs=None, late=0.0, options=None
):
    """Frame k is grey level 8·k everywhere, so that it tells its number; `sound`: stereo (2, n) at
    48 kHz, that begins `late` seconds after the first picture; `options`: of the container.
    """
    video, audio = codecs or CODECS[path.suffix[1:]]
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(video, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.bit_rate = 8_000_000  # an encoder that saves bits would miss single grey levels
        track = None
        if sound is not None:
            track = container.add_stream(audio, rate=48000, layout="stereo")
        for number in range(frames):
            pixels = np.full((size[1], size[0], 3), 8 * number % 256, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
        if track is not None:
            mux_sound(container, track, sound, late)
    return path


def mux_sound(container, track, sound, late=0.0):
    frame = av.AudioFrame.from_ndarray(sound.astype(np.float32), format="fltp", layout="stereo")
    frame.rate, frame.time_base, frame.pts = 48000, Fraction(1, 48000), 0
    fifo = av.AudioFifo()
    fifo.write(frame)
    while (part := fifo.read(track.codec_context.frame_size or 1024, partial=True)) is not None:
        part.pts += round(late * 48000)
        container.mux(track.encode(part))
    container.mux(track.encode(None))


def tone(seconds=2.0):
    time = np.arange(int(48000 * seconds)) / 48000
    return np.stack([0.4 * np.sin(2 * np.pi * 440 * time), 0.2 * np.sin(2 * np.pi * 440 * time)])


def refused(read, path, word):
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert word in message
    assert "\n" not in message
