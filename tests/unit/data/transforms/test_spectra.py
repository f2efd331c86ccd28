"""Spectrograms of the papers against librosa, kaldi-native-fbank, scipy and transformers."""

import kaldi_native_fbank
import librosa
import numpy as np
import pytest
import soundfile

from equipoise.data.manifest.file_part import FilePart
from equipoise.data.transforms.audio import Fbank, LogMel, LogPower, LogStft, Waveform
from equipoise.data.transforms.kinds import make_transform


@pytest.fixture
def rng():
    return np.random.default_rng()


def sound(rng, samples):
    """Noise under a moving tone."""
    time = np.arange(samples) / 16000
    return (
        0.3 * np.sin(2 * np.pi * (200 + 900 * time) * time) + rng.normal(0, 0.05, samples)
    ).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("log-stft", (257, 299)),
        ("log-stft-10s", (257, 1004)),
        ("ogm-ge", (257, 188)),
        ("lfm-release", (257, 1250)),
        ("igm-kinetics", (257, 1003)),
        ("ogm-ge-vggsound", (129, 626)),
        ("vggsound", (257, 1004)),
        ("fbank", (128, 1024)),
        ("cav-mae", (128, 1024)),
    ],
)
def test_the_sizes_of_papers_and_releases(tmp_path, rng, name, shape):
    soundfile.write(tmp_path / "a.wav", sound(rng, 24000), 16000)
    transform = make_transform("sound", "audio", {"transform": name})
    assert transform.shape == (1, *shape)
    assert transform.decode(FilePart(tmp_path / "a.wav")).shape == (1, *shape)


@pytest.mark.parametrize("centre", [True, False])
def test_log_stft_is_librosas(rng, centre):
    transform = LogStft(rate=22050, seconds=3.0, hop=353, centre=centre)
    wave = sound(rng, transform.samples)
    expected = np.log(np.abs(librosa.stft(wave, n_fft=512, hop_length=353, center=centre)) + 1e-7)
    np.testing.assert_allclose(transform.spectrogram(wave)[0], expected, atol=2e-3)
    assert np.abs(transform.spectrogram(wave)[0] - expected).mean() < 1e-5


@pytest.mark.parametrize("seconds", [3, 12])
def test_fbank_is_kaldis(tmp_path, rng, seconds):
    """80 filters, because some of 128 lie between two frequencies, which Kaldi refuses."""
    wave = sound(rng, 16000 * seconds)
    soundfile.write(tmp_path / "a.wav", wave, 16000, subtype="FLOAT")
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.window_type = "hanning"
    options.mel_opts.num_bins = 80
    options.energy_floor = 0.0
    kaldi = kaldi_native_fbank.OnlineFbank(options)
    kaldi.accept_waveform(16000, wave.tolist())
    kaldi.input_finished()
    expected = np.stack([kaldi.get_frame(k) for k in range(min(kaldi.num_frames_ready, 1024))])
    found = Fbank(mels=80).decode(FilePart(tmp_path / "a.wav"))[0].T
    assert len(expected) == {3: 298, 12: 1024}[seconds]
    np.testing.assert_allclose(found[: len(expected)], expected, atol=5e-3)
    assert np.abs(found[: len(expected)] - expected).mean() < 1e-4
    assert not found[len(expected) :].any()


@pytest.mark.parametrize("samples", [100_000, 164_079, 164_080, 180_000])
def test_the_normalised_bank_is_the_feature_extractor_of_ast(tmp_path, rng, samples):
    """To the last of 1,024 frames, which a sound of 10.255 s fills."""
    from transformers import ASTFeatureExtractor

    wave = sound(rng, samples)
    soundfile.write(tmp_path / "a.wav", wave, 16000, subtype="FLOAT")
    transform = make_transform("sound", "audio", {"transform": "ast"})
    found = transform.finish(transform.decode(FilePart(tmp_path / "a.wav"))[None], None)[0, 0].T
    expected = ASTFeatureExtractor()(wave, sampling_rate=16000, return_tensors="np")[
        "input_values"
    ][0]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_power_spectrogram_is_a_tukey_windowed_density(rng):
    """By its definition: each segment without its mean, one-sided, scaled by the window's power."""
    transform = LogPower(seconds=0.5)
    wave = sound(rng, transform.samples)
    taper = 0.5 * (
        1 - np.cos(2 * np.pi * np.arange(64) / 128)
    )  # Tukey(0.25), periodic: ramps of an eighth
    window = np.ones(512)
    window[:64] = taper
    window[-63:] = taper[1:][::-1]
    segments = np.lib.stride_tricks.sliding_window_view(wave.astype(np.float64), 512)[::159]
    power = np.abs(np.fft.rfft((segments - segments.mean(1, keepdims=True)) * window, axis=1)) ** 2
    power = power / (16000 * (window**2).sum())
    power[:, 1:-1] *= 2
    np.testing.assert_allclose(transform.spectrogram(wave)[0], np.log(power + 1e-7).T, atol=1e-3)


def test_short_sounds_are_padded_or_repeated(rng):
    wave = sound(rng, 10000)
    padded = LogStft(seconds=1.5).fitted(wave)
    assert not padded[10000:].any()
    tiled = LogStft(seconds=1.5, short="tile").fitted(wave)
    np.testing.assert_array_equal(tiled, np.tile(wave, 3)[:24000])


@pytest.mark.parametrize("transform", [LogMel(normalise="clip"), Waveform(seconds=1.0)])
def test_a_clip_by_its_own_mean_and_deviation(rng, transform):
    block = rng.normal(3, 7, (4, *transform.stored)).astype(np.float32)
    block[1] = 2.0
    found = transform.finish(block, None).reshape(4, -1)
    np.testing.assert_allclose(found.mean(1), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(1), [1, 0, 1, 1], atol=1e-3)


def test_masks_hide_neighbouring_bands_and_frames_of_training_samples(rng):
    transform = LogMel(mask_bands=10, mask_frames=20, normalise="none")
    block = rng.normal(0, 1, (200, *transform.stored)).astype(np.float32)
    draws = [np.random.default_rng((7, k)) for k in range(200)]
    masked = transform.finish(block, draws)
    np.testing.assert_array_equal(transform.finish(block, None), block)
    np.testing.assert_array_equal(
        transform.finish(block, [np.random.default_rng((7, k)) for k in range(200)]), masked
    )
    bands = [np.flatnonzero((m != b)[0].all(1)) for m, b in zip(masked, block, strict=True)]
    frames = [np.flatnonzero((m != b)[0].all(0)) for m, b in zip(masked, block, strict=True)]
    for hidden, most in ((bands, 10), (frames, 20)):
        assert max(map(len, hidden)) == most
        assert min(map(len, hidden)) == 0
        assert all(len(h) < 2 or (np.diff(h) == 1).all() for h in hidden)
