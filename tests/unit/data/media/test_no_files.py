"""What is no file of its kind: one line, without waiting, running or unpickling anything."""

import os
import pickle
import socket
import struct

import numpy as np
import pytest

from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media import read_array, read_audio, read_frames, read_image
from equipoise.errors import DataError

READERS = {
    "a.wav": lambda path: read_audio(FilePart(path), 8000),
    "a.mp4": lambda path: read_frames(FilePart(path), range, np.asarray),
    "b.mp4": lambda path: read_audio(FilePart(path), 8000),
    "a.png": lambda path: read_image(path, (8, 8), 3),
    "a.npy": lambda path: read_array(FilePart(path)),
}


def refused(read, path, words):
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize("name", READERS)
def test_pipes_sockets_and_devices_are_not_opened(tmp_path, name, monkeypatch):
    path = tmp_path / name
    os.mkfifo(path)
    refused(READERS[name], path, "a named pipe")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path)  # the path of a socket has at most 108 characters
        listening.bind(name)
        refused(READERS[name], path, "a socket")
    path.unlink()
    path.symlink_to("/dev/zero")
    refused(READERS[name], path, "a device")


def test_a_name_of_thousands_of_characters_is_shortened(tmp_path):
    for read in READERS.values():
        with pytest.raises(DataError, match=r"….*cannot be read \(File name too long\)") as caught:
            read(tmp_path / ("1" * 5000))
        assert len(str(caught.value)) < 200


def test_a_named_pipe_among_the_pictures_of_a_folder(tmp_path):
    os.mkfifo(tmp_path / "1.png")
    refused(READERS["a.mp4"], tmp_path, "a named pipe")


def write_npy(path, header, content=b"", version=1):
    text = header.encode("latin1")
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + length + text + content)


def header(kind="'<f4'", shape="(2,)", order="False"):
    return f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize(
    "text",
    [
        header(shape="(1000000000000,)"),
        header(shape="(1000000, 1000000, 1000000, 1000000)"),
        header(shape="(-2,)"),
        header(shape="(2.5,)"),
        header(shape=f"({'9' * 5000},)"),
        header(kind="'|O'"),
        header(kind="'<c8'", shape="(1,)"),
        header(kind="'<M8[s]'", shape="(1,)"),
        header(kind="'<m8[s]'", shape="(1,)"),
        header(kind="'|S4'"),
        header(kind="'<U1'"),
        header(kind="[('a', '<f4')]"),
        header(kind="'<f4"),
        header(kind="'nonsense'"),
        header(kind="3"),
        header(order="3"),
        "(" * 5000,
        "[" * 90,
        "-" * 9000 + "1",
        "{}",
        "\0" * 40,
        "{'descr': '\\400', 'shape': ()}",
        "__import__('os').system('false')",
    ],
)
@pytest.mark.parametrize("version", [1, 2, 3, 9])
def test_damaged_headers_of_arrays(tmp_path, text, version):
    path = tmp_path / "a.npy"
    write_npy(path, text, bytes(8), version)
    refused(READERS["a.npy"], path, "a.npy: not a .npy array of numbers")


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "unpickled"),)

    path = tmp_path / "a.npy"
    path.write_bytes(pickle.dumps(Trap()))
    refused(READERS["a.npy"], path, "not a .npy")
    np.save(path, np.array([Trap()], dtype=object), allow_pickle=True)
    refused(READERS["a.npy"], path, "not a .npy")
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f2", ">i2", "|u1", "|b1", ">f8", "<i8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_layout_of_numbers(tmp_path, kind, order):
    array = np.random.default_rng().integers(0, 2, (3, 4)).astype(kind)
    np.save(tmp_path / "a.npy", np.asarray(array, order=order))
    found = read_array(FilePart(tmp_path / "a.npy"))
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, array.astype(np.float32))


def test_arrays_without_numbers_and_numbers_too_large(tmp_path):
    path = tmp_path / "a.npy"
    for shape in ((0,), (3, 0), (0, 1000)):
        np.save(path, np.zeros(shape))
        refused(READERS["a.npy"], path, "empty")
    np.save(path, np.array([1e300]))
    refused(READERS["a.npy"], path, "infinite")
    np.save(path, np.float32(3))
    assert read_array(FilePart(path)) == 3


@pytest.mark.parametrize("window", ["#t=-1,1", "#t=0.2,", "#t=nan,1", "#1-3", "#"])
def test_a_window_that_is_written_wrong_is_said(tmp_path, window):
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    part = FilePart.parse(f"a.wav{window}", tmp_path)
    with pytest.raises(
        DataError, match=r"file not found; 'a\.wav' is there, .* write #t=START,END"
    ):
        read_audio(part, 8000)
    with pytest.raises(DataError, match=r"file not found$"):
        read_audio(FilePart.parse(f"b.wav{window}", tmp_path), 8000)
