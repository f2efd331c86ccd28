"""A pickle of arrays is read whoever wrote it; nothing else is, and nothing is run."""

import os
import pickle

import numpy as np
import pytest

from equipoise.data.datasets.mosei import load_arrays
from equipoise.errors import DataError

# What Python 2 and numpy 1 wrote for np.array([1, 255], dtype="u1"), protocol 2: bytes as text, and
# numpy.core.
LEGACY = (
    b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85q\x02U\x01bq\x03\x87q\x04Rq\x05"
    b"(K\x01K\x02\x85q\x06cnumpy\ndtype\nq\x07U\x02u1q\x08K\x00K\x01\x87q\tRq\n"
    b"(K\x03U\x01|q\x0bNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0cb\x89U\x02\x01\xffq\rtq\x0eb."
)


class Call:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_was_written_is_read(tmp_path, protocol):
    rng = np.random.default_rng()
    content = {
        "array": rng.normal(size=(3, 2, 4)),
        "fortran": np.asfortranarray(rng.normal(size=(3, 2)).astype(np.float32)),
        "bytes": np.array([b"video", b"1"]),
        "objects": np.array(["video", 1.5, b"x\xff"], dtype=object),
        "scalar": np.float64(rng.normal()),
        "rest": ["text", b"\x80raw", 1, None, (2.5, True)],
    }
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    read = load_arrays(tmp_path / "x.pkl", "")
    assert read.keys() == content.keys()
    for name, value in content.items():
        np.testing.assert_array_equal(
            np.asarray(read[name], dtype=object), np.asarray(value, dtype=object)
        )
        assert getattr(read[name], "dtype", None) == getattr(value, "dtype", None)


def test_what_python_2_wrote_is_read(tmp_path):
    (tmp_path / "x.pkl").write_bytes(LEGACY)
    np.testing.assert_array_equal(
        load_arrays(tmp_path / "x.pkl", ""), np.array([1, 255], dtype=np.uint8)
    )


@pytest.mark.parametrize(
    "bad",
    [
        (os.mkdir, "ran"),
        (eval, "__import__('os').mkdir('ran')"),
        (np.load, "x.npy"),
        (getattr, np, "load"),
        (print, "ran"),
    ],
)
def test_nothing_is_run(tmp_path, monkeypatch, bad, capsys):
    monkeypatch.chdir(tmp_path)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        content = (
            {"train": [np.zeros(2), Call(*bad)]}
            if bad[0] is not getattr
            else Call(getattr, "x", "upper")
        )
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
        with pytest.raises(
            DataError,
            match=r"x\.pkl: not readable as a pickle of arrays \(it wants .*, which is not an",
        ):
            load_arrays(tmp_path / "x.pkl", "")
    assert [path.name for path in tmp_path.iterdir()] == ["x.pkl"]
    assert capsys.readouterr().out == ""


def test_attributes_of_what_is_allowed_are_not(tmp_path):
    (tmp_path / "x.pkl").write_bytes(b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.")
    with pytest.raises(DataError, match=r"it wants numpy\.ndarray\.tofile"):
        load_arrays(tmp_path / "x.pkl", "")
    (tmp_path / "x.pkl").write_bytes(b"c_codecs\nencode\n(S'x'\nS'zlib_codec'\ntR.")
    with pytest.raises(DataError, match="bytes in encoding 'zlib_codec'"):
        load_arrays(tmp_path / "x.pkl", "")


def test_damage_is_told_in_one_line(tmp_path):
    whole = pickle.dumps({"train": np.random.default_rng().normal(size=50)})
    for content in (
        whole[: len(whole) // 2],
        b"PK\x03\x04not a pickle",
        b"\x80\x04.",
        b"hello\nworld",
    ):
        (tmp_path / "x.pkl").write_bytes(content)
        with pytest.raises(
            DataError, match=r"x\.pkl: not readable as a pickle of arrays"
        ) as caught:
            load_arrays(tmp_path / "x.pkl", "")
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="gone: file not found; it comes from there"):
        load_arrays(tmp_path / "gone", "it comes from there")
