"""Small videos written by the test: the right frames, the sound track, and errors of one line."""

import struct

import av
import numpy as np
import pytest
from PIL import Image

from equipoise.data.manifest.file_part import FilePart
from equipoise.data.media import read_audio, read_frames
from equipoise.data.transforms.flow import Flow
from equipoise.data.transforms.video import Frames
from videos import CODECS, refused, tone, write_video

# Containers that tell where their sound begins, and by how many samples it may be too long.
TOLD = {
    **{("mp4", "libx264", codec): 0 for codec in ("aac", "libmp3lame", "libopus")},
    ("mov", "libx264", "aac"): 0,
    ("mkv", "libx264", "libopus"): 0,
    ("mkv", "libx264", "aac"): 1024,
    ("webm", "libvpx-vp9", "libopus"): 0,
    ("flv", "flv", "libmp3lame"): 1152,
    ("flv", "libx264", "aac"): 1024,
}


def levels(path, pick):
    return [
        round(float(a.mean()) / 8)
        for a in read_frames(FilePart.parse(str(path)), pick, lambda image: np.asarray(image))
    ]


@pytest.mark.parametrize("ending", CODECS)
def test_the_chosen_frames_are_decoded(tmp_path, ending):
    path = write_video(tmp_path / f"a.{ending}")
    wanted = sorted(np.random.default_rng().choice(30, 5, replace=False).tolist())
    assert levels(path, lambda count: [count, *wanted][1:]) == wanted
    assert levels(path, lambda count: [count - 1]) == [29]
    assert levels(path.with_name(path.name + "#7:19"), lambda count: [0, count - 1]) == [7, 18]
    assert levels(path.with_name(path.name + "#t=1.0,1.4"), lambda count: [0, count - 1]) == [
        15,
        20,
    ]


def test_a_folder_of_frames_is_read_in_the_order_of_its_numbers(tmp_path):
    for number in np.random.default_rng().permutation(12):
        Image.fromarray(np.full((4, 4, 3), 8 * number, np.uint8)).save(
            tmp_path / f"frame{number}.png"
        )
    (tmp_path / "notes.txt").write_text("no frame")
    assert levels(tmp_path, lambda count: range(count)) == list(range(12))


@pytest.mark.parametrize("ending", CODECS)
def test_the_sound_track_is_the_mean_of_its_channels(tmp_path, ending):
    path = write_video(tmp_path / f"a.{ending}", sound=tone())
    wave = read_audio(FilePart(path), 16000)
    assert abs(len(wave) / 16000 - 2) < 0.1
    loudness = np.sqrt(2 * (wave[4000:-4000] ** 2).mean())
    assert (
        abs(loudness - 0.3) < 0.02
    )  # not √2 times as loud, which a mix of float channels would give


def click(seconds, place):
    """Near silence with one short tone after `place` seconds."""
    wave = np.random.default_rng().normal(0, 0.001, (2, round(48000 * seconds)))
    wave[:, round(48000 * place) :][:, :200] += 0.8 * np.sin(0.3 * np.arange(200))
    return wave


def heard(wave, rate=48000):
    """Seconds to the first loud sample."""
    return int(np.argmax(np.abs(wave) > 0.4)) / rate


@pytest.mark.parametrize(("ending", "video", "audio"), TOLD)
def test_the_sound_track_is_as_long_as_it_was_and_begins_with_the_first_picture(
    tmp_path, ending, video, audio
):
    """Encoders put up to 50 ms before a sound and behind it."""
    seconds, place = np.random.default_rng().uniform([1.5, 0.3], [2.0, 1.0])
    path = tmp_path / f"a.{ending}"
    write_video(path, frames=int(15 * seconds), sound=click(seconds, place), codecs=(video, audio))
    wave = read_audio(FilePart(path), 48000)
    assert (
        -48 <= len(wave) - round(48000 * seconds) <= TOLD[ending, video, audio] + 48
    )  # mp4 tells milliseconds
    assert abs(heard(wave) - place) < 1e-3
    start = int(place * 15) / 15
    part = read_audio(
        FilePart.parse(f"{path.name}#t={start:.4f},{start + 0.2:.4f}", path.parent), 48000
    )
    assert abs(start + heard(part) - place) < 1e-3


@pytest.mark.parametrize("ending", CODECS)
def test_a_short_sound_is_kept(tmp_path, ending):
    path = write_video(tmp_path / f"a.{ending}", sound=click(0.05, 0.02))
    assert abs(len(read_audio(FilePart(path), 48000)) - 2400) < 2500
    assert np.abs(read_audio(FilePart(path), 48000)).max() > 0.4


def test_a_sound_that_begins_after_the_first_picture_has_silence_before_it(tmp_path):
    path = write_video(tmp_path / "a.mp4", sound=click(1.0, 0.5), late=0.25)
    wave = read_audio(FilePart(path), 48000)
    assert abs(len(wave) - 60000) <= 48
    assert not wave[: round(0.22 * 48000)].any()
    assert abs(heard(wave) - 0.75) < 1e-3


def test_a_header_that_says_much_too_little_cuts_nothing(tmp_path):
    path = write_video(tmp_path / "a.avi", sound=tone())
    whole, content = read_audio(FilePart(path), 48000), bytearray(path.read_bytes())
    length = content.index(b"auds") + 32
    blocks = struct.unpack("<I", content[length : length + 4])[0]
    content[length : length + 4] = struct.pack("<I", blocks // 2)
    path.write_bytes(bytes(content))
    np.testing.assert_array_equal(read_audio(FilePart(path), 48000), whole)


@pytest.mark.parametrize(("frames", "candidates"), [(3, None), (3, 10), (1, 4), (8, None)])
def test_segments_are_represented_by_their_centres_and_drawn_from_in_training(
    tmp_path, frames, candidates
):
    path = write_video(tmp_path / "a.avi", frames=30)
    transform = Frames(size=16, frames=frames, candidates=candidates, normalise="none")
    stored = transform.decode(FilePart(path))
    assert stored.shape == (candidates or frames, 3, 16, 16)
    kept = candidates or frames
    expected = [int((k + 0.5) * 30 / kept) for k in range(kept)]
    assert [round(float(f.mean()) / 8) for f in stored] == expected
    shown = {
        tuple(
            np.round(
                transform.finish(stored[None], [np.random.default_rng(s)])[0].mean((1, 2, 3))
                * 255
                / 8
            ).astype(int)
        )
        for s in range(80)
    }
    assert all(list(order) == sorted(order) and set(order) <= set(expected) for order in shown)
    assert (len(shown) > 1) == (kept > frames)
    still = transform.finish(stored[None], None)
    np.testing.assert_array_equal(still, transform.finish(stored[None], None))


def test_dense_frames_are_neighbours(tmp_path):
    path = write_video(tmp_path / "a.avi", frames=20)
    transform = Frames(size=8, frames=5, candidates=12, sampling="dense", normalise="none")
    stored = transform.decode(FilePart(path))
    assert [round(float(f.mean()) / 8) for f in stored] == list(range(4, 16))
    starts = set()
    for seed in range(60):
        found = (
            transform.finish(stored[None], [np.random.default_rng(seed)])[0].mean((1, 2, 3))
            * 255
            / 8
        )
        order = np.round(found).astype(int)
        assert (np.diff(order) == 1).all()
        starts.add(int(order[0]))
    assert starts == set(range(4, 12))


def test_whatever_is_wrong_with_a_video(tmp_path):
    def read(path):
        return Frames(size=16).decode(FilePart(path))

    path = tmp_path / "a.mp4"
    refused(read, path, "not found")
    path.write_bytes(b"")
    refused(read, path, "0 bytes")
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    refused(read, path, "git lfs pull")
    path.write_bytes(np.random.default_rng().bytes(5000))
    refused(read, path, "not readable as video")
    write_video(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    refused(read, path, "")
    header = bytearray(content)
    header[:64] = bytes(64)
    path.write_bytes(bytes(header))
    refused(read, path, "")
    refused(read, write_video(tmp_path / "one.avi", frames=1), "1 frame only")
    Image.new("RGB", (20, 20)).save(tmp_path / "picture.jpg")
    refused(read, (tmp_path / "picture.jpg").rename(tmp_path / "b.mp4"), "1 frame only")


def test_a_truncated_flv_is_noticed_though_its_decoder_is_content(tmp_path):
    path = write_video(tmp_path / "a.flv", frames=60)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    refused(lambda path: Frames(size=16).decode(FilePart(path)), path, "truncated")


def test_tracks_that_are_not_there(tmp_path):
    silent = write_video(tmp_path / "silent.mp4")
    refused(lambda path: read_audio(FilePart(path), 16000), silent, "no sound track")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        track = container.add_stream("aac", rate=48000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(
            tone(0.02)[:, :960].astype(np.float32), format="fltp", layout="stereo"
        )
        frame.rate = 48000
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    refused(
        lambda path: Frames(size=16).decode(FilePart(path)),
        tmp_path / "sound.mp4",
        "no picture track",
    )


def test_time_stamps_that_cannot_be(tmp_path):
    path = write_video(tmp_path / "a.mkv", sound=tone(0.5), late=50.0)
    refused(lambda path: read_audio(FilePart(path), 16000), path, "begins 50.0")


def test_flow_of_a_moving_texture_is_its_motion(tmp_path):
    rng = np.random.default_rng()
    texture = np.array(
        Image.fromarray(rng.integers(0, 256, (20, 20), dtype=np.uint8)).resize((128, 128))
    )
    for number in range(6):
        moved = np.roll(texture, (2 * number, 3 * number), axis=(0, 1))
        Image.fromarray(moved).save(tmp_path / f"{number}.png")
    flow = Flow(size=128, frames=4, bound=10.0).decode(FilePart(tmp_path))
    assert flow.shape == (4, 2, 128, 128)
    inner = flow[:, :, 40:-40, 40:-40].astype(np.float64).mean((2, 3)) * 10
    np.testing.assert_allclose(inner, np.tile([3.0, 2.0], (4, 1)), atol=0.4)


def test_flow_is_read_from_pairs_of_pictures_and_from_arrays(tmp_path):
    rng = np.random.default_rng()
    fields = rng.integers(0, 256, (5, 2, 12, 12), dtype=np.uint8)
    for axis, name in enumerate("uv"):
        folder = tmp_path / "tvl1" / name / "clip"
        folder.mkdir(parents=True)
        for number in range(5):
            Image.fromarray(fields[number, axis]).save(folder / f"frame{number:06d}.png")
    transform = Flow(size=12, frames=5)
    found = transform.decode(FilePart(tmp_path / "tvl1" / "{u,v}" / "clip"))
    np.testing.assert_allclose(found, fields / 127.5 - 1, atol=1e-3)
    np.save(tmp_path / "igm.npy", (fields / 100.0).transpose(2, 3, 1, 0))
    np.save(tmp_path / "frames.npy", fields / 100.0)
    for name in ("igm.npy", "frames.npy"):
        np.testing.assert_allclose(
            transform.decode(FilePart(tmp_path / name)), fields / 100.0, rtol=1e-3
        )


def test_a_mirrored_flow_points_the_other_way():
    rng = np.random.default_rng()
    block = rng.normal(size=(40, 2, 2, 6, 6)).astype(np.float16)
    transform = Flow(size=6, frames=2, flip=True)
    found = transform.finish(block, [np.random.default_rng(k) for k in range(40)])
    mirrored = block[..., ::-1].astype(np.float32) * np.array([-1, 1], np.float32)[:, None, None]
    same = np.array(
        [np.allclose(f, b, atol=1e-3) for f, b in zip(found, block.astype(np.float32), strict=True)]
    )
    other = np.array([np.allclose(f, m, atol=1e-3) for f, m in zip(found, mirrored, strict=True)])
    assert (same ^ other).all()
    assert 5 < other.sum() < 35
