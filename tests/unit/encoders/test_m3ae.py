"""M3AE against an implementation that reads the flax paths, and against transformers' block."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import ViTConfig
from transformers.models.vit.modeling_vit import ViTLayer

from equipoise.encoders.m3ae import M3AE
from equipoise.encoders.parts.transformer import Block
from equipoise.errors import ConfigError

VOCABULARY = 40
WIDTH, LAYERS, HEADS = 384, 12, 6  # of the small size


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("size", "width", "total", "block"),
    [
        ("small", 384, 33_311_232, 1_774_464),
        ("base", 768, 109_089_792, 7_087_872),
        ("large", 1024, 334_356_480, 12_596_224),
    ],
)
def test_published_sizes(size, width, total, block):
    with torch.device("meta"):
        text = M3AE((64,), vocabulary=30_522, size=size)
        image = M3AE((3, 256, 256), size=size)
    assert text.width == image.width == width
    assert count(text) + count(image.embedding) == total
    assert count(text.blocks[0]) == block
    assert {layer.eps for layer in text.modules() if isinstance(layer, torch.nn.LayerNorm)} == {
        1e-6
    }  # flax's default
    if size == "base":
        assert (count(text), count(image)) == (108_498_432, 85_648_128)


def test_the_block_equals_the_one_of_transformers():
    config = ViTConfig(
        hidden_size=48,
        num_attention_heads=4,
        intermediate_size=192,
        layer_norm_eps=1e-6,
        hidden_act="gelu_new",
        qkv_bias=True,
        attn_implementation="eager",
    )
    theirs, ours = ViTLayer(config).eval(), Block(48, 4, 1e-6, gelu="tanh")
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    for name, value in zip(
        ("q_proj", "k_proj", "v_proj"), ours.attn.qkv.weight.chunk(3), strict=True
    ):
        getattr(theirs.attention, name).weight.data.copy_(value)
    for name, value in zip(
        ("q_proj", "k_proj", "v_proj"), ours.attn.qkv.bias.chunk(3), strict=True
    ):
        getattr(theirs.attention, name).bias.data.copy_(value)
    pairs = [
        (theirs.attention.o_proj, ours.attn.proj),
        (theirs.layernorm_before, ours.norm1),
        (theirs.layernorm_after, ours.norm2),
        (theirs.mlp.fc1, ours.mlp.fc1),
        (theirs.mlp.fc2, ours.mlp.fc2),
    ]
    for target, source in pairs:
        target.load_state_dict(source.state_dict())
    x = torch.randn(3, 7, 48)
    valid = torch.rand(3, 7) < 0.6
    valid[:, 0] = True
    additive = torch.where(valid, 0.0, -1e7)[:, None, None]
    torch.testing.assert_close(
        ours(x, valid[:, None, None]), theirs(x, additive), rtol=1e-4, atol=1e-4
    )


def flax_state(channels=3):
    """Random weights of the whole network as numpy arrays, kernels (in, out), under flax paths."""
    rng = np.random.default_rng()

    def dense(before, after):
        return {
            "kernel": rng.normal(0, before**-0.5, (before, after)),
            "bias": rng.normal(0, 0.1, after),
        }

    def norm():
        return {"scale": rng.uniform(0.5, 1.5, WIDTH), "bias": rng.normal(0, 0.1, WIDTH)}

    tree = {
        "text_embedding": {"embedding": rng.normal(0, 1, (VOCABULARY, WIDTH))},
        "image_embedding": dense(256 * channels, WIDTH),
        "encoder/LayerNorm_0": norm(),
        "decoder/LayerNorm_0": norm(),
        "decoder_input_projection": dense(WIDTH, 512),
    }
    for i in range(LAYERS):
        at = f"encoder/Block_{i}"
        tree |= {
            f"{at}/LayerNorm_0": norm(),
            f"{at}/LayerNorm_1": norm(),
            f"{at}/Attention_0/Dense_0": dense(WIDTH, 3 * WIDTH),
            f"{at}/Attention_0/Dense_1": dense(WIDTH, WIDTH),
            f"{at}/TransformerMLP_0/fc1": dense(WIDTH, 4 * WIDTH),
            f"{at}/TransformerMLP_0/fc2": dense(4 * WIDTH, WIDTH),
        }
    state = {
        f"{path}/{leaf}": value for path, leaves in tree.items() for leaf, value in leaves.items()
    }
    tokens = (
        "cls_token",
        "encoder_image_type_embedding",
        "encoder_text_type_embedding",
        "text_mask_embedding",
    )
    state |= {name: rng.normal(0, 1, (1, 1, WIDTH)) for name in tokens}
    return {name: value.astype(np.float32) for name, value in state.items()}


def reference(state, content, positions, modality, padding):
    """The tokens of the authors' `forward_representation`, (B, 1 + N, width), in numpy."""

    def dense(x, at):
        return x @ state[f"{at}/kernel"] + state[f"{at}/bias"]

    def norm(x, at):
        centred = x - x.mean(-1, keepdims=True)
        return (
            centred / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * state[f"{at}/scale"]
            + state[f"{at}/bias"]
        )

    x = content + positions + state[f"encoder_{modality}_type_embedding"]
    x = np.concatenate([np.repeat(state["cls_token"], len(x), 0), x], 1)
    padding = np.concatenate([np.zeros((len(x), 1)), padding], 1)[:, None, None]
    for i in range(LAYERS):
        at = f"encoder/Block_{i}"
        qkv = dense(norm(x, f"{at}/LayerNorm_0"), f"{at}/Attention_0/Dense_0")
        q, k, v = qkv.reshape(*x.shape[:2], 3, HEADS, -1).transpose(2, 0, 3, 1, 4)
        logits = np.where(padding > 0, -1e7, q @ k.swapaxes(-1, -2) * (WIDTH // HEADS) ** -0.5)
        share = np.exp(logits - logits.max(-1, keepdims=True))
        mixed = (share / share.sum(-1, keepdims=True) @ v).swapaxes(1, 2).reshape(x.shape)
        x = x + dense(mixed, f"{at}/Attention_0/Dense_1")
        h = dense(norm(x, f"{at}/LayerNorm_1"), f"{at}/TransformerMLP_0/fc1")
        h = h / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))
        x = x + dense(h, f"{at}/TransformerMLP_0/fc2")
    return norm(x, "encoder/LayerNorm_0")


def encoded(places, width):
    angles = np.outer(places, 1 / 10_000 ** (np.arange(width // 2) / (width // 2)))
    return np.concatenate([np.sin(angles), np.cos(angles)], 1)


def image_reference(state, images):
    b, c, h, w = images.shape
    pixels = images.numpy().transpose(0, 2, 3, 1)
    patches = pixels.reshape(b, h // 16, 16, w // 16, 16, c).swapaxes(2, 3).reshape(b, -1, 256 * c)
    content = patches @ state["image_embedding/kernel"] + state["image_embedding/bias"]
    columns, rows = np.meshgrid(np.arange(w // 16), np.arange(h // 16))
    positions = np.concatenate(
        [encoded(columns.ravel(), WIDTH // 2), encoded(rows.ravel(), WIDTH // 2)], 1
    )
    return reference(state, content, positions, "image", np.zeros(content.shape[:2]))


def text_reference(state, ids):
    content = state["text_embedding/embedding"][ids.numpy()]
    return reference(
        state, content, encoded(np.arange(ids.shape[1]), WIDTH), "text", ids.numpy() == 0
    )


def port_state(state):
    """The same weights under the names of the PyTorch port."""
    names = {
        "encoder/Block_": "encoder.blocks.",
        "encoder/LayerNorm_0": "encoder.layer_norm",
        "LayerNorm_0": "layer_norm1",
        "LayerNorm_1": "layer_norm2",
        "Attention_0/Dense_0": "attention.qkv_linear",
        "Attention_0/Dense_1": "attention.fc",
        "TransformerMLP_0": "transformer_mlp",
        "/kernel": "/weight",
        "/scale": "/weight",
        "text_embedding/embedding": "text_embedding/weight",
        "/": ".",
    }
    port = {}
    for path, value in state.items():
        name = path
        for old, new in names.items():
            name = name.replace(old, new)
        port[name] = torch.from_numpy(value.T.copy() if path.endswith("kernel") else value)
    return port


def save_flax(state, path, separator="/"):
    save_file(
        {name.replace("/", separator): torch.from_numpy(value) for name, value in state.items()},
        path,
    )
    return str(path)


def texts(batch, length):
    ids = torch.randint(1, VOCABULARY, (batch, length))
    return ids * (torch.arange(length) < torch.randint(1, length + 1, (batch, 1)))


@pytest.mark.parametrize("separator", ["/", "."])
def test_an_image_is_encoded_as_by_the_authors(tmp_path, separator):
    state, images = flax_state(), torch.randn(2, 3, 32, 48)
    path = save_flax(state, tmp_path / "flax.safetensors", separator)
    expected = image_reference(state, images)
    for pooling, pooled in [
        ("cls", expected[:, 0]),
        ("mean", expected.mean(1)),
        ("mean-all", expected.mean(1)),
    ]:
        encoder = M3AE((3, 32, 48), size="small", pooling=pooling, weights=path)
        np.testing.assert_allclose(encoder(images).detach(), pooled, rtol=1e-3, atol=1e-4)


def test_a_text_is_encoded_as_by_the_authors(tmp_path):
    state, ids = flax_state(), texts(4, 9)
    path = save_flax(state, tmp_path / "flax.safetensors")
    expected = text_reference(state, ids)
    seen = np.concatenate([np.ones((4, 1)), ids.numpy() != 0], 1)[..., None]
    pooled = {
        "cls": expected[:, 0],
        "mean": (expected * seen).sum(1) / seen.sum(1),
        "mean-all": expected.mean(1),
    }
    for pooling, feature in pooled.items():
        encoder = M3AE((9,), vocabulary=VOCABULARY, size="small", pooling=pooling, weights=path)
        np.testing.assert_allclose(encoder(ids).detach(), feature, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("shape", "vocabulary"), [((6,), VOCABULARY), ((3, 32, 32), None)])
def test_both_published_layouts_hold_the_same_weights(tmp_path, shape, vocabulary):
    state = flax_state()
    torch.save(port_state(state), tmp_path / "port.pth")
    paths = [save_flax(state, tmp_path / "flax.safetensors"), str(tmp_path / "port.pth")]
    one, other = (M3AE(shape, vocabulary=vocabulary, size="small", weights=path) for path in paths)
    for (name, a), (again, b) in zip(
        one.state_dict().items(), other.state_dict().items(), strict=True
    ):
        assert name == again
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: state.pop("encoder.blocks.3.attention.fc.bias"),
            r"missing: blocks\.3\.attn\.proj\.bias",
        ),
        (lambda state: state.update(strange=torch.zeros(1)), "unexpected: strange"),
        (lambda state: state.pop("image_embedding.weight"), r"missing: embedding\.content\.weight"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path, change, message):
    state = port_state(flax_state())
    change(state)
    torch.save(state, tmp_path / "port.pth")
    with pytest.raises(ConfigError, match=message):
        M3AE((3, 32, 32), size="small", weights=str(tmp_path / "port.pth"))


@pytest.mark.parametrize(("pooling", "same"), [("cls", True), ("mean", True), ("mean-all", False)])
def test_padding_changes_a_text_only_where_it_is_averaged(pooling, same):
    encoders = [
        M3AE((length,), vocabulary=VOCABULARY, size="small", pooling=pooling) for length in (5, 9)
    ]
    encoders[1].load_state_dict(encoders[0].state_dict())
    ids = texts(3, 5)
    longer = torch.nn.functional.pad(ids, (0, 4))
    assert torch.allclose(encoders[0](ids), encoders[1](longer), atol=1e-5) is same


@pytest.mark.parametrize("pooling", ["cls", "mean", "mean-all"])
def test_a_text_of_nothing_but_padding_has_a_feature_and_gradients(pooling):
    encoder = M3AE((4,), vocabulary=VOCABULARY, size="small", pooling=pooling, width=5)
    features = encoder(torch.zeros(2, 4, dtype=torch.int64))
    assert features.shape == (2, 5)
    features.square().sum().backward()
    assert torch.isfinite(features).all()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in encoder.parameters())


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        (
            (3, 32, 32),
            {"size": "huge"},
            "M3AE: 'size' must be one of small, base, large, found 'huge'",
        ),
        (
            (3, 32, 32),
            {"pooling": "max"},
            "'pooling' must be one of cls, mean, mean-all, found 'max'",
        ),
        ((3, 32, 40), {}, "sides multiples of 16, found"),
        ((3, 0, 32), {}, "sides multiples of 16, found"),
        ((3, 32), {"vocabulary": 9}, r"'shape' must be \(length,\) of a text"),
        ((3, 32, 32), {"width": 0}, "'width' must be a positive integer, found 0"),
    ],
)
def test_wrong_options_are_one_clear_line(shape, options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        M3AE(shape, **{"size": "small"} | options)
    assert "\n" not in str(caught.value)


def test_frames_are_encoded_one_by_one_and_averaged():
    encoder = M3AE((2, 3, 32, 48), size="small", width=5).eval()
    frames = torch.randn(3, 2, 3, 32, 48)
    with torch.no_grad():
        expected = (encoder(frames[:, 0]) + encoder(frames[:, 1])) / 2
        assert torch.allclose(encoder(frames), expected, atol=1e-5)
