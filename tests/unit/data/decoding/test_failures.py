"""Whatever goes wrong with one file is listed as its problem; what was remarked is kept."""

import json
import warnings

import numpy as np
import pytest
import soundfile
from PIL import Image

from equipoise.data.decoding.cache import decode_all
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media import video
from equipoise.data.media.file import SlowError
from equipoise.data.media.remarks import remark
from equipoise.data.transforms.audio import LogMel
from equipoise.data.transforms.image import Picture
from equipoise.data.transforms.video import Frames
from equipoise.errors import ConfigError, DataError
from videos import write_video


class Broken(Picture):
    """Decodes every file but those of a given name."""

    error: BaseException
    calls = 0

    def decode(self, part):
        type(self).calls += 1
        if part.path.name == "1.png":
            raise self.error
        return super().decode(part)


@pytest.fixture
def parts(tmp_path):
    for number in range(4):
        Image.new("L", (8, 8), 50 * number).save(tmp_path / f"{number}.png")
    return [FilePart(tmp_path / f"{number}.png") for number in range(4)]


class OfALibrary(Exception):
    """An exception that no list of types names."""


@pytest.mark.parametrize(
    ("error", "lasting"),
    [
        (DataError("1.png: bad"), True),
        (OfALibrary("of\nsome library"), False),
        (MemoryError(), False),
        (RecursionError("too deep"), False),
        (UserWarning("a warning turned into an error"), False),
        (SyntaxError("not of this file"), False),
        (OverflowError("int too large"), False),
        (AssertionError(), False),
        (OSError(24, "Too many open files"), False),
    ],
)
def test_one_bad_file_is_its_own_problem(tmp_path, parts, error, lasting):
    """It is remembered only if the file itself is the reason."""
    transform = Broken(size=(8, 8), channels=1)
    Broken.error, Broken.calls = error, 0
    for calls in (4, 4 if lasting else 5):
        stored, bad = decode_all("pic", parts, transform, tmp_path / "cache")
        assert list(bad) == [1]
        assert "1.png" in bad[1]
        assert "\n" not in bad[1]
        assert [int(stored[np.array([k])].mean()) for k in (0, 2, 3)] == [0, 100, 150]
        assert Broken.calls == calls


def test_ctrl_c_is_no_problem_of_a_file(tmp_path, parts):
    Broken.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        decode_all("pic", parts, Broken(size=(8, 8), channels=1), tmp_path / "cache")


def test_an_array_of_another_shape_is_a_problem(tmp_path, parts):
    class Wrong(Picture):
        def decode(self, part):
            return np.zeros((1, 2, 3), np.uint8)

    _, bad = decode_all("pic", parts, Wrong(size=(8, 8), channels=1), tmp_path / "cache")
    assert list(bad) == [0, 1, 2, 3]
    assert "shape (1, 2, 3), (1, 8, 8) is expected" in bad[0]


def test_warnings_of_decoders_are_silent_even_as_errors(tmp_path, parts, recwarn):
    class Warned(Picture):
        def decode(self, part):
            warnings.warn("of a decoder", stacklevel=1)
            return super().decode(part)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, bad = decode_all("pic", parts, Warned(size=(8, 8), channels=1), tmp_path / "cache")
    assert not bad
    assert not recwarn.list


def test_remarks_are_kept_with_the_file(tmp_path, parts):
    class Remarking(Picture):
        def decode(self, part):
            if part.path.name in ("0.png", "2.png"):
                remark("are even")
            if part.path.name == "2.png":
                remark("are two")
                remark("are two")
            return super().decode(part)

    for _ in range(2):
        stored, bad = decode_all("pic", parts, Remarking(size=(8, 8), channels=1), tmp_path / "c")
        assert stored.remarks == {0: "are even", 2: "are even\nare two"}
        assert not bad
    later, _ = decode_all("pic", parts[1:], Remarking(size=(8, 8), channels=1), tmp_path / "c")
    assert later.remarks == {1: "are even\nare two"}


def test_remarks_of_sounds_decoded_by_many_threads(tmp_path):
    rng = np.random.default_rng()
    parts = []
    for number in range(40):
        wave = rng.normal(0, 0.1, 9000)
        other = -wave if number % 5 == 0 else wave
        soundfile.write(tmp_path / f"{number}.wav", np.stack([wave, other], axis=1), 8000)
        parts.append(FilePart(tmp_path / f"{number}.wav"))
    stored, bad = decode_all("sound", parts, LogMel(rate=8000, seconds=1.0), tmp_path / "cache")
    assert not bad
    assert list(stored.remarks) == list(range(0, 40, 5))
    lines = next((tmp_path / "cache").glob("*.jsonl")).read_text().splitlines()
    assert all(isinstance(json.loads(line.partition("\t")[0]), dict) for line in lines)


def test_a_film_that_takes_too_long_is_its_own_problem_and_is_not_remembered(tmp_path, monkeypatch):
    part = FilePart(write_video(tmp_path / "a.mp4"))
    monkeypatch.setattr(video, "LONGEST_READ", 0.0)
    _, failed = decode_all("film", [part], Frames(), tmp_path / "cache")
    assert list(failed) == [0]
    assert "a.mp4" in failed[0]
    assert "no end of reading after 10 s" in failed[0]
    monkeypatch.undo()
    stored, failed = decode_all("film", [part], Frames(), tmp_path / "cache")
    assert not failed
    assert stored[np.array([0])].shape[0] == 1


def test_a_sample_that_no_memory_holds_is_refused_before_it_is_decoded(tmp_path, parts):
    transform = Broken(size=(2**16, 2**17), channels=3)
    Broken.calls = 0
    with pytest.raises(ConfigError, match=r"data\.options\.film: one sample would take .* bytes"):
        decode_all("film", parts, transform, tmp_path / "cache")
    assert Broken.calls == 0
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("waits", [1, 2, 3])
def test_a_file_is_read_again_where_the_machine_stood_still(tmp_path, parts, waits):
    class Stalled(Picture):
        left = waits

        def decode(self, part):
            if part.path.name == "1.png" and Stalled.left:
                Stalled.left -= 1
                raise SlowError("1.png: no end")
            return super().decode(part)

    _, failed = decode_all("picture", parts, Stalled(size=(8, 8), channels=1), tmp_path / "cache")
    assert failed == ({1: "1.png: no end"} if waits == 3 else {})
