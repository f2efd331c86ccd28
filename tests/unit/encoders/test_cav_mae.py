"""CAV-MAE's branches against an implementation that reads the published names directly."""

import pytest
import torch
from torch.nn import functional as F

from equipoise.encoders.cav_mae import CAVMAE, over_time
from equipoise.encoders.parts.positions import sine_cosine_2d
from equipoise.errors import ConfigError

AUDIO, IMAGE = (1, 128, 40), (3, 32, 48)  # 8 × 2 and 2 × 3 patches


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_published_sizes():
    with torch.device("meta"):
        audio, image = CAVMAE((1, 128, 1024)), CAVMAE((3, 224, 224))
    assert count(audio) == 85_721_088
    assert count(audio.blocks[0]) == 7_094_016
    assert count(audio) + count(image) - count(audio.shared) == 164_498_688


@pytest.mark.parametrize(("shape", "branch"), [(AUDIO, "a"), (IMAGE, "v")])
def test_only_norms_of_other_sequences_are_frozen(shape, branch):
    with torch.device("meta"):
        encoder = CAVMAE(shape)
    other = "v" if branch == "a" else "a"
    unused = [f"blocks.{i}.norm{n}_{b}" for i in range(11) for n in (1, 2) for b in "av"]
    unused += [f"shared.0.norm{n}{suffix}" for n in (1, 2) for suffix in ("", f"_{other}")]
    frozen = {name for name, parameter in encoder.named_parameters() if not parameter.requires_grad}
    assert frozen == {f"{name}.{leaf}" for name in unused for leaf in ("weight", "bias")}


def test_a_new_audio_branch_starts_with_positions_frequency_by_frequency():
    positions = CAVMAE((1, 128, 48)).pos_embed
    assert torch.equal(positions[0], sine_cosine_2d(8, 3, 768))


def published_state():
    """Random weights of both branches, of the decoder and of a classifier, as saved from
    DataParallel.

    The rows of a matrix overlap in one short storage, so that the file stays small.
    """

    def matrix(after, before):
        return (torch.randn(2 * after + before) * before**-0.5).as_strided((after, before), (2, 1))

    def linear(at, before, after):
        return {f"{at}.weight": matrix(after, before), f"{at}.bias": torch.randn(after) * 0.1}

    def norm(at):
        return {f"{at}.weight": torch.rand(768) + 0.5, f"{at}.bias": torch.randn(768) * 0.1}

    state = {
        "mask_token": torch.randn(1, 1, 512),
        **linear("decoder_embed", 768, 512),
        **norm("norm"),
    }
    state |= norm("decoder_norm") | norm("mlp_head.0") | linear("mlp_head.1", 768, 5)
    for branch, channels, tokens in (("a", 1, 512), ("v", 3, 6)):
        state[f"patch_embed_{branch}.proj.weight"] = torch.randn(768, channels, 16, 16) / 16
        state[f"patch_embed_{branch}.proj.bias"] = torch.randn(768)
        state[f"pos_embed_{branch}"] = torch.randn(1, tokens, 768)
        state[f"decoder_pos_embed_{branch}"] = torch.randn(1, tokens, 512)
        state[f"modality_{branch}"] = torch.randn(1, 1, 768)
        state |= norm(f"norm_{branch}")
    for at in [f"blocks_{b}.{i}" for b in "av" for i in range(11)] + [
        "blocks_u.0",
        "decoder_blocks.0",
    ]:
        for n in (1, 2):
            state |= norm(f"{at}.norm{n}") | norm(f"{at}.norm{n}_a") | norm(f"{at}.norm{n}_v")
        state |= linear(f"{at}.attn.qkv", 768, 2304) | linear(f"{at}.attn.proj", 768, 768)
        state |= linear(f"{at}.mlp.fc1", 768, 3072) | linear(f"{at}.mlp.fc2", 3072, 768)
    return state


def save(state, folder):
    torch.save(
        {f"module.{name}": value for name, value in state.items()}, folder / "audio_model.21.pth"
    )
    return str(folder / "audio_model.21.pth")


def reference(state, branch, inputs, positions):
    """Mean over the tokens that the authors' `forward_feat` returns for one branch."""

    def linear(x, at):
        return x @ state[f"{at}.weight"].T + state[f"{at}.bias"]

    def norm(x, at):
        return F.layer_norm(x, (768,), state[f"{at}.weight"], state[f"{at}.bias"], 1e-5)

    def block(x, at, suffix):
        qkv = linear(norm(x, f"{at}.norm1{suffix}"), f"{at}.attn.qkv")
        q, k, v = qkv.reshape(*x.shape[:2], 3, 12, 64).permute(2, 0, 3, 1, 4)
        share = (q @ k.transpose(-1, -2) / 8).softmax(-1)
        x = x + linear((share @ v).transpose(1, 2).reshape(x.shape), f"{at}.attn.proj")
        hidden = linear(norm(x, f"{at}.norm2{suffix}"), f"{at}.mlp.fc1")
        return x + linear(hidden * (1 + torch.erf(hidden / 2**0.5)) / 2, f"{at}.mlp.fc2")

    at = f"patch_embed_{branch}.proj"
    patches = F.conv2d(inputs, state[f"{at}.weight"], state[f"{at}.bias"], stride=16)
    x = patches.flatten(2).transpose(1, 2) + positions + state[f"modality_{branch}"]
    for i in range(11):
        x = block(x, f"blocks_{branch}.{i}", "")
    return norm(block(x, "blocks_u.0", f"_{branch}"), f"norm_{branch}").mean(1)


@pytest.mark.parametrize(("shape", "branch"), [(AUDIO, "a"), (IMAGE, "v")])
def test_a_branch_of_a_published_file_encodes_as_published(tmp_path, shape, branch):
    state, inputs = published_state(), torch.randn(2, *shape)
    encoder = CAVMAE(shape, weights=save(state, tmp_path))
    positions = state[f"pos_embed_{branch}"]
    if branch == "a":  # 8 frequencies × 64 times, of which the first 2 are heard
        positions = positions.reshape(8, 64, 768)[:, :2].reshape(1, 16, 768)
    expected = reference(state, branch, inputs, positions)
    torch.testing.assert_close(encoder(inputs).detach(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "change", "message"),
    [
        (
            AUDIO,
            lambda state: state.pop("blocks_a.4.norm1_v.bias"),
            r"missing: blocks\.4\.norm1_v\.bias",
        ),
        (AUDIO, lambda state: state.pop("pos_embed_a"), "missing: pos_embed"),
        (AUDIO, lambda state: state.update(strange=torch.zeros(1)), "unexpected: strange"),
        (
            IMAGE,
            lambda state: state.pop("blocks_u.0.attn.proj.weight"),
            r"missing: shared\.0\.attn\.proj\.weight",
        ),
        (
            (3, 32, 32),
            lambda state: None,
            r"of another shape: pos_embed \(1, 6, 768\) for \(1, 4, 768\)",
        ),
        (
            (1, 64, 64),
            lambda state: None,
            r"of another shape: pos_embed \(1, 512, 768\) for \(1, 16, 768\)",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path, shape, change, message):
    state = published_state()
    change(state)
    with pytest.raises(ConfigError, match=message):
        CAVMAE(shape, weights=save(state, tmp_path))


def test_positions_are_cut_or_stretched_along_time_only():
    frequency, time, channel = torch.meshgrid(
        torch.arange(3), torch.arange(4), torch.arange(2), indexing="ij"
    )
    table = (100.0 * frequency + 10.0 * time + channel).reshape(1, 12, 2)
    assert torch.equal(over_time(table, 3, 2).reshape(3, 2, 2), table.reshape(3, 4, 2)[:, :2])
    assert torch.equal(over_time(table, 3, 4), table)
    doubled = ((torch.arange(8) + 0.5) / 2 - 0.5).clamp(
        0, 3
    )  # places of 8 times among the 4, linear between them
    expected = 100.0 * torch.arange(3)[:, None, None] + 10.0 * doubled[:, None] + torch.arange(2)
    torch.testing.assert_close(over_time(table, 3, 8), expected.reshape(1, 24, 2))


@pytest.mark.parametrize(
    "shape", [(128, 1024), (2, 128, 64), (1, 120, 64), (1, 128, 15), (3, 32, 40), (3, 0, 32)]
)
def test_a_shape_without_whole_patches_is_refused(shape):
    with pytest.raises(
        ConfigError, match=r"CAVMAE: 'shape' must be .* in whole patches of 16 × 16, found"
    ):
        CAVMAE(shape)


def test_the_feature_can_be_of_another_width():
    encoder = CAVMAE((1, 16, 16), width=3)
    assert encoder.width == 3
    assert encoder(torch.randn(2, 1, 16, 16)).shape == (2, 3)


def test_frames_are_encoded_one_by_one_and_averaged():
    encoder = CAVMAE((2, 3, 32, 16), width=5).eval()
    frames = torch.randn(3, 2, 3, 32, 16)
    with torch.no_grad():
        expected = (encoder(frames[:, 0]) + encoder(frames[:, 1])) / 2
        assert torch.allclose(encoder(frames), expected, atol=1e-5)
