"""Truncated files are noticed in every container, whole ones never taken for it."""

from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media import read_audio, read_frames
from videos import CODECS, mux_sound, refused, tone, write_video

RNG = np.random.default_rng()
FORMS = {ending: (ending, None) for ending in CODECS}
FORMS |= {
    "faststart": ("mp4", {"movflags": "faststart"}),
    "fragments": ("mp4", {"movflags": "frag_keyframe+empty_moov"}),
}
SOUNDS = {"wav": "WAV", "aiff": "AIFF", "au": "AU", "ogg": "OGG", "flac": "FLAC", "mp3": "MP3"}


def sound(path):
    return read_audio(FilePart(path), 16000)


def frames(path):
    return read_frames(FilePart.parse(str(path)), range, np.asarray)


def truncate(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@pytest.mark.parametrize("form", FORMS)
def test_truncated_videos(tmp_path, form):
    ending, options = FORMS[form]
    path = write_video(tmp_path / f"a.{ending}", frames=45, sound=tone(3.0), options=options)
    assert len(frames(path)) == 45
    assert abs(len(sound(path)) / 16000 - 3) < 0.15
    truncate(path, RNG.uniform(0.4, 0.7))
    word = "truncated" if form != "mp4" else "not readable"  # without its index it does not open
    refused(frames, path, word)
    refused(sound, path, word)


@pytest.mark.parametrize("ending", SOUNDS)
def test_truncated_sound_files(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, RNG.uniform(-0.5, 0.5, (48000, 2)), 16000, format=SOUNDS[ending])
    assert len(sound(path)) == 48000
    truncate(path, RNG.uniform(0.5, 0.95))
    refused(sound, path, "truncated" if ending != "flac" else "")


def write_opus(path):
    with av.open(str(path), "w") as container:
        mux_sound(
            container,
            container.add_stream("libopus", rate=48000, layout="stereo"),
            RNG.uniform(-0.5, 0.5, (2, 48000 * 5)),
        )


def test_truncated_opus(tmp_path):
    write_opus(tmp_path / "a.opus")
    assert abs(len(sound(tmp_path / "a.opus")) - 80000) < 200
    truncate(tmp_path / "a.opus", RNG.uniform(0.5, 0.95))
    refused(sound, tmp_path / "a.opus", "truncated")


def test_a_gap_in_a_sound_that_tells_its_length(tmp_path):
    write_opus(tmp_path / "a.opus")
    content = bytearray((tmp_path / "a.opus").read_bytes())
    quarter = len(content) // 4
    content[2 * quarter : 3 * quarter] = bytes(quarter)
    (tmp_path / "a.opus").write_bytes(bytes(content))
    refused(sound, tmp_path / "a.opus", "damaged")


@pytest.mark.parametrize("ending", CODECS)
@pytest.mark.parametrize(("pictures", "seconds"), [(20, 3.0), (45, 1.0)])
def test_pictures_and_sound_of_other_lengths_are_whole(tmp_path, ending, pictures, seconds):
    path = write_video(tmp_path / f"a.{ending}", frames=pictures, sound=tone(seconds))
    assert len(frames(path)) == pictures
    assert abs(len(sound(path)) / 16000 - seconds) < 0.1


def write_frames(path, places, rate):
    """A picture at each of these multiples of 1 / rate seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(CODECS[path.suffix[1:]][0], rate=rate)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = 1 / Fraction(rate)
        for place in places:
            frame = av.VideoFrame.from_ndarray(
                RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8), format="rgb24"
            )
            frame.pts, frame.time_base = int(place), 1 / Fraction(rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("ending", CODECS)
def test_a_frame_rate_that_varies_is_whole(tmp_path, ending):
    places = [*range(30), *range(30, 150, int(RNG.integers(4, 7)))]
    write_frames(tmp_path / f"a.{ending}", places, 30)
    assert len(frames(tmp_path / f"a.{ending}")) == len(places)


@pytest.mark.parametrize("ending", CODECS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_slow_frames_are_whole(tmp_path, ending, count):
    write_frames(tmp_path / f"a.{ending}", range(count), Fraction(1, 2))
    assert len(frames(tmp_path / f"a.{ending}")) == count


def test_a_window_before_the_place_where_a_file_breaks_off(tmp_path):
    path = tmp_path / "a.mkv"
    write_frames(path, range(60), 15)
    truncate(path, 0.5)
    assert len(frames(path.with_name("a.mkv#3:9"))) == 6
    assert len(frames(path.with_name("a.mkv#t=0.2,0.8"))) == 9
    refused(frames, path.with_name("a.mkv#10:59"), "truncated")
    refused(frames, path.with_name("a.mkv#t=1.0,3.9"), "truncated")


def test_a_length_unknown_when_an_au_was_written(tmp_path):
    path = tmp_path / "a.au"
    soundfile.write(path, RNG.uniform(-0.5, 0.5, 1000), 8000)
    content = bytearray(path.read_bytes())
    content[8:12] = b"\xff" * 4
    path.write_bytes(bytes(content))
    assert len(read_audio(FilePart(path), 8000)) == 1000


def test_a_pad_byte_that_is_counted_and_left_out(tmp_path):
    path = tmp_path / "a.aiff"
    soundfile.write(path, RNG.uniform(-0.5, 0.5, 1000), 8000)
    content = bytearray(path.read_bytes())
    content[4:8] = (int.from_bytes(content[4:8], "big") + 1).to_bytes(4, "big")
    path.write_bytes(bytes(content))
    assert len(read_audio(FilePart(path), 8000)) == 1000


def test_what_follows_the_boxes_of_a_video_is_not_missed(tmp_path):
    path = write_video(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes() + RNG.bytes(100))
    assert len(frames(path)) == 30
