"""Files are decoded once, again when anything changes, and never left half-written."""

import errno
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from equipoise.data.decoding.cache import cache_folder, decode_all
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.transforms.array import Numbers
from equipoise.data.transforms.audio import Waveform
from equipoise.data.transforms.video import Frames
from equipoise.errors import DataError, RunError


@dataclass(frozen=True)
class Shift:
    """A transform that counts which files it opens."""

    by: float = 0.0
    length: int = 4

    volume: float = 1.0

    opened: ClassVar[list[str]] = []
    late: ClassVar = frozenset({"volume"})
    dtype: ClassVar[str] = "float32"

    @property
    def stored(self):
        return (self.length,)

    def decode(self, part):
        self.opened.append(part.path.name)
        if part.path.read_bytes() == b"":
            raise DataError(f"{part}: nothing in it")
        return np.load(part.path) + self.by


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng()
    Shift.opened.clear()
    paths = [tmp_path / f"{k}.npy" for k in range(5)]
    for path in paths:
        np.save(path, rng.normal(size=4).astype(np.float32))
    return paths


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "below" / "cache"


def names(files):
    return sorted(file.name for file in files)


def decode_paths(name, paths, transform, cache):
    """Decode whole files."""
    parts = [None if path is None else FilePart(path) for path in paths]
    return decode_all(name, parts, transform, cache)


def rows(stored):
    """All rows, as an array."""
    return stored[np.arange(len(stored))]


def test_a_memory_map_of_what_the_files_hold(files, cache):
    stored, bad = decode_paths("m", [*files, None, files[0]], Shift(1.0), cache)
    assert isinstance(stored.store, np.memmap)
    assert not stored.store.flags.writeable
    assert stored.store.dtype == np.float32
    assert stored.shape == (7, 4)
    assert len(stored.store) == 5
    np.testing.assert_array_equal(
        stored[np.array([0, 1, 2, 3, 4, 6])], [np.load(f) + 1 for f in [*files, files[0]]]
    )
    assert stored.places[5] == -1
    assert bad == {}


def test_a_second_call_opens_nothing(files, cache):
    first, _ = decode_paths("m", files, Shift(), cache)
    assert sorted(Shift.opened) == names(files)
    Shift.opened.clear()
    second, _ = decode_paths("other name", files, Shift(), cache)
    assert Shift.opened == []
    np.testing.assert_array_equal(rows(first), rows(second))


def test_only_what_is_new_or_changed_is_decoded(files, cache):
    def opens(paths, transform):
        Shift.opened.clear()
        stored, _ = decode_paths("m", paths, transform, cache)
        np.testing.assert_array_equal(
            rows(stored), [np.load(path) + np.float32(transform.by) for path in paths]
        )
        return sorted(Shift.opened)

    assert opens(files[:3], Shift()) == names(files[:3])
    assert opens(files[::-1], Shift()) == names(files[3:])
    assert opens(files, Shift(2.0)) == names(files)  # another setting
    assert opens(files, Shift(volume=0.5)) == []  # acts behind the cache
    facts = files[0].stat()
    np.save(files[0], np.arange(4, dtype=np.float32))  # as long as before
    os.utime(files[0], ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    assert opens(files, Shift()) == ["0.npy"]
    assert opens(files, Shift()) == []


def test_another_file_of_the_same_length_and_time_is_decoded(files, cache):
    for file in files:
        os.utime(file, ns=(10**18, 10**18))
    first, _ = decode_paths("m", files[:1], Shift(), cache)
    second, _ = decode_paths("m", files[1:2], Shift(), cache)
    assert (rows(first) != rows(second)).any()


def test_bad_files_are_remembered_with_their_reason(files, cache):
    for row in (3, 1):
        files[row].write_bytes(b"")
    stored, bad = decode_paths("m", files, Shift(), cache)
    assert list(bad.items()) == [
        (1, f"{files[1]}: nothing in it"),
        (3, f"{files[3]}: nothing in it"),
    ]
    assert (stored.places == [0, -1, 1, -1, 2]).all()
    Shift.opened.clear()
    assert decode_paths("m", files, Shift(), cache)[1] == bad
    assert Shift.opened == []
    np.save(files[1], np.ones(4, dtype=np.float32))
    assert list(decode_paths("m", files, Shift(), cache)[1]) == [3]


@pytest.mark.parametrize("ending", [".data", ".jsonl"])
@pytest.mark.parametrize("share", [0, 0.3, 0.5, 0.9])
def test_a_damaged_cache_is_mended(files, cache, ending, share):
    whole = rows(decode_paths("m", files, Shift(), cache)[0]).copy()
    (damaged,) = cache.glob(f"*{ending}")
    content = damaged.read_bytes()
    damaged.write_bytes(content[: int(len(content) * share)])
    again, bad = decode_paths("m", files, Shift(), cache)
    np.testing.assert_array_equal(rows(again), whole)
    assert bad == {}
    Shift.opened.clear()
    np.testing.assert_array_equal(rows(decode_paths("m", files, Shift(), cache)[0]), whole)
    assert Shift.opened == []


@pytest.mark.parametrize("row", range(5))
def test_a_changed_byte_is_noticed_when_its_row_is_read(files, cache, row):
    decode_paths("m", files, Shift(), cache)
    (damaged,) = cache.glob("*.data")
    content = bytearray(damaged.read_bytes())
    content[row * 16 + 3] ^= 1
    damaged.write_bytes(content)
    stored, _ = decode_paths("m", files, Shift(), cache)
    others = np.delete(np.arange(5), row)
    np.testing.assert_array_equal(stored[others], [np.load(files[k]) for k in others])
    with pytest.raises(RunError, match=rf"\.data: damaged, row {row} is not .*; delete this file"):
        stored[np.arange(5)]
    damaged.unlink()
    next(iter(cache.glob("*.jsonl"))).unlink()
    np.testing.assert_array_equal(
        rows(decode_paths("m", files, Shift(), cache)[0]), [np.load(file) for file in files]
    )


@pytest.mark.parametrize("line", [b"{}", b"[]", b"null", b"not JSON", b'{"a": [1]}', b"\xff", b""])
def test_an_edited_journal_is_told_in_one_line(files, cache, line):
    decode_paths("m", files, Shift(), cache)
    (journal,) = cache.glob("*.jsonl")
    whole = journal.read_bytes()
    for edited in (line + b"\n" + whole, whole.replace(b": 0", b": 1", 1)):
        journal.write_bytes(edited)
        with pytest.raises(RunError, match=r"\.jsonl line \d: edited or damaged; delete") as told:
            decode_paths("m", files, Shift(), cache)
        assert "\n" not in str(told.value)


@dataclass(frozen=True)
class Stop(Shift):
    """Fails for a reason that is not the file's, as Ctrl+C would."""

    at: str = ""

    def decode(self, part):
        if part.path.name == self.at:
            raise KeyboardInterrupt
        return super().decode(part)


def test_what_was_interrupted_goes_on(files, cache, monkeypatch):
    monkeypatch.setattr("equipoise.data.decoding.cache.CHUNK", 2)
    monkeypatch.setattr("equipoise.data.decoding.cache.AHEAD", 0)
    with pytest.raises(KeyboardInterrupt):
        decode_paths("m", files, Stop(at="3.npy"), cache)
    Shift.opened.clear()
    stored, _ = decode_paths("m", files, Stop(at=""), cache)
    assert names(files) == sorted(Shift.opened)  # `at` is a setting: another store
    np.testing.assert_array_equal(rows(stored), [np.load(file) for file in files])
    monkeypatch.setattr(Stop, "late", frozenset({"at"}))
    with pytest.raises(KeyboardInterrupt):
        decode_paths("m", files, Stop(by=1.0, at="3.npy"), cache)
    Shift.opened.clear()
    stored, _ = decode_paths("m", files, Stop(by=1.0), cache)
    assert sorted(Shift.opened) == ["2.npy", "3.npy", "4.npy"]
    np.testing.assert_array_equal(rows(stored), [np.load(file) + 1 for file in files])


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from equipoise.data.decoding import cache
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.transforms.array import Numbers

class Slow(Numbers):
    def decode(self, part):
        if part.path.stem == sys.argv[3]:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().decode(part)

cache.CHUNK, cache.AHEAD = 3, 0
Slow.__name__ = "Numbers"
parts = [FilePart(path) for path in sorted(Path(sys.argv[1]).glob("*.npy"))]
cache.decode_all("m", parts, Slow(4), Path(sys.argv[2]))
"""


def test_a_killed_process_loses_nothing_that_was_journalled(files, cache, tmp_path):
    for kill in ("2", "4"):
        code = [sys.executable, "-c", KILLED, str(tmp_path), str(cache), kill]
        assert subprocess.run(code, check=False).returncode == -signal.SIGKILL
    stored, bad = decode_paths("m", files, Numbers(4), cache)
    np.testing.assert_array_equal(rows(stored), [np.load(file) for file in files])
    assert bad == {}
    assert len(stored.store) == 5


def test_several_at_once_share_one_result(files, cache):
    found = []

    def work():
        found.append(decode_paths("m", files, Shift(), cache)[0])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for stored in found:
        np.testing.assert_array_equal(rows(stored), [np.load(file) for file in files])
    assert sorted(Shift.opened) == names(files)


def test_folders_of_frames_change_when_a_frame_comes(tmp_path, cache):
    folder = tmp_path / "clip"
    folder.mkdir()

    class Count(Shift):
        def decode(self, part):
            return np.full(4, len(list(part.path.iterdir())), dtype=np.float32)

    assert rows(decode_paths("m", [folder], Count(), cache)[0])[0, 0] == 0
    (folder / "1.png").write_bytes(b"x")
    assert rows(decode_paths("m", [folder], Count(), cache)[0])[0, 0] == 1


class Lengths(Shift):
    """The number of bytes in the frames of a pair of folders."""

    def decode(self, part):
        folders = [side.path for side in part.sides()]
        return np.full(
            4, sum(len(p.read_bytes()) for f in folders for p in f.iterdir()), dtype=np.float32
        )


@pytest.mark.parametrize("changed", ["u", "v"])
def test_folders_of_frames_change_when_a_frame_does(tmp_path, cache, changed):
    for name in "uv":
        (tmp_path / name / "clip").mkdir(parents=True)
        for number in range(3):
            (tmp_path / name / "clip" / f"{number}.png").write_bytes(b"xx")
    cell = tmp_path / "{u,v}" / "clip"
    assert rows(decode_paths("m", [cell], Lengths(), cache)[0])[0, 0] == 12
    (tmp_path / changed / "clip/1.png").write_bytes(b"xxx")  # the folder's own time stays
    assert rows(decode_paths("m", [cell], Lengths(), cache)[0])[0, 0] == 13


def test_a_folder_of_frames_mended_in_place_is_good_again(tmp_path, cache):
    clip = tmp_path / "clip"
    clip.mkdir()
    for number in range(3):
        Image.new("RGB", (8, 8)).save(clip / f"{number}.png")
    whole = (clip / "1.png").read_bytes()
    (clip / "1.png").write_bytes(whole[:30])
    (clip / "dangling.txt").symlink_to("nowhere")
    transform = Frames(size=8, frames=3)
    assert list(decode_paths("m", [clip], transform, cache)[1]) == [0]
    (clip / "1.png").write_bytes(whole)
    assert decode_paths("m", [clip], transform, cache)[1] == {}


def test_what_the_system_refuses_to_open_is_a_problem_of_the_file(files, cache):
    class Guarded(Shift):
        def decode(self, part):
            if part.path == files[1]:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(part))
            return super().decode(part)

    stored, bad = decode_paths("m", files, Guarded(), cache)
    assert bad == {1: f"{files[1]}: cannot be read (Permission denied)"}
    assert (stored.places == [0, -1, 1, 2, 3]).all()
    for transform in (Frames(size=8, frames=1), Waveform(), Numbers(4)):
        (reason,) = decode_paths("m", [files[0].with_name("x" * 300)], transform, cache)[1].values()
        assert "cannot be read (File name too long)" in reason


def test_a_cache_that_cannot_be_written(files, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(RunError, match=r"taken.*cannot use the cache.*--data\.cache"):
        decode_paths("m", files, Shift(), tmp_path / "taken")


def test_where_the_cache_is(monkeypatch):
    monkeypatch.delenv("EQUIPOISE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder(None) == Path.home() / ".cache" / "equipoise"
    monkeypatch.setenv("XDG_CACHE_HOME", "/users/cache")
    assert cache_folder(None) == Path("/users/cache/equipoise")
    monkeypatch.setenv("EQUIPOISE_CACHE", "/scratch/mine")
    assert cache_folder(None) == Path("/scratch/mine")
    assert cache_folder("/mine/too") == Path("/mine/too")


def test_array_files_of_another_length_are_bad(files, cache):
    np.save(files[2], np.ones(7))
    _, bad = decode_paths("m", files, Numbers(4), cache)
    assert list(bad) == [2]
    assert "7 numbers" in bad[2]


def test_a_full_disk_is_said_and_what_was_decoded_stays(files, cache, monkeypatch):
    monkeypatch.setattr("equipoise.data.decoding.cache.CHUNK", 2)
    real, calls = os.fsync, []

    def fsync(number):
        calls.append(number)
        if len(calls) == 3:  # data, journal, data
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(number)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(RunError, match="No space left"):
        decode_paths("m", files, Shift(), cache)
    Shift.opened.clear()
    stored, _ = decode_paths("m", files, Shift(), cache)
    assert sorted(Shift.opened) == names(files[2:])
    np.testing.assert_array_equal(rows(stored), [np.load(file) for file in files])
