"""Every registered head, encoder and built-in data set."""

from __future__ import annotations

import pytest

from equipoise import data
from equipoise.data.datasets import DATASETS
from equipoise.encoders import ENCODERS
from equipoise.heads import HEADS
from equipoise.testing import check_dataset, check_encoder, check_head

SHAPES = {"mlp": (9,), "small_cnn": (2, 12, 17), "resnet": (1, 40, 33)}


@pytest.mark.parametrize("modalities", [2, 3])
@pytest.mark.parametrize("name", HEADS.names())
def test_head(name, modalities):
    check_head(name, modalities=modalities)


@pytest.mark.parametrize("name", ENCODERS.names())
def test_encoder(name):
    check_encoder(name, SHAPES[name])


@pytest.mark.parametrize("name", [entry.name for entry in DATASETS if entry.target.endswith(":load")])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_dataset(name, missing):
    check_dataset(data.load(name, missing=missing, holdout=0.1))
