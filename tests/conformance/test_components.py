"""Every registered head, encoder and built-in data set."""

from __future__ import annotations

import pytest

from equipoise import data
from equipoise.data.datasets import DATASETS
from equipoise.encoders import ENCODERS
from equipoise.heads import HEADS
from equipoise.settings import DataSettings
from equipoise.testing import check_dataset, check_encoder, check_head

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
SMALL = {  # encoder: shape of a sample, number of token ids, options
    "residual_mlp": ((9,), None, {}),
    "mlp": ((9,), None, {}),
    "small_cnn": ((2, 12, 17), None, {}),
    "resnet": ((1, 40, 33), None, {}),
    "textcnn": ((7,), 30, {"embedding": 6, "filters": 4, "dropout": 0.0, "width": 5}),
    "gru": ((7,), 30, {"embedding": 6, "hidden": 4, "bidirectional": True, "pooling": "mean"}),
    "sequence_transformer": ((6, 5), None, {"width": 8, "hidden": 16}),
    "bert": ((7,), 30, {"config": TINY, "pooling": "mean", "width": 5}),
    "vit": ((3, 8, 8), None, {"config": {**TINY, "patch_size": 4}}),
    "ast": ((1, 8, 13), None, {"config": {**TINY, "patch_size": 4, "time_stride": 3}}),
    "clip-image": ((2, 3, 8, 8), None, {"config": {**TINY, "patch_size": 4, "projection_dim": 5}}),
    "clip-text": ((7,), 30, {"config": {**TINY, "projection_dim": 5}}),
    "hf": ((7,), 30, {"config": {**TINY, "model_type": "roberta"}, "tuning": "frozen", "width": 5}),
    "m3ae": ((5,), 30, {"size": "small", "width": 6}),
    "cav-mae": ((1, 32, 50), None, {}),
    "i3d": ((8, 2, 32, 32), None, {"width": 7}),
}


@pytest.mark.parametrize("modalities", [2, 3])
@pytest.mark.parametrize("name", HEADS.names())
def test_head(name, modalities):
    check_head(name, modalities=modalities)


@pytest.mark.parametrize("name", ENCODERS.names())
def test_encoder(name):
    if ENCODERS[name].needs:
        pytest.importorskip(ENCODERS[name].needs)
    shape, vocabulary, options = SMALL[name]
    check_encoder(name, shape, vocabulary=vocabulary, options=options)


@pytest.mark.parametrize(
    "name", [entry.name for entry in DATASETS if entry.target.endswith(":load")]
)
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_dataset(name, missing):
    check_dataset(data.load(DataSettings(name, missing=missing, holdout=0.1)))
