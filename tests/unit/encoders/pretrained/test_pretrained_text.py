"""BERT and the text half of CLIP, against the library they are built on."""

import pytest
import torch

from equipoise.encoders import build_encoder

transformers = pytest.importorskip("transformers")

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
LENGTHS = torch.tensor([6, 1, 4]).unsqueeze(1)


def texts(vocabulary=30, length=8):
    return torch.randint(1, vocabulary, (3, length)) * (torch.arange(length) < LENGTHS)


def disturbed(encoder):
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return encoder.eval()


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_bert_equals_the_librarys_with_an_attention_mask(pooling):
    encoder = disturbed(build_encoder("bert", {"config": SIZES, "pooling": pooling}, (8,), 30))
    theirs = transformers.BertModel(transformers.BertConfig(**SIZES, vocab_size=30)).eval()
    theirs.load_state_dict(encoder.network.state_dict(), strict=False)
    ids = texts()
    states = theirs(
        input_ids=ids, attention_mask=(torch.arange(8) < LENGTHS).long()
    ).last_hidden_state
    for row, length in enumerate(LENGTHS[:, 0]):
        expected = states[row, 0] if pooling == "cls" else states[row, :length].mean(0)
        assert torch.allclose(encoder(ids)[row], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bert", {"pooling": "cls"}),
        ("bert", {"pooling": "mean"}),
        ("clip-text", {"pooling": "projection"}),
        ("clip-text", {"pooling": "token"}),
    ],
)
def test_padding_does_not_change_the_feature(name, options):
    encoder = disturbed(build_encoder(name, {"config": SIZES, **options}, (12,), 30))
    ids = texts()
    longer = torch.cat([ids, torch.zeros(3, 4, dtype=torch.int64)], dim=1)
    assert torch.allclose(encoder(longer), encoder(ids), atol=1e-5)
    alone = torch.cat(
        [encoder(ids[row : row + 1, :length]) for row, length in enumerate(LENGTHS[:, 0])]
    )
    assert torch.allclose(alone, encoder(ids), atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "clip-text"])
def test_a_text_of_padding_only_has_a_finite_feature_and_gradient(name):
    encoder = build_encoder(name, {"config": SIZES}, (8,), 30)
    features = encoder(torch.zeros(2, 8, dtype=torch.int64))
    features.sum().backward()
    assert torch.isfinite(features).all()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


def test_cliptext_equals_the_librarys_at_its_end_of_text_id():
    config = transformers.CLIPTextConfig(
        **SIZES, projection_dim=5, vocab_size=30, eos_token_id=29, bos_token_id=28, pad_token_id=0
    )
    theirs = disturbed(transformers.CLIPTextModelWithProjection(config))
    encoder = build_encoder(
        "clip-text", {"config": {**SIZES, "projection_dim": 5}}, (8,), 30
    ).eval()
    encoder.network.load_state_dict(theirs.state_dict())
    ids = texts(vocabulary=28)
    ids.scatter_(1, LENGTHS - 1, 29)
    assert torch.allclose(encoder(ids), theirs(input_ids=ids).text_embeds, atol=1e-5)


@pytest.mark.parametrize(
    ("half", "shape", "vocabulary"), [("text", (8,), 30), ("vision", (3, 8, 8), None)]
)
def test_weights_of_a_whole_clip_give_either_half(tmp_path, half, shape, vocabulary):
    config = transformers.CLIPConfig(
        text_config={
            **SIZES,
            "vocab_size": 30,
            "eos_token_id": 29,
            "bos_token_id": 28,
            "pad_token_id": 0,
            "projection_dim": 5,
        },
        vision_config={**SIZES, "image_size": 8, "patch_size": 4, "projection_dim": 5},
        projection_dim=5,
    )
    whole = disturbed(transformers.CLIPModel(config))
    whole.save_pretrained(tmp_path)
    name = "clip-text" if half == "text" else "clip-image"
    encoder = build_encoder(name, {"weights": str(tmp_path)}, shape, vocabulary).eval()
    assert encoder.width == 5
    if half == "text":
        ids = texts(vocabulary=28).scatter_(1, LENGTHS - 1, 29)
        assert torch.allclose(
            encoder(ids), whole.get_text_features(input_ids=ids).pooler_output, atol=1e-5
        )
    else:
        images = torch.randn(2, 3, 8, 8)
        assert torch.allclose(
            encoder(images), whole.get_image_features(images).pooler_output, atol=1e-5
        )


def test_a_token_is_what_the_projection_is_made_of():
    options = {"config": {**SIZES, "projection_dim": 5}}
    projected = build_encoder("clip-text", options, (8,), 30).eval()
    token = build_encoder("clip-text", {**options, "pooling": "token"}, (8,), 30).eval()
    token.network.text_model.load_state_dict(projected.network.text_model.state_dict())
    assert token.width == 16
    ids = texts()
    assert torch.allclose(projected.network.text_projection(token(ids)), projected(ids), atol=1e-6)
