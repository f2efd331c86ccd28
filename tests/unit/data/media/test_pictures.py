"""Pictures as a person sees them: upright, on white, in the range of their pixels."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from equipoise.data.media import read_image
from equipoise.data.media.image import MOST_PIXELS, TURNS, open_image
from equipoise.data.media.remarks import collect_remarks
from equipoise.data.transforms.image import Picture
from equipoise.errors import ConfigError, DataError

ORIENTATION = 0x0112
MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"]


@pytest.fixture
def rng():
    return np.random.default_rng()


def seen(path, white=None):
    """The pixels of a picture, and what was remarked."""
    with collect_remarks() as remarks, open_image(path, white) as image:
        return np.asarray(image), remarks


def oriented(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def deep(rng, bits, shape=(6, 5)):
    pixels = rng.integers(0, 1 << bits, shape)
    pixels[0, 0] = (1 << bits) - 1
    return pixels.astype(np.uint16)


@pytest.mark.parametrize("ending", ["png", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_turned_upright(tmp_path, rng, ending, orientation, mode):
    if mode == "I;16":
        image = Image.fromarray(deep(rng, 16))
    else:
        image = Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)).convert(mode)
    if mode == "CMYK" and ending == "png":
        ending = "jpg"
    settings = {"quality": 100} if ending == "jpg" else {}
    image.save(tmp_path / f"upright.{ending}", **settings)
    image.save(tmp_path / f"turned.{ending}", exif=oriented(orientation), **settings)
    upright = Image.fromarray(seen(tmp_path / f"upright.{ending}")[0])
    if orientation != 1:
        upright = upright.transpose(TURNS[orientation])
    np.testing.assert_array_equal(seen(tmp_path / f"turned.{ending}")[0], np.asarray(upright))


def test_twelve_bits_are_read_in_the_range_that_the_file_tells(tmp_path, rng):
    pixels = deep(rng, 12)
    expected = pixels.astype(int) * 255 // 4095
    for tag in (281, 341):
        Image.fromarray(pixels // 2).save(tmp_path / "a.tiff", tiffinfo={tag: 4095})
        found, remarks = seen(tmp_path / "a.tiff")
        np.testing.assert_array_equal(found, pixels.astype(int) // 2 * 255 // 4095)
        assert not remarks
    Image.fromarray(pixels).save(tmp_path / "b.tiff")
    found, remarks = seen(tmp_path / "b.tiff")
    np.testing.assert_array_equal(found, expected)
    assert "read as 12 bits" in remarks[0]
    Image.fromarray(pixels).save(tmp_path / "c.png")
    found, remarks = seen(tmp_path / "c.png")
    np.testing.assert_array_equal(found, pixels // 257)
    assert "nearly black" in remarks[0]
    np.testing.assert_array_equal(seen(tmp_path / "c.png", white=4095)[0], expected)


def test_the_setting_white_is_the_range_of_all_deep_pictures(tmp_path, rng):
    pixels = deep(rng, 14)
    Image.fromarray(pixels.astype(np.float32)).save(tmp_path / "a.tiff")
    transform = Picture(size=(6, 5), channels=1, white=16383)
    from equipoise.data.manifest.file_part import FilePart

    found = transform.decode(FilePart(tmp_path / "a.tiff"))
    np.testing.assert_array_equal(found[0], pixels.astype(int) * 255 // 16383)
    with pytest.raises(ConfigError, match="white"):
        Picture(white=0)


def test_sixteen_bits_keep_their_range(tmp_path, rng):
    pixels = deep(rng, 16)
    for name in ("a.png", "a.tiff"):
        Image.fromarray(pixels).save(tmp_path / name)
        found, remarks = seen(tmp_path / name)
        np.testing.assert_array_equal(found, pixels // 257)
        assert not remarks
    (tmp_path / "a.pgm").write_bytes(b"P5 5 6 65535\n" + pixels.astype(">u2").tobytes())
    np.testing.assert_array_equal(seen(tmp_path / "a.pgm")[0], pixels // 257)


def test_white_is_zero_where_the_file_says_so(tmp_path, rng):
    pixels = deep(rng, 16)
    Image.fromarray(pixels).save(tmp_path / "a.tiff", tiffinfo={262: 0})
    np.testing.assert_array_equal(seen(tmp_path / "a.tiff")[0], (65535 - pixels) // 257)


@pytest.mark.parametrize(
    ("mode", "ending"),
    [("RGBA", "png"), ("LA", "png"), ("P", "png"), ("RGBA", "webp"), ("RGBA", "gif")],
)
def test_transparent_parts_show_white(tmp_path, mode, ending):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:4] = 0, 0, 255, 255
    image = Image.fromarray(pixels)
    image = image.quantize(4) if mode == "P" else image.convert(mode)
    image.save(tmp_path / f"a.{ending}", **({"lossless": True} if ending == "webp" else {}))
    found = seen(tmp_path / f"a.{ending}")[0]
    assert (found[:4] == (29 if mode == "LA" else [0, 0, 255])).all()
    assert (found[4:] == 255).all()


@pytest.mark.parametrize("ending", ["gif", "png", "webp"])
def test_the_first_picture_of_an_animation(tmp_path, ending):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    settings = {"lossless": True} if ending == "webp" else {}
    frames[0].save(
        tmp_path / f"a.{ending}", save_all=True, append_images=frames[1:], duration=50, **settings
    )
    assert seen(tmp_path / f"a.{ending}")[0][4, 4].tolist() == [255, 0, 0]


@pytest.mark.parametrize("settings", [{}, {"progressive": True}])
@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_jpeg_of_any_kind(tmp_path, mode, settings):
    image = Image.new("RGB", (16, 16), (200, 100, 50)).convert(mode)
    image.save(tmp_path / "a.jpg", quality=100, **settings)
    found = read_image(tmp_path / "a.jpg", (1, 1), 3)[:, 0, 0]
    expected = [200, 100, 50] if mode != "L" else 3 * [124]
    np.testing.assert_allclose(found, expected, atol=4)


def claim(path, width, height):
    """A PNG that claims a size and holds nothing."""

    def chunk(name, content):
        crc = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("size", [(MOST_PIXELS + 1, 1), (30000, 30000), (1 << 30, 1 << 30)])
def test_pictures_that_are_too_large_are_refused_before_they_are_decoded(
    tmp_path, size, monkeypatch
):
    monkeypatch.setattr(Image.Image, "load", None)
    with pytest.raises(DataError, match=r"too many pixels; at most 178,956,970 are read"):
        read_image(claim(tmp_path / "a.png", *size), (8, 8), 3)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.eps"])
def test_postscript_is_no_picture_and_starts_no_program(tmp_path, name, monkeypatch):
    def forbidden(*args, **settings):
        raise AssertionError("a program was started")

    for start in ("posix_spawn", "fork", "system"):
        monkeypatch.setattr(os, start, forbidden)
    monkeypatch.setattr("subprocess.Popen", forbidden)
    (tmp_path / name).write_bytes(EPS)
    with pytest.raises(DataError, match="it is not a picture"):
        read_image(tmp_path / name, (8, 8), 3)
