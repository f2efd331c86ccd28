"""Frozen encoders run once: training is the same as without the cache, and reads nothing stale."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch

from equipoise import data
from equipoise.data.table.missing import mask
from equipoise.encoders.pretrained.bert import Bert
from equipoise.errors import RunError
from equipoise.runs.build import build_model
from equipoise.runs.frozen_features import cache_features
from equipoise.runs.run import train
from equipoise.runs.trained import Trained
from equipoise.settings import DataSettings, Settings

CPU = torch.device("cpu")
TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 20,
}


@pytest.fixture
def frame():
    rng = np.random.default_rng()
    words = np.array(["red", "green", "blue", "one", "two", "three", "four", "five"])
    texts = [" ".join(rng.choice(words, rng.integers(2, 8))) for _ in range(90)]
    texts[5] = None
    return pd.DataFrame(
        {
            "words": texts,
            "x": rng.normal(size=90),
            "y": rng.normal(size=90),
            "label": list("abc") * 30,
        }
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


def load(frame, chosen, **more):
    d = chosen.data
    return data.load(
        DataSettings(frame, modality=d.modality, options=d.options, cache=d.cache, **more)
    )


@dataclass
class Counter:
    """The number of samples that a backbone has seen."""

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
    monkeypatch.setattr("equipoise.runs.run.cache_features", lambda splits, *_: splits)
    plain = Trained(train(chosen, tmp_path / "plain", splits=load(frame, chosen)).folder)
    for (name, a), b in zip(
        quick.model.state_dict().items(), plain.model.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3, msg=name)


def test_hidden_content_is_encoded_to_be_revealed(frame, tmp_path):
    """In the simulated regime a hidden cell reads as zeros, and a method can reveal its feature."""
    chosen = settings(tmp_path)
    plain = load(frame, chosen, missing=0.45, missing_regime="simulated")
    model = build_model(chosen, plain.train.specs, plain.train.classes).eval()
    quick = cache_features(plain, model, tmp_path / "cache", CPU)
    order = np.random.default_rng().permutation(len(plain.train))
    batch, short = (splits.train.rows(order) for splits in (plain, quick))
    present, existing = short.present["words"], short.existing["words"]
    hidden = existing & ~present
    assert hidden.any()
    assert torch.equal(existing, batch.existing["words"])
    assert not short.inputs["words"]["feature"][~present].any()
    with torch.no_grad():
        shown, revealed, expected = (
            model.encode(b)["words"] for b in (short, short.revealed(), batch.revealed())
        )
    assert not shown[~present].any()
    assert revealed[hidden].any(1).all()
    torch.testing.assert_close(revealed, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(shown[present], revealed[present], atol=1e-5, rtol=1e-4)


def test_only_what_no_run_before_had_is_encoded(frame, tmp_path, counter):
    """Runs that lack other cells share the rest, and read the same as a run without a cache."""
    chosen = settings(tmp_path)
    whole, seen = load(frame, chosen), set()
    for seed in np.random.default_rng().integers(1000, size=3):
        parts = {
            n: mask(getattr(whole, n), 0.4, seed=int(seed), split=n)
            for n in ("train", "validation", "test")
        }
        splits = replace(whole, **parts)
        model = build_model(chosen, splits.train.specs, splits.train.classes).eval()
        quick = cache_features(splits, model, tmp_path / "cache", CPU)
        for name, plain in parts.items():
            seen.update(plain.store_rows[plain.present["words"]])
            batch, short = (
                table.rows(np.arange(len(plain))) for table in (plain, getattr(quick, name))
            )
            counted = counter.seen
            with torch.no_grad():
                torch.testing.assert_close(
                    model(short).fused, model(batch).fused, atol=1e-5, rtol=1e-4
                )
            counter.seen = counted
        assert counter.seen == len(seen)
    assert len(list((tmp_path / "cache").glob("*.features.npy"))) == 1


def test_features_whose_rows_were_never_written_down_are_made_again(frame, tmp_path, counter):
    chosen = settings(tmp_path)
    splits = load(frame, chosen)
    model = build_model(chosen, splits.train.specs, splits.train.classes)
    cache_features(splits, model, tmp_path / "cache", CPU)
    (rows,) = (tmp_path / "cache").glob("*.rows.npy")
    rows.unlink()  # a kill between the two files
    cache_features(splits, model, tmp_path / "cache", CPU)
    assert counter.seen == 2 * 89


@pytest.mark.parametrize("regime", ["strict", "simulated"])
@pytest.mark.parametrize("method", ["ae", "mmin", "smv-sample"])
def test_training_with_cells_hidden_is_the_same_as_without(
    frame, tmp_path, monkeypatch, method, regime
):
    options = {"warm_up": 1} if method == "smv-sample" else {}
    chosen = Settings.from_dict(
        {**settings(tmp_path).to_dict(), "method": {"name": method, **options}}
    )
    splits = load(frame, chosen, missing=0.4, missing_regime=regime)
    quick = Trained(train(chosen, tmp_path / "quick", splits=splits).folder)
    monkeypatch.setattr("equipoise.runs.run.cache_features", lambda splits, *_: splits)
    plain = Trained(train(chosen, tmp_path / "plain", splits=splits).folder)
    for (name, a), b in zip(
        quick.model.state_dict().items(), plain.model.state_dict().values(), strict=True
    ):
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
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(
            tmp_path / f"{number}.png"
        )
    frame = pd.DataFrame(
        {"p": [f"{k}.png" for k in range(30)], "x": rng.normal(size=30), "label": list("ab") * 15}
    )
    for flip in (False, True):
        options = {"p": {"size": 16, "flip": flip}}
        splits = data.load(
            DataSettings(
                frame,
                modality=["p=p:image", "n=x"],
                root=str(tmp_path),
                options=options,
                cache=str(tmp_path / "c"),
            )
        )
        config = {**TINY, "patch_size": 8}
        chosen = Settings.from_dict(
            {"encoder": {"p": {"name": "vit", "config": config, "tuning": "frozen", "width": 8}}}
        )
        model = build_model(chosen, splits.train.specs, splits.train.classes)
        cached = cache_features(splits, model, tmp_path / "c", CPU)
        assert (cached is splits) == flip


def test_damaged_features_are_noticed_when_they_are_read(frame, tmp_path):
    chosen = settings(tmp_path)
    train(chosen, tmp_path / "run", splits=load(frame, chosen))
    [path] = (tmp_path / "cache").glob("*.features.npy")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # the sign or exponent of the last feature
    path.write_bytes(content)
    with pytest.raises(
        RunError, match=r"features\.npy: damaged, row 89 .*; delete it, and the feat"
    ):
        train(chosen, tmp_path / "again", splits=load(frame, chosen))
    path.unlink()
    train(chosen, tmp_path / "once more", splits=load(frame, chosen))


def test_a_list_of_rows_that_does_not_fit_is_noticed(frame, tmp_path):
    chosen = settings(tmp_path)
    train(chosen, tmp_path / "run", splits=load(frame, chosen))
    [path] = (tmp_path / "cache").glob("*.features.rows.npy")
    known = np.load(path)
    known[-1, 0] = 10_000
    np.save(path, known)
    with pytest.raises(RunError, match=r"features\.npy: damaged; delete it"):
        train(chosen, tmp_path / "again", splits=load(frame, chosen))


def test_features_of_version_0_1_are_computed_anew(frame, tmp_path, counter):
    chosen = settings(tmp_path)
    train(chosen, tmp_path / "run", splits=load(frame, chosen))
    [path] = (tmp_path / "cache").glob("*.features.rows.npy")
    np.save(path, np.load(path)[:, 0])
    train(chosen, tmp_path / "again", splits=load(frame, chosen))
    assert counter.seen == 2 * 89
