"""Files are decoded once, again when anything changes, and never left half-written."""

import errno
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from equipoise.data.cache import decode_all, default_folder
from equipoise.data.transforms.vector import Numbers
from equipoise.errors import DataError, RunError


@dataclass(frozen=True)
class Shift:
    """A transform that counts which files it opens."""

    by: float = 0.0
    length: int = 4

    opened: ClassVar[list[str]] = []

    @property
    def shape(self):
        return (self.length,)

    def decode(self, path):
        self.opened.append(path.name)
        if path.read_bytes() == b"":
            raise DataError(f"{path}: nothing in it")
        return np.load(path) + self.by


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


def test_a_memory_map_of_what_the_files_hold(files, cache):
    store, bad = decode_all("m", [*files, None], Shift(1.0), cache)
    assert isinstance(store, np.memmap)
    assert not store.flags.writeable
    assert store.dtype == np.float32
    np.testing.assert_array_equal(store[:5], [np.load(file) + 1 for file in files])
    assert not store[5].any()
    assert bad == {}


def test_a_second_call_opens_nothing(files, cache):
    first, _ = decode_all("m", files, Shift(), cache)
    assert sorted(Shift.opened) == names(files)
    Shift.opened.clear()
    second, _ = decode_all("other name", files, Shift(), cache)
    assert Shift.opened == []
    np.testing.assert_array_equal(first, second)


def test_another_content_time_setting_or_order_is_decoded_anew(files, cache):
    decode_all("m", files, Shift(), cache)

    def opens(paths, transform):
        Shift.opened.clear()
        store, _ = decode_all("m", paths, transform, cache)
        np.testing.assert_array_equal(store, [np.load(path) + np.float32(transform.by) for path in paths])
        return len(Shift.opened)

    assert opens(files, Shift(2.0)) == 5
    assert opens(files[::-1], Shift()) == 5
    facts = files[0].stat()
    np.save(files[0], np.arange(4, dtype=np.float32))  # as long as before
    os.utime(files[0], ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    assert opens(files, Shift()) == 5
    assert opens(files, Shift()) == 0


def test_another_file_of_the_same_length_and_time_is_decoded(files, cache):
    for file in files:
        os.utime(file, ns=(10**18, 10**18))
    first, _ = decode_all("m", files[:1], Shift(), cache)
    second, _ = decode_all("m", files[1:2], Shift(), cache)
    assert (first != second).any()


def test_bad_files_are_remembered_with_their_reason(files, cache):
    for row in (3, 1):
        files[row].write_bytes(b"")
    store, bad = decode_all("m", files, Shift(), cache)
    assert list(bad.items()) == [(1, f"{files[1]}: nothing in it"), (3, f"{files[3]}: nothing in it")]
    assert not store[[1, 3]].any()
    Shift.opened.clear()
    assert decode_all("m", files, Shift(), cache)[1] == bad
    assert Shift.opened == []
    np.save(files[1], np.ones(4, dtype=np.float32))
    assert list(decode_all("m", files, Shift(), cache)[1]) == [3]


@pytest.mark.parametrize("ending", [".npy", ".json"])
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_damaged_cache_is_made_again(files, cache, ending, share):
    whole = np.array(decode_all("m", files, Shift(), cache)[0])
    (damaged,) = cache.glob(f"*{ending}")
    content = damaged.read_bytes()
    damaged.write_bytes(content[: int(len(content) * share)])
    again, bad = decode_all("m", files, Shift(), cache)
    np.testing.assert_array_equal(again, whole)
    assert bad == {}


@dataclass(frozen=True)
class Stop(Shift):
    """Fails for a reason that is not the file's, as Ctrl+C would."""

    at: str = ""

    def decode(self, path):
        if path.name == self.at:
            raise KeyboardInterrupt
        return super().decode(path)


def test_what_was_interrupted_leaves_nothing(files, cache):
    with pytest.raises(KeyboardInterrupt):
        decode_all("m", files, Stop(at="2.npy"), cache)
    assert list(cache.iterdir()) == []


def test_several_at_once_share_one_result(files, cache):
    found = []

    def work():
        found.append(decode_all("m", files, Shift(), cache)[0])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for store in found:
        np.testing.assert_array_equal(store, [np.load(file) for file in files])
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".npy"]


def test_a_cache_that_cannot_be_written(files, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(RunError, match=r"taken.*cannot use the cache.*--data\.cache"):
        decode_all("m", files, Shift(), tmp_path / "taken")


def test_where_the_cache_is(monkeypatch):
    monkeypatch.delenv("EQUIPOISE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert default_folder() == Path.home() / ".cache" / "equipoise"
    monkeypatch.setenv("XDG_CACHE_HOME", "/users/cache")
    assert default_folder() == Path("/users/cache/equipoise")
    monkeypatch.setenv("EQUIPOISE_CACHE", "/scratch/mine")
    assert default_folder() == Path("/scratch/mine")


def test_array_files_of_another_length_are_bad(files, cache):
    np.save(files[2], np.ones(7))
    _, bad = decode_all("m", files, Numbers(4), cache)
    assert list(bad) == [2]
    assert "7 numbers" in bad[2]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this platform cannot reserve space")
def test_a_full_disk_is_said_and_leaves_nothing(files, cache, monkeypatch):
    def fail(code):
        def reserve(*_):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "posix_fallocate", reserve)

    fail(errno.ENOSPC)
    with pytest.raises(RunError, match="No space left"):
        decode_all("m", files, Shift(), cache)
    assert list(cache.iterdir()) == []
    fail(errno.EOPNOTSUPP)
    assert decode_all("m", files, Shift(), cache)[0].shape == (5, 4)
