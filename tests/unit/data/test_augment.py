"""Crops, mirrors and colours: pure functions of the draws, the same for all frames, right where it can be checked."""

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise.data.modality import ModalitySpec
from equipoise.data.steps import Arrays, fit_steps
from equipoise.data.table import Splits, Table
from equipoise.data.transforms.augment import draw_look
from equipoise.data.transforms.image import Picture
from equipoise.data.transforms.video import Frames


def generators(count, *key):
    return [np.random.default_rng((*key, k)) for k in range(count)]


def test_crops_have_the_area_and_ratio_asked_for():
    for rng in generators(300, int(np.random.default_rng().integers(10**6))):
        look = draw_look(rng, (100, 160), (0.2, 0.6), (0.5, 1.5), False, 0.0)
        assert 0.2 - 1e-9 <= look.height * look.width <= 0.6 + 1e-9
        assert 0.5 - 1e-9 <= look.width * 160 / (look.height * 100) <= 1.5 + 1e-9
        assert 0 <= look.top <= 1 - look.height
        assert 0 <= look.left <= 1 - look.width


def test_a_crop_that_fits_no_shape_is_the_whole_image():
    look = draw_look(np.random.default_rng(), (10, 1000), (1.0, 1.0), (1.0, 1.0), False, 0.0)
    assert (look.height, look.width) == (1, 1)


def test_a_crop_of_fixed_size_is_a_window_of_the_picture():
    """224 of 256 with ratio 1 is what I3D's loaders cut."""
    ramp = np.add.outer(np.arange(32.0), 100 * np.arange(32.0))
    block = np.stack([ramp.astype(np.float32)[None]] * 20)
    transform = Picture(
        size=28, channels=1, stored_size=32, crop=((28 / 32) ** 2,) * 2, ratio=(1, 1), normalise="none"
    )
    found = transform.finish(block * 255, generators(20, 3))
    np.testing.assert_allclose(np.diff(found[:, 0], axis=1), 1, atol=0.02)
    np.testing.assert_allclose(np.diff(found[:, 0], axis=2), 100, atol=0.02)
    assert len({float(f[0, 0, 0].round(2)) for f in found}) > 15


def test_a_mirror_is_exact_and_every_other_sample_has_one():
    block = np.random.default_rng().integers(0, 256, (60, 3, 9, 7), dtype=np.uint8)
    found = Picture(size=(9, 7), flip=True, normalise="none").finish(block, generators(60, 5))
    plain = block / np.float32(255)
    mirrored = [np.allclose(f, p[..., ::-1], atol=1e-5) for f, p in zip(found, plain, strict=True)]
    same = [np.allclose(f, p, atol=1e-5) for f, p in zip(found, plain, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 15 < sum(mirrored) < 45


def test_colours_change_and_stay_colours():
    block = np.random.default_rng().integers(0, 256, (30, 3, 8, 8), dtype=np.uint8)
    found = Picture(size=8, jitter=0.4, normalise="none").finish(block, generators(30, 9))
    assert found.min() >= 0
    assert found.max() <= 1
    change = np.abs(found - block / 255).mean((1, 2, 3))
    assert change.min() < change.max()
    assert change.mean() > 0.02
    grey = np.repeat(block[:, :1], 3, axis=1)
    shown = Picture(size=8, jitter=0.4, normalise="none").finish(grey, generators(30, 9))
    np.testing.assert_allclose(shown[:, 0], shown[:, 2], atol=1e-5)  # grey has no saturation to change


def test_frames_of_a_clip_are_cut_alike_and_modalities_of_a_sample_too():
    picture = np.random.default_rng().integers(0, 256, (8, 1, 3, 32, 32), dtype=np.uint8)
    clip = np.repeat(picture, 4, axis=1)
    settings = {"size": 28, "stored_size": 32, "crop": (0.3, 0.9), "flip": True}
    found = Frames(frames=4, **settings).finish(clip, generators(8, 2))
    for frame in range(1, 4):
        np.testing.assert_array_equal(found[:, frame], found[:, 0])
    still = Picture(**settings).finish(picture[:, 0], generators(8, 2))
    np.testing.assert_allclose(still, found[:, 0], atol=1e-5)


@pytest.mark.parametrize("modalities", [2, 3])
def test_a_training_sample_looks_the_same_in_any_batch_and_another_way_next_epoch(modalities):
    rng = np.random.default_rng()
    names = [f"m{k}" for k in range(modalities)]
    transform = Picture(size=14, stored_size=16, crop=(0.2, 0.9), flip=True)
    arrays = {m: rng.integers(0, 256, (40, 3, 16, 16), dtype=np.uint8) for m in names}
    specs = {m: ModalitySpec(m, "image", (3, 14, 14)) for m in names}
    whole = Table(specs, arrays, np.arange(40), np.zeros(40), {m: np.ones(40, bool) for m in names}, "ab", "x" * 40)
    parts = [whole.take(rows) for rows in (np.arange(30), np.arange(30, 35), np.arange(35, 40))]
    splits = fit_steps(Splits(*parts, fitting={m: Arrays(transform) for m in names}), seed=int(rng.integers(100)))
    order = rng.permutation(30)
    together, again = (splits.train.rows(order, epoch=4) for _ in range(2))
    for m in names:
        assert torch.equal(together.inputs[m], again.inputs[m])
        alone = splits.train.rows(order[7:9], epoch=4).inputs[m]
        assert torch.allclose(alone, together.inputs[m][7:9], atol=1e-5)
        assert not torch.allclose(splits.train.rows(order, epoch=5).inputs[m], together.inputs[m], atol=0.1)
        calm = [splits.validation.rows(np.arange(5), epoch=e).inputs[m] for e in (0, 1)]
        assert torch.equal(*calm)
        plain = whole.take(order).stepped(splits.test.steps).rows(np.arange(30)).inputs[m]
        assert torch.equal(splits.train.augmented(None).rows(order, epoch=4).inputs[m], plain)


def test_pictures_are_what_the_clip_processor_makes(tmp_path):
    from transformers import CLIPImageProcessorPil

    rng = np.random.default_rng()
    for size in ((300, 240), (231, 499), (80, 90)):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / "a.png")
        transform = Picture(fit="crop", resample="bicubic", normalise="clip")
        found = transform.finish(transform.decode(tmp_path / "a.png")[None], None)[0]
        with Image.open(tmp_path / "a.png") as image:
            expected = CLIPImageProcessorPil()(image, return_tensors="np")["pixel_values"][0]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_photo_stands_as_its_camera_says(tmp_path):
    image = Image.fromarray(np.random.default_rng().integers(0, 256, (10, 20, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(tmp_path / "a.png", exif=exif)
    found = Picture(size=(20, 10)).decode(tmp_path / "a.png")
    np.testing.assert_array_equal(found, np.asarray(image.rotate(-90, expand=True)).transpose(2, 0, 1))
