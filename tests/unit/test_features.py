"""Frozen encoders run once: the same training as without the cache, and nothing stale is ever read."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch

from equipoise import data
from equipoise.build import build_model
from equipoise.encoders.bert import Bert
from equipoise.features import cache_features
from equipoise.run import train
from equipoise.settings import Settings
from equipoise.trained import Trained

CPU = torch.device("cpu")
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 20}


@pytest.fixture
def frame():
    rng = np.random.default_rng()
    words = np.array(["red", "green", "blue", "one", "two", "three", "four", "five"])
    texts = [" ".join(rng.choice(words, rng.integers(2, 8))) for _ in range(90)]
    texts[5] = None
    return pd.DataFrame(
        {"words": texts, "x": rng.normal(size=90), "y": rng.normal(size=90), "label": list("abc") * 30}
    )


def settings(tmp_path, **more):
    bert = {"name": "bert", "config": TINY, "tuning": "frozen", "width": 8, **more}
    return Settings.from_dict(
        {
            "data": {
                "modality": ["words=words:text", "numbers=x,y"],
                "options": {"words": {"length": 9, "minimum": 1}},
                "cache": str(tmp_path / "cache"),
            },
            "encoder": {"words": bert},
            "epochs": 2,
        }
    )


def load(frame, chosen):
    d = chosen.data
    return data.load(frame, modalities=d.modality, options=d.options, cache=d.cache)


@dataclass
class Counter:
    """How many samples a backbone has seen."""

    seen: int = 0


@pytest.fixture
def counter(monkeypatch):
    count, real = Counter(), Bert.pooled

    def pooled(self, inputs):
        count.seen += len(inputs)
        return real(self, inputs)

    monkeypatch.setattr(Bert, "pooled", pooled)
    return count


def test_features_stand_for_the_samples(frame, tmp_path):
    chosen = settings(tmp_path)
    splits = load(frame, chosen)
    model = build_model(chosen, splits.train.specs, splits.train.classes).eval()
    cached = cache_features(splits, model, tmp_path / "cache", CPU)
    for name in ("train", "validation", "test"):
        plain, quick = getattr(splits, name), getattr(cached, name)
        batch, short = (table.rows(np.arange(len(plain))) for table in (plain, quick))
        assert set(short.inputs["words"]) == {"feature"}
        with torch.no_grad():
            torch.testing.assert_close(model(short).fused, model(batch).fused, atol=1e-5, rtol=1e-4)


def test_the_backbone_runs_once_for_every_sample_of_all_runs(frame, tmp_path, counter):
    chosen = settings(tmp_path)
    for number in range(2):
        train(chosen, tmp_path / f"run{number}", splits=load(frame, chosen))
    assert counter.seen == 89


def test_training_is_the_same_as_without(frame, tmp_path, monkeypatch):
    chosen = settings(tmp_path)
    quick = Trained(train(chosen, tmp_path / "quick", splits=load(frame, chosen)).folder)
    monkeypatch.setattr("equipoise.run.cache_features", lambda splits, *_: splits)
    plain = Trained(train(chosen, tmp_path / "plain", splits=load(frame, chosen)).folder)
    for (name, a), b in zip(quick.model.state_dict().items(), plain.model.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3, msg=name)


@pytest.mark.parametrize("what", ["weights", "texts", "transform", "pooling"])
def test_whatever_features_depend_on_makes_others(frame, tmp_path, counter, what):
    chosen = settings(tmp_path)
    splits = load(frame, chosen)
    model = build_model(chosen, splits.train.specs, splits.train.classes)
    cache_features(splits, model, tmp_path / "cache", CPU)
    counter.seen = 0
    if what == "weights":
        with torch.no_grad():
            next(model.encoders["words"].network.parameters()).add_(1)
    if what == "texts":
        frame.loc[7, "words"] = "red red red"
    if what == "transform":
        chosen.data.options["words"]["length"] = 4
    if what == "pooling":
        chosen = settings(tmp_path, pooling="mean")
    if what != "weights":
        splits = load(frame, chosen)
        model = build_model(chosen, splits.train.specs, splits.train.classes)
    cache_features(splits, model, tmp_path / "cache", CPU)
    assert counter.seen == 89


def test_an_encoder_that_is_trained_is_left_alone(frame, tmp_path):
    chosen = settings(tmp_path, tuning="full")
    splits = load(frame, chosen)
    model = build_model(chosen, splits.train.specs, splits.train.classes)
    assert cache_features(splits, model, tmp_path / "cache", CPU) is splits


def test_augmented_pictures_are_encoded_as_they_come(tmp_path):
    from PIL import Image

    rng = np.random.default_rng()
    for number in range(30):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    frame = pd.DataFrame({"p": [f"{k}.png" for k in range(30)], "x": rng.normal(size=30), "label": list("ab") * 15})
    for flip in (False, True):
        options = {"p": {"size": 16, "flip": flip}}
        splits = data.load(
            frame, modalities=["p=p:image", "n=x"], root=str(tmp_path), options=options, cache=str(tmp_path / "c")
        )
        config = {**TINY, "patch_size": 8}
        chosen = Settings.from_dict(
            {"encoder": {"p": {"name": "vit", "config": config, "tuning": "frozen", "width": 8}}}
        )
        model = build_model(chosen, splits.train.specs, splits.train.classes)
        cached = cache_features(splits, model, tmp_path / "c", CPU)
        assert (cached is splits) == flip
