"""Promises of every encoder that is built on the transformers library."""

import copy
from logging import WARNING, getLogger

import pytest
import torch

from equipoise.data.transforms.text import load_tokenizer
from equipoise.encoders import build_encoder
from equipoise.errors import ConfigError

transformers = pytest.importorskip("transformers")

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
PATCHES = {**SIZES, "patch_size": 4}
CASES = {  # encoder: shape, vocabulary, configuration, width of its own vector
    "bert": ((7,), 30, SIZES, 16),
    "vit": ((3, 8, 8), None, PATCHES, 16),
    "ast": ((1, 8, 13), None, {**PATCHES, "frequency_stride": 3, "time_stride": 3}, 16),
    "clip-image": ((3, 8, 8), None, {**PATCHES, "projection_dim": 5}, 5),
    "clip-text": ((7,), 30, {**SIZES, "projection_dim": 5}, 5),
    "hf": ((7,), 30, {"model_type": "electra", **SIZES, "embedding_size": 6}, 16),
}
every = pytest.mark.parametrize("name", CASES)


def build(name, **options):
    shape, vocabulary, config, _ = CASES[name]
    return build_encoder(name, {"config": config, **options}, shape, vocabulary)


def samples(name, count=4):
    shape, vocabulary, _, _ = CASES[name]
    return (
        torch.randn(count, *shape)
        if vocabulary is None
        else torch.randint(1, vocabulary, (count, *shape))
    )


def step(encoder, inputs):
    """One step of training on whatever can be trained, with weight decay."""
    optimizer = torch.optim.AdamW(
        (p for p in encoder.parameters() if p.requires_grad), lr=0.1, weight_decay=0.1
    )
    encoder.train()
    encoder(inputs).square().sum().backward()
    optimizer.step()


def moved(encoder, before):
    return {
        name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])
    }


@every
def test_the_feature_is_the_projection_of_the_backbones(name):
    inputs = samples(name)
    own = build(name).eval()
    assert own.width == CASES[name][3]
    assert torch.equal(own(inputs), own.backbone_features(inputs))
    projected = build(name, width=9).eval()
    assert projected.width == 9
    assert projected.backbone_features(inputs).shape == (4, CASES[name][3])
    assert torch.equal(projected(inputs), projected.projection(projected.backbone_features(inputs)))


@every
def test_a_frozen_backbone_stays_bit_identical_and_in_evaluation_mode(name):
    encoder = build(name, tuning="frozen", width=9)
    assert encoder.frozen
    assert not any(p.requires_grad for p in encoder.network.parameters())
    before, inputs = copy.deepcopy(encoder.state_dict()), samples(name)
    kept = encoder.backbone_features(inputs)
    step(encoder, inputs)
    assert moved(encoder, before) == {"projection.weight", "projection.bias"}
    assert encoder.training
    assert not any(module.training for module in encoder.network.modules())
    assert torch.equal(encoder.backbone_features(inputs), kept)  # no dropout either
    assert not encoder.backbone_features(inputs).requires_grad


@every
def test_features_computed_before_train_the_projection_alike(name):
    encoder = build(name, tuning="frozen", width=9)
    inputs = samples(name)
    cached = {"feature": encoder.backbone_features(inputs)}
    assert torch.equal(encoder(cached), encoder(inputs))
    (direct,) = torch.autograd.grad(encoder(inputs).square().sum(), encoder.projection.weight)
    (later,) = torch.autograd.grad(encoder(cached).square().sum(), encoder.projection.weight)
    assert torch.equal(direct, later)


@every
def test_lora_starts_at_the_network_and_trains_adapters_and_projection_only(name):
    pytest.importorskip("peft")
    plain, adapted = build(name, width=9).eval(), build(name, width=9, tuning="lora", rank=2).eval()
    given = {
        key.replace(".base_layer", ""): key for key in adapted.state_dict() if "lora_" not in key
    }
    adapted.load_state_dict(
        {given[key]: value for key, value in plain.state_dict().items()}, strict=False
    )
    assert set(given) == set(plain.state_dict())
    inputs = samples(name)
    assert torch.allclose(adapted(inputs), plain(inputs), atol=1e-6)
    before = copy.deepcopy(adapted.state_dict())
    step(adapted, inputs)
    step(adapted, inputs)  # the first moves B only, since A's gradient is a multiple of B
    changed = moved(adapted, before)
    adapters = {key for key in before if "lora_" in key}
    assert (
        {"projection.weight", "projection.bias"}
        <= changed
        <= adapters | {"projection.weight", "projection.bias"}
    )
    assert any("lora_A" in key for key in changed)
    assert any("lora_B" in key for key in changed)
    assert all(min(before[key].shape) == 2 for key in adapters if min(before[key].shape) < 5)
    assert not adapted.frozen


def test_lora_adds_the_scaled_product_to_the_targets_only():
    pytest.importorskip("peft")
    encoder = build("bert", tuning="lora", rank=2, alpha=6, targets=["query"]).eval()
    adapters = {name.partition(".lora_")[0] for name in encoder.state_dict() if "lora_" in name}
    assert {name.rpartition(".")[2] for name in adapters} == {"query"}
    layer = encoder.network.encoder.layer[0].attention.self.query
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    torch.nn.init.normal_(up)
    inputs = torch.randn(3, 16)
    expected = layer.base_layer(inputs) + 6 / 2 * inputs @ (up @ down).T
    assert torch.allclose(layer(inputs), expected, atol=1e-5)


@every
def test_weights_of_a_folder_are_loaded(name, tmp_path):
    source = build(name).eval()
    for parameter in source.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    source.network.save_pretrained(tmp_path)
    shape, vocabulary, _, _ = CASES[name]
    loaded = build_encoder(name, {"weights": str(tmp_path)}, shape, vocabulary).eval()
    inputs = samples(name)
    assert torch.allclose(loaded(inputs), source(inputs), atol=1e-6)


def test_weights_in_half_precision_are_trained_in_float32(tmp_path):
    build("bert").network.to(torch.bfloat16).save_pretrained(tmp_path)
    loaded = build_encoder("bert", {"weights": str(tmp_path)}, (7,), 30)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}


def test_weights_of_another_network_are_refused(tmp_path):
    build("vit").network.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="belong to another network; they lack") as caught:
        build_encoder("bert", {"weights": str(tmp_path)}, (7,), 30)
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fill_the_network_are_refused(tmp_path):
    build("bert").network.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"belong to another network; they lack 'encoder.layer.2"):
        build_encoder(
            "bert", {"weights": str(tmp_path), "config": {"num_hidden_layers": 3}}, (7,), 30
        )
    with pytest.raises(
        ConfigError, match=r"'encoder.layer.0.intermediate.dense.bias' is \(24,\) for \(20,\)"
    ):
        build_encoder(
            "bert", {"weights": str(tmp_path), "config": {"intermediate_size": 20}}, (7,), 30
        )


def test_nothing_is_printed_about_weights_that_are_not_needed(tmp_path, capfd):
    config = transformers.BertConfig(**SIZES, vocab_size=30)
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path)
    capfd.readouterr()
    build_encoder("bert", {"weights": str(tmp_path)}, (7,), 30)
    printed = capfd.readouterr()
    assert "cls.predictions" not in printed.out + printed.err


@pytest.mark.parametrize("name", ["vit", "clip-image"])
def test_frames_are_encoded_one_by_one_and_averaged(name):
    _, _, config, _ = CASES[name]
    encoder = build_encoder(name, {"config": config, "width": 9}, (5, 3, 8, 8)).eval()
    clips = torch.randn(2, 5, 3, 8, 8)
    each = torch.stack([encoder(clips[:, t]) for t in range(5)])
    assert torch.allclose(encoder(clips), each.mean(0), atol=1e-5)


@pytest.mark.parametrize(("name", "prefix"), [("vit", 1), ("ast", 2)])
def test_the_mean_runs_over_the_patches_only(name, prefix):
    encoder = build(name, pooling="mean").eval()
    inputs = samples(name)
    seen = {}
    encoder.network.layernorm.register_forward_hook(
        lambda _, __, states: seen.update(states=states)
    )
    assert torch.allclose(encoder(inputs), seen["states"][:, prefix:].mean(1), atol=1e-6)


def test_a_spectrogram_is_read_along_time_and_mels():
    """Frames × mels is what the network reads; the modality's tensor is mels × frames."""
    encoder = build("ast").eval()
    inputs = samples("ast")
    expected = encoder.network(input_values=inputs[:, 0].transpose(1, 2)).pooler_output
    assert torch.equal(encoder(inputs), expected)
    assert encoder.network.config.num_mel_bins == 8
    assert encoder.network.config.max_length == 13


@pytest.mark.parametrize(
    ("name", "options", "shape", "vocabulary", "message"),
    [
        (
            "bert",
            {"config": {"hiden_size": 3}},
            (7,),
            30,
            "'config' has no value 'hiden_size'; did you mean 'hidden_",
        ),
        (
            "bert",
            {"config": {"hidden_size": "x"}},
            (7,),
            30,
            "changing the configuration failed .*hidden_size",
        ),
        (
            "bert",
            {"config": {"hidden_size": 30}},
            (7,),
            30,
            "building the network failed .*not a multiple",
        ),
        ("bert", {"config": 3}, (7,), 30, "'config' must be a mapping of names to values, found 3"),
        (
            "bert",
            {"config": {"vocab_size": 20}},
            (7,),
            30,
            "tokenizer and encoder do not belong together: .* 30 ids",
        ),
        ("bert", {}, (700,), 30, "reads at most 512 tokens, and the texts have 700"),
        ("bert", {}, (7,), None, "Bert reads text; declare the modality"),
        (
            "bert",
            {"config": SIZES, "pooling": "max"},
            (7,),
            30,
            "'pooling' must be one of cls, mean, found 'max'",
        ),
        (
            "bert",
            {"config": SIZES, "tuning": "half"},
            (7,),
            30,
            "'tuning' must be one of full, frozen, lora, found 'half'",
        ),
        (
            "bert",
            {"config": SIZES, "width": 0},
            (7,),
            30,
            "'width' must be a positive integer, found 0",
        ),
        ("bert", {"weights": "./absent"}, (7,), 30, "there is no folder './absent'"),
        ("bert", {"weights": "a/b/c"}, (7,), 30, "there is no folder 'a/b/c'"),
        ("bert", {"weights": "nobody/nothing"}, (7,), 30, "loading the configuration failed"),
        ("vit", {}, (3, 8, 9), None, r"'shape' must be \(channels, size, size\).*size: 224"),
        ("vit", {}, (3, 8, 8), None, "images of 8×8 pixels hold no patch of 16×16.*size: 224"),
        (
            "vit",
            {"config": {"image_size": 32}},
            (3, 64, 64),
            None,
            "reads 3 channels of 32×32 .* 3 of 64×64; set data.options.<modality> to size: 32 and",
        ),
        ("vit", {}, (7,), 30, "ViT does not read text"),
        (
            "ast",
            {},
            (2, 128, 1024),
            None,
            r"'shape' must be \(1, mels, frames\), found \(2, 128, 1024\)",
        ),
        (
            "ast",
            {"config": {"max_length": 9}},
            (1, 128, 99),
            None,
            "reads 128 mels and 9 frames, .* 128 and 99",
        ),
        ("ast", {}, (1, 8, 99), None, "8 mels and 99 frames hold no patch"),
        (
            "clip-image",
            {"pooling": "mean"},
            (3, 64, 64),
            None,
            "'pooling' must be one of projection, token",
        ),
        ("clip-text", {}, (78,), 30, "reads at most 77 tokens"),
    ],
)
def test_what_cannot_be_built_is_one_clear_line(
    name, options, shape, vocabulary, message, monkeypatch
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=message) as caught:
        build_encoder(name, options, shape, vocabulary)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "'rank' must be a positive integer, found 0"),
        ({"alpha": "high"}, "'alpha' must be a positive integer, found 'high'"),
        ({"targets": ["absent"]}, r"adapting the layers \['absent'\] failed"),
    ],
)
def test_adapters_that_cannot_be_built_are_one_clear_line(options, message):
    pytest.importorskip("peft")
    with pytest.raises(ConfigError, match=message):
        build("bert", tuning="lora", **options)


def test_adapters_without_peft_say_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(
        ConfigError, match=r"needs peft, .* pip install 'equipoise\[transformers\]'"
    ):
        build("bert", tuning="lora")


def test_other_libraries_log_as_before():
    """Their remarks are kept back while a network is made, and only then."""
    logger = getLogger("huggingface_hub")
    level = logger.level
    try:
        logger.setLevel(WARNING)
        build("bert")
        with pytest.raises(ConfigError):
            load_tokenizer("./nowhere")
        assert logger.level == WARNING
    finally:
        logger.setLevel(level)


@pytest.mark.parametrize("option", [{"rank": 4}, {"alpha": 4}, {"targets": ["query"]}])
@pytest.mark.parametrize("tuning", ["full", "frozen"])
def test_options_of_adapters_are_refused_without_adapters(option, tuning):
    given = {"config": SIZES, "tuning": tuning, **option}
    with pytest.raises(ConfigError, match="left out unless 'tuning' is lora"):
        build_encoder("bert", given, (7,), 30)
