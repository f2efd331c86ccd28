"""Any network of the transformers library."""

import pytest
import torch

from equipoise.encoders import build_encoder
from equipoise.errors import ConfigError

transformers = pytest.importorskip("transformers")

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
DISTILBERT = {"model_type": "distilbert", "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 24}
T5 = {"model_type": "t5", "d_model": 16, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
RESNET = {
    "model_type": "resnet",
    "embedding_size": 4,
    "hidden_sizes": [4, 8],
    "depths": [1, 1],
    "layer_type": "basic",
}
WAV2VEC2 = {
    "model_type": "wav2vec2",
    **SIZES,
    "conv_dim": [8, 8],
    "conv_kernel": [10, 3],
    "conv_stride": [5, 2],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "mask_time_prob": 0.0,
    "layerdrop": 0.0,  # in training it leaves out a layer at random, and with it its gradient
}
CASES = [
    (DISTILBERT, (7,), 30, 16),
    ({"model_type": "roberta", **SIZES}, (7,), 30, 16),
    (T5, (7,), 30, 16),
    (RESNET, (3, 12, 15), None, 8),
    (RESNET, (4, 3, 12, 15), None, 8),
    ({"model_type": "vit", **SIZES, "image_size": 8, "patch_size": 4}, (3, 8, 8), None, 16),
    (WAV2VEC2, (400,), None, 16),
]


@pytest.mark.parametrize(("config", "shape", "vocabulary", "width"), CASES)
def test_its_own_width_is_found_and_everything_is_trained(config, shape, vocabulary, width):
    encoder = build_encoder("hf", {"config": config}, shape, vocabulary)
    inputs = (
        torch.randn(3, *shape) if vocabulary is None else torch.randint(1, vocabulary, (3, *shape))
    )
    features = encoder(inputs)
    assert features.shape == (3, encoder.width) == (3, width)
    features.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in encoder.parameters())
    assert all(module.training for module in encoder.modules())


@pytest.mark.parametrize("config", [DISTILBERT, T5])
def test_padding_does_not_change_a_texts_mean(config):
    encoder = build_encoder("hf", {"config": config}, (7,), 30).eval()
    ids = torch.randint(1, 30, (3, 5))
    longer = torch.cat([ids, torch.zeros(3, 2, dtype=torch.int64)], dim=1)
    assert torch.allclose(encoder(longer), encoder(ids), atol=1e-5)
    assert torch.isfinite(encoder(torch.zeros_like(ids))).all()


def test_convolutional_maps_are_averaged_over_pixels():
    encoder = build_encoder("hf", {"config": RESNET}, (3, 12, 15)).eval()
    images = torch.randn(2, 3, 12, 15)
    assert torch.allclose(
        encoder(images), encoder.network(images).pooler_output.flatten(1), atol=1e-5
    )


def test_the_first_token_or_the_mean():
    config = {"model_type": "vit", **SIZES, "image_size": 8, "patch_size": 4}
    first = build_encoder("hf", {"config": config, "pooling": "cls"}, (3, 8, 8)).eval()
    mean = build_encoder("hf", {"config": config}, (3, 8, 8)).eval()
    mean.load_state_dict(first.state_dict())
    images = torch.randn(2, 3, 8, 8)
    states = first.network(images).last_hidden_state
    assert torch.allclose(first(images), states[:, 0], atol=1e-6)
    assert torch.allclose(mean(images), states.mean(1), atol=1e-6)


def test_weights_of_a_folder_name_the_network(tmp_path):
    source = build_encoder("hf", {"config": DISTILBERT}, (7,), 30).eval()
    source.network.save_pretrained(tmp_path)
    loaded = build_encoder("hf", {"weights": str(tmp_path)}, (7,), 30).eval()
    ids = torch.randint(1, 30, (3, 7))
    assert torch.equal(loaded(ids), source(ids))
    with pytest.raises(ConfigError, match="tokenizer and encoder do not belong together"):
        build_encoder("hf", {"weights": str(tmp_path)}, (7,), 31)


@pytest.mark.parametrize(
    ("config", "shape", "vocabulary", "options", "message"),
    [
        (None, (7,), 30, {}, "give 'weights', or a 'model_type' in 'config'"),
        ({"model_type": "bertt"}, (7,), 30, {}, "no model_type 'bertt'; did you mean 'bert'"),
        (RESNET, (3, 12, 15), None, {"pooling": "cls"}, "no first token; pooling must be 'mean'"),
        (RESNET, (3, 12), None, {}, "'shape' must be that of a waveform, an image or frames"),
        (DISTILBERT, (7, 2), 30, {}, r"'shape' must be \(length,\), found \(7, 2\)"),
        (DISTILBERT, (3, 8, 8), None, {}, r"it cannot read samples of shape \(3, 8, 8\)"),
        (
            {"model_type": "vit", **SIZES},
            (3, 8, 8),
            None,
            {},
            r"it cannot read samples of shape \(3, 8, 8\)",
        ),
    ],
)
def test_what_it_cannot_read_is_one_clear_line(config, shape, vocabulary, options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        build_encoder("hf", {"config": config, **options}, shape, vocabulary)
    assert "\n" not in str(caught.value)
