"""A file is replaced whole or not at all."""

import os
import threading

import pytest

from equipoise.files import replace_file, write_file


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "a file"
    write_file(path, b"old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, fails):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*given):
        raise OSError("no space")

    monkeypatch.setattr(os, fails, fail)
    with pytest.raises(OSError, match="no space"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_never_sees_a_part(tmp_path):
    """Two writers replace a file over and over; a reader meets one whole content or the other."""
    path = tmp_path / "file"
    contents = [bytes([number]) * 200_000 for number in (1, 2)]
    replace_file(path, contents[0])

    def keep_writing(content):
        for _ in range(20):
            replace_file(path, content)

    writers = [threading.Thread(target=keep_writing, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]
