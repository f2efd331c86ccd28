"""Films as a player shows them: upright, and at the times that they tell."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media import read_audio, read_frames
from equipoise.data.transforms.video import Frames
from equipoise.errors import DataError
from videos import tone, write_video

TURNS = {
    (1, 0, 0, 1): None,
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}
MOMENTS = [0, 40, 80, 120, 160, 200, 2000, 2040, 2080, 2120, 4000, 4040]
"""Milliseconds at which frames are first shown; frame k has grey level 20 k."""


def read(cell):
    return read_frames(FilePart.parse(str(cell)), range, np.asarray)


def shown(cell):
    """The numbers of the frames that a cell takes."""
    return [round(float(frame.mean()) / 20) for frame in read(cell)]


def write_at(path, moments, bframes="0"):
    """Write grey frames at given milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": bframes})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, moment in enumerate(moments):
            pixels = np.full((32, 32, 3), 20 * number, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = moment, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("matrix", TURNS)
def test_a_film_is_turned_as_its_display_matrix_says(tmp_path, matrix):
    path = tmp_path / "a.mp4"
    corners = np.zeros((32, 64, 3), np.uint8)
    corners[:16, :32], corners[:16, 32:], corners[16:, :32] = 240, 160, 80
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(corners, format="rgb24")))
        container.mux(stream.encode(None))
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    a, b, c, d = (number << 16 for number in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(content))
    picture = Image.fromarray(corners)
    if TURNS[matrix] is not None:
        picture = picture.transpose(TURNS[matrix])
    for frame in read(path):
        assert frame.shape == np.asarray(picture).shape
        np.testing.assert_allclose(frame, np.asarray(picture), atol=40)
        assert np.abs(frame.astype(int) - np.asarray(picture)).mean() < 4


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("bframes", ["0", "2"])
def test_a_window_in_seconds_takes_the_frames_that_are_shown_in_it(tmp_path, ending, bframes):
    path = write_at(tmp_path / f"a.{ending}", MOMENTS, bframes)
    assert shown(path) == list(range(12))
    assert shown(f"{path}#t=0,0.22") == [0, 1, 2, 3, 4, 5]
    assert shown(f"{path}#t=0.5,1.5") == [5]
    assert shown(f"{path}#t=3.9,4.1") == [9, 10, 11]
    assert shown(f"{path}#t=0.04,0.08") == [1]
    assert shown(f"{path}#t=2.05,2.06") == [7]
    still = Frames(size=8, frames=3, normalise="none").decode(FilePart.parse(f"{path}#t=0.5,1.5"))
    assert [round(float(frame.mean()) / 20) for frame in still] == [5, 5, 5]
    with pytest.raises(DataError, match="has no frames"):
        read(f"{path}#t=7,8")


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_times_are_counted_from_the_first_picture(tmp_path, ending):
    path = write_at(tmp_path / f"a.{ending}", [moment + 1000 for moment in MOMENTS])
    assert shown(f"{path}#t=3.9,4.1") == [9, 10, 11]


@pytest.mark.parametrize("ending", ["mp4", "avi", "flv", "webm", "mkv"])
def test_frames_of_a_constant_rate_are_those_of_their_times(tmp_path, ending):
    path = write_video(tmp_path / f"a.{ending}")
    for first in (0, 5, 14, 23):
        frames = read(f"{path}#t={first / 15:.3f},{(first + 4) / 15:.3f}")
        assert [round(float(f.mean()) / 8) for f in frames] == list(range(first, first + 4))


@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXTINF:1,\na.ts\n", "ffconcat version 1.0\nfile a.ts\n"]
)
def test_playlists_are_not_followed(tmp_path, text):
    write_video(tmp_path / "a.mkv", sound=tone()).rename(tmp_path / "a.ts")
    path = tmp_path / "b.mp4"
    path.write_text(text)
    with pytest.raises(DataError, match="not readable as video"):
        read(path)
    with pytest.raises(DataError, match="not readable as video"):
        read_audio(FilePart(path), 8000)


def test_windows_of_hundreds_of_digits_are_behind_the_end(tmp_path):
    path = write_at(tmp_path / "a.mp4", MOMENTS)
    assert shown(f"{path}#t=0,{'9' * 400}") == list(range(12))
    assert shown(f"{path}#3:{'9' * 5000}") == list(range(3, 12))
    for window in (f"#t={'8' * 399},{'9' * 399}", f"#{'8' * 5000}:{'9' * 5001}"):
        with pytest.raises(DataError) as caught:
            read(f"{path}{window}")
        assert "\n" not in str(caught.value)
