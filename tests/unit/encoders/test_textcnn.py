"""Kim's convolutions over words."""

import pytest
import torch

from equipoise.encoders import build_encoder
from equipoise.encoders.textcnn import TextCNN
from equipoise.errors import ConfigError


@pytest.fixture
def encoder():
    return TextCNN((9,), 40, embedding=5, windows=(2, 3, 5), filters=4, dropout=0.0)


def by_loops(encoder, text):
    """Equations 2 and 3 of the paper, one window and filter at a time; a text without padding."""
    words = [encoder.embedding.weight[word] for word in text]
    found = []
    for convolution in encoder.convolutions:
        size = convolution.kernel_size[0]
        padded = words + [torch.zeros(5)] * (size - len(words))
        for weight, bias in zip(convolution.weight, convolution.bias, strict=True):
            responses = []
            for start in range(len(padded) - size + 1):
                total = bias.clone()
                for offset in range(size):
                    total = total + weight[:, offset] @ padded[start + offset]
                responses.append(max(total, torch.zeros(())))
            found.append(max(responses))
    return torch.stack(found)


@pytest.mark.parametrize("length", [0, 1, 2, 4, 5, 9])
def test_it_equals_the_papers_equations(encoder, length):
    text = torch.randint(1, 40, (length,))
    ids = torch.zeros(1, 9, dtype=torch.int64)
    ids[0, :length] = text
    assert torch.allclose(encoder(ids)[0], by_loops(encoder, text), atol=1e-6)


def test_padding_changes_nothing(encoder):
    ids = torch.randint(1, 40, (6, 7))
    longer = torch.cat([ids, torch.zeros(6, 8, dtype=torch.int64)], dim=1)
    assert torch.allclose(encoder(longer), encoder(ids), atol=1e-6)


def test_the_padding_vector_is_never_trained_nor_read(encoder):
    ids = torch.randint(1, 40, (6, 9)) * (torch.arange(9) < 3)
    before = encoder(ids)
    before.sum().backward()
    assert not encoder.embedding.weight.grad[0].any()
    with torch.no_grad():
        encoder.embedding.weight[0] += 10
    assert torch.equal(encoder(ids), before)


def test_dropout_acts_in_training_only():
    encoder = TextCNN((9,), 40)
    ids = torch.randint(1, 40, (6, 9))
    assert not torch.equal(encoder(ids), encoder(ids))
    encoder.eval()
    assert torch.equal(encoder(ids), encoder(ids))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows": []}, "'windows' must be a list of one or more"),
        (
            {"windows": [3, 0]},
            r"'windows' must be a list of one or more positive integers, found \[3, 0\]",
        ),
        ({"dropout": 1.0}, r"'dropout' must be in \[0, 1\), found 1.0"),
        ({"embedding": 0}, "'embedding' must be a positive integer, found 0"),
        ({"width": 1.5}, "'width' must be a positive integer, found 1.5"),
        ({"filters": None}, "'filters' must be a positive integer, found None"),
    ],
)
def test_wrong_options_are_one_clear_line(options, message):
    with pytest.raises(ConfigError, match=message):
        build_encoder("textcnn", options, (9,), 40)


def test_it_reads_text_only():
    with pytest.raises(
        ConfigError, match="TextCNN reads text; declare the modality as name=column:text"
    ):
        build_encoder("textcnn", {}, (9,))
