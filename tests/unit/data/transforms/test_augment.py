"""Crops, mirrors and colours: pure functions of the draws, the same for all frames."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise.configuration.presets import read_preset
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.modality import ModalitySpec
from equipoise.data.table.steps import Arrays, fit_steps
from equipoise.data.table.table import Splits, Table
from equipoise.data.transforms.augment import draw_look
from equipoise.data.transforms.base import cache_settings
from equipoise.data.transforms.flow import Flow
from equipoise.data.transforms.image import Picture
from equipoise.data.transforms.kinds import make_transform
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
        size=28,
        channels=1,
        stored_size=32,
        crop=((28 / 32) ** 2,) * 2,
        ratio=(1, 1),
        normalise="none",
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
    np.testing.assert_allclose(
        shown[:, 0], shown[:, 2], atol=1e-5
    )  # grey has no saturation to change


def test_frames_of_a_clip_are_cut_alike_and_modalities_of_a_sample_too():
    picture = np.random.default_rng().integers(0, 256, (8, 1, 3, 32, 32), dtype=np.uint8)
    clip = np.repeat(picture, 4, axis=1)
    settings = {"size": 28, "stored_size": 32, "crop": (0.3, 0.9), "flip": True}
    found = Frames(frames=4, **settings).finish(clip, generators(8, 2))
    for frame in range(1, 4):
        np.testing.assert_array_equal(found[:, frame], found[:, 0])
    still = Picture(**settings).finish(picture[:, 0], generators(8, 2))
    np.testing.assert_allclose(still, found[:, 0], atol=1e-5)


@pytest.mark.parametrize("sampling", ["segments", "dense"])
@pytest.mark.parametrize(("frames", "candidates"), [(3, 6), (3, None), (1, 5)])
def test_modalities_of_a_sample_are_cut_alike_whatever_their_frames(frames, candidates, sampling):
    picture = np.random.default_rng().integers(0, 256, (12, 1, 3, 32, 32), dtype=np.uint8)
    settings = {
        "size": 28,
        "stored_size": 32,
        "crop": (0.3, 0.9),
        "flip": True,
        "normalise": "none",
    }
    expected = Picture(**settings).finish(picture[:, 0], generators(12, 4))
    settings |= {"frames": frames, "candidates": candidates, "sampling": sampling}
    clip = np.repeat(picture, candidates or frames, axis=1)
    found = Frames(**settings).finish(clip, generators(12, 4))
    flow = Flow(**settings).finish((clip[:, :, 1:] / 255).astype(np.float16), generators(12, 4))
    for frame in range(frames):
        np.testing.assert_allclose(found[:, frame], expected, atol=1e-5)
        np.testing.assert_allclose(flow[:, frame, 1], expected[:, 2], atol=1e-3)


def test_colours_and_flow_of_ucf_101_are_mirrored_together():
    options = read_preset("ucf-101")["data"]["options"]
    rgb, flow = (
        make_transform(m, kind, {**options[m], "size": 8, "normalise": "none"})
        for m, kind in (("rgb", "video"), ("flow", "flow"))
    )
    half = np.zeros((40, 6, 3, 8, 8), np.uint8)
    half[..., 4:] = 255
    colours = rgb.finish(half, generators(40, 6))[:, 0, 0]
    fields = flow.finish((half[:, :3, :2] / 255).astype(np.float16), generators(40, 6))[:, 0, 1]
    np.testing.assert_allclose(colours, fields, atol=1e-3)
    assert 5 < (colours[:, 0, 0] > 0.5).sum() < 35


def test_the_frames_of_a_sample_do_not_depend_on_how_it_is_cut():
    clip = np.random.default_rng().integers(0, 256, (20, 9, 1, 1, 1), dtype=np.uint8) * np.ones(
        (3, 8, 8), np.uint8
    )
    plain, mirrored = (Frames(size=8, frames=3, candidates=9, flip=flip) for flip in (False, True))
    found = plain.finish(clip, generators(20, 8))
    np.testing.assert_allclose(found, mirrored.finish(clip, generators(20, 8)), atol=1e-5)
    assert not np.allclose(found, plain.finish(clip, generators(20, 9)))


@pytest.mark.parametrize("modality", ["rgb", "depth", "flow"])
def test_i3d_is_evaluated_on_the_central_window_it_is_trained_with(modality):
    given = read_preset("nvgesture")["data"]["options"][modality]
    kind = "flow" if modality == "flow" else "video"
    small = {"size": 28, "frames": 2, "candidates": 4, "normalise": "none"}
    transform = make_transform(modality, kind, {**given, **small})
    assert make_transform(modality, kind, given).stored[-2:] == (256, 256)
    assert transform.stored[-2:] == (32, 32)
    ramp = np.broadcast_to(7.0 * np.arange(32), transform.stored)
    block = (ramp / (255 if kind == "flow" else 1)).astype(transform.dtype)[None]
    seen = transform.finish(block, None)[0] * 255
    np.testing.assert_allclose(seen, ramp[:2, ..., 2:30, 2:30], atol=0.1)
    drawn = [transform.finish(block, [rng])[0] * 255 for rng in generators(20, 1)]
    for trained in drawn:
        np.testing.assert_allclose(np.diff(trained), 7, atol=0.3)
    assert np.std([trained[0, -1, 0, 0] for trained in drawn]) > 1


def smooth(rng, path, width, height):
    """Low frequencies, which any resampling keeps."""
    coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    coarse.resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.mark.parametrize("shape", [(400, 400), (700, 350), (300, 500)])
@pytest.mark.parametrize("owner", ["m3ae", "iemocap"])
def test_m3ae_is_evaluated_on_all_of_the_central_square(tmp_path, owner, shape):
    """A square of the short side: resize 256 and centre crop 256 of MLA's runs."""
    from transformers import CLIPImageProcessorPil

    path = smooth(np.random.default_rng(), tmp_path / "0.png", *shape)
    path.with_name("1.png").write_bytes(path.read_bytes())
    if owner == "iemocap":
        given = read_preset("iemocap")["data"]["options"]["video"]
        transform = make_transform("video", "video", {**given, "normalise": "none"})
        path = tmp_path
    else:
        transform = make_transform("image", "image", {"transform": "m3ae", "normalise": "none"})
    found = transform.finish(transform.decode(FilePart(path))[None], None).reshape(3, 256, 256)
    settings = {
        "size": {"shortest_edge": 256},
        "crop_size": {"height": 256, "width": 256},
        "do_normalize": False,
    }
    with Image.open(tmp_path / "0.png") as image:
        expected = CLIPImageProcessorPil(**settings)(image, return_tensors="np")["pixel_values"][0]
    assert np.abs(found - expected).max() < 0.02


def test_mmbt_shows_the_central_224_of_256(tmp_path):
    from transformers import CLIPImageProcessorPil

    path = smooth(np.random.default_rng(), tmp_path / "a.png", 500, 300)
    transform = make_transform("image", "image", {"transform": "mmbt", "normalise": "none"})
    found = transform.finish(transform.decode(FilePart(path))[None], None)[0]
    settings = {
        "size": {"shortest_edge": 256},
        "resample": Image.Resampling.BILINEAR,
        "do_normalize": False,
    }
    with Image.open(path) as image:
        expected = CLIPImageProcessorPil(**settings)(image, return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_is_not_cropped_at_random_is_trained_on_the_view_it_is_evaluated_on():
    block = np.random.default_rng().integers(0, 256, (30, 3, 16, 16), dtype=np.uint8)
    for view in ("whole", "centre"):
        transform = Picture(size=14, stored_size=16, view=view, flip=True, normalise="none")
        still, moving = transform.finish(block, None), transform.finish(block, generators(30, 3))
        same = [np.allclose(m, s, atol=1e-5) for m, s in zip(moving, still, strict=True)]
        mirrored = [
            np.allclose(m, s[..., ::-1], atol=1e-5) for m, s in zip(moving, still, strict=True)
        ]
        assert all(a != b for a, b in zip(same, mirrored, strict=True))
        assert 3 < sum(mirrored) < 27


def test_views_of_one_stored_size_share_a_cache():
    whole, centre = (Picture(stored_size=256, view=view) for view in ("whole", "centre"))
    assert cache_settings(whole) == cache_settings(centre)
    assert Picture(view="centre").stored == centre.stored
    assert Picture().stored == (3, 224, 224)


@pytest.mark.parametrize("modalities", [2, 3])
def test_a_training_sample_looks_the_same_in_any_batch_and_another_way_next_epoch(modalities):
    rng = np.random.default_rng()
    names = [f"m{k}" for k in range(modalities)]
    transform = Picture(size=14, stored_size=16, crop=(0.2, 0.9), flip=True)
    arrays = {m: rng.integers(0, 256, (40, 3, 16, 16), dtype=np.uint8) for m in names}
    specs = {m: ModalitySpec(m, "image", (3, 14, 14)) for m in names}
    whole = Table(
        specs,
        arrays,
        np.arange(40),
        np.zeros(40),
        {m: np.ones(40, bool) for m in names},
        "ab",
        "x" * 40,
    )
    parts = [whole.take(rows) for rows in (np.arange(30), np.arange(30, 35), np.arange(35, 40))]
    splits = fit_steps(
        Splits(*parts, fitting={m: Arrays(transform) for m in names}), seed=int(rng.integers(100))
    )
    order = rng.permutation(30)
    together, again = (splits.train.rows(order, epoch=4) for _ in range(2))
    for m in names:
        assert torch.equal(together.inputs[m], again.inputs[m])
        alone = splits.train.rows(order[7:9], epoch=4).inputs[m]
        assert torch.allclose(alone, together.inputs[m][7:9], atol=1e-5)
        assert not torch.allclose(
            splits.train.rows(order, epoch=5).inputs[m], together.inputs[m], atol=0.1
        )
        calm = [splits.validation.rows(np.arange(5), epoch=e).inputs[m] for e in (0, 1)]
        assert torch.equal(*calm)
        plain = whole.take(order).stepped(splits.test.steps).rows(np.arange(30)).inputs[m]
        assert torch.equal(
            replace(splits.train, augment=None).rows(order, epoch=4).inputs[m], plain
        )


def test_pictures_are_what_the_clip_processor_makes(tmp_path):
    from transformers import CLIPImageProcessorPil

    rng = np.random.default_rng()
    for size in ((300, 240), (231, 499), (80, 90)):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / "a.png")
        transform = Picture(fit="crop", resample="bicubic", normalise="clip")
        found = transform.finish(transform.decode(FilePart(tmp_path / "a.png"))[None], None)[0]
        with Image.open(tmp_path / "a.png") as image:
            expected = CLIPImageProcessorPil()(image, return_tensors="np")["pixel_values"][0]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_photo_stands_as_its_camera_says(tmp_path):
    image = Image.fromarray(np.random.default_rng().integers(0, 256, (10, 20, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(tmp_path / "a.png", exif=exif)
    found = Picture(size=(20, 10)).decode(FilePart(tmp_path / "a.png"))
    np.testing.assert_array_equal(
        found, np.asarray(image.rotate(-90, expand=True)).transpose(2, 0, 1)
    )
