"""Series of different lengths: padding is masked, and changes no prediction."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import equipoise
from equipoise import data
from equipoise.batch import Batch
from equipoise.encoders import build_encoder
from equipoise.model import Model
from equipoise.portfolio.features import Reader
from equipoise.runs.build import build_model
from equipoise.settings import DataSettings, Settings

ROWS = 60
SHORTEST, LONGEST = 3, 9


@pytest.fixture
def rng(seed):
    return np.random.default_rng(seed)


@pytest.fixture
def frame(rng, tmp_path):
    """Series of two and of one number at a time, in which steps of zeros are real, and a vector."""
    label = np.arange(ROWS) % 2
    lengths = rng.integers(SHORTEST, LONGEST + 1, ROWS)
    lengths[:2] = SHORTEST, LONGEST
    for row in range(ROWS):
        series = rng.normal(3 + label[row], 2, (lengths[row], 2))
        series[-1] = 0
        np.save(tmp_path / f"s{row}.npy", series)
        np.save(tmp_path / f"t{row}.npy", rng.normal(label[row], 1, lengths[row]))
    return pd.DataFrame(
        {
            "s": [str(tmp_path / f"s{row}.npy") if row % 7 else None for row in range(ROWS)],
            "t": [str(tmp_path / f"t{row}.npy") for row in range(ROWS)],
            "x0": rng.normal(label, 1),
            "x1": rng.normal(size=ROWS),
            "label": label,
            "part": np.resize(["train", "train", "validation", "train", "test"], ROWS),
        }
    )


MODALITIES = ["s=s:array", "t=t:array", "x=x0,x1:vector"]


def load(frame, count=3, **options):
    chosen = MODALITIES[:count]
    known = {m.partition("=")[0]: options for m in chosen if m.endswith("array")}
    return data.load(DataSettings(frame, modality=chosen, split="part", options=known))


def everything(table):
    return table.rows(np.arange(len(table)))


def test_the_mask_says_what_the_files_hold(frame):
    table = load(frame, length=LONGEST).train
    batch = everything(table)
    rows = np.flatnonzero(frame["part"] == "train")
    for modality, there in (("s", table.present["s"]), ("t", table.present["t"])):
        mask = batch.inputs[modality]["mask"].numpy()
        for place, row in enumerate(rows):
            length = len(np.load(frame.loc[row, modality])) if there[place] else 0
            assert mask[place].tolist() == [True] * length + [False] * (LONGEST - length)
        values = batch.inputs[modality]["values"].numpy()
        assert values.dtype == np.float32
        assert (values[~mask] == 0).all()
        assert values[mask].mean(axis=0) == pytest.approx(0, abs=1e-4)
        assert values[mask].std(axis=0) == pytest.approx(1, abs=1e-4)
    assert isinstance(batch.inputs["x"], torch.Tensor)


def test_lengths_follow_the_training_rows(frame):
    parts = load(frame)
    settings = parts.preprocessing["transforms"]["t"]
    lengths = [len(np.load(path)) for path in frame.loc[frame["part"] == "train", "t"]]
    assert settings["length"] == sorted(lengths)[int(np.ceil(0.95 * len(lengths))) - 1]
    assert (settings["rest"], settings["mask"]) == ([1], True)
    assert "shortest 3, padding is masked" in parts.preprocessing["reading"]["t"]


def test_series_of_one_length_have_no_mask(frame, tmp_path, rng):
    for row in range(ROWS):
        np.save(tmp_path / f"s{row}.npy", rng.normal(size=(5, 2)))
    frame["s"] = [str(tmp_path / f"s{row}.npy") for row in range(ROWS)]
    parts = load(frame, count=1)
    assert isinstance(everything(parts.train).inputs["s"], torch.Tensor)
    assert not parts.train.specs["s"].masked
    assert load(frame, count=1, length=7).train.specs["s"].masked
    assert not load(frame, count=1, length=7, mask=False).train.specs["s"].masked


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gru", {}),
        ("gru", {"pooling": "mean"}),
        ("gru", {"bidirectional": True, "pooling": "mean", "width": 3}),
        ("sequence_transformer", {"width": 8, "hidden": 8, "heads": 2}),
    ],
)
def test_padding_changes_no_feature(name, options, rng):
    lengths = rng.integers(1, 7, 5)
    features = []
    for length in (6, 11):
        torch.manual_seed(0)
        encoder = build_encoder(name, options, (length, 3)).eval()
        mask = torch.arange(length) < torch.from_numpy(lengths)[:, None]
        values = torch.randn(5, length, 3)
        torch.manual_seed(1)
        values[:, :6] = torch.randn(5, 6, 3)
        features.append(encoder({"values": values * 7, "mask": mask}))
        alone = encoder(values[:1, : lengths[0]] * 7)
        assert torch.allclose(features[-1][:1], alone, atol=1e-6)
    assert torch.allclose(*features, atol=1e-6)


@pytest.mark.parametrize("count", [2, 3])
def test_predictions_do_not_depend_on_the_length_of_the_run(frame, count):
    fused = []
    for length in (LONGEST, LONGEST + 30):
        parts = load(frame, count, length=length)
        model = build_model(Settings(width=6), parts.train.specs, parts.train.classes).eval()
        with torch.no_grad():
            fused.append(model(everything(parts.test)).fused)
    assert torch.allclose(*fused, atol=1e-6)


class Sum(torch.nn.Module):
    """An encoder of a user, who has never heard of masks."""

    width = 2

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values.sum(1)


def test_encoders_without_a_mask_read_padded_values(frame):
    frame["s"] = frame["s"].ffill().bfill()
    parts = load(frame, count=1)
    batch = everything(parts.train)
    head = build_model(Settings(width=2), parts.train.specs, parts.train.classes).head
    features = Model({"s": Sum()}, head).encode(batch)["s"]
    assert torch.allclose(features, batch.inputs["s"]["values"].sum(1), atol=1e-5)


@pytest.mark.parametrize("method", ["mla", "mie", "agm", "balanced"])
def test_a_run_predicts_new_series(frame, method, tmp_path):
    settings = {"epochs": 1, "width": 6, "split": "part", "out": tmp_path / "run"}
    run = equipoise.fit(frame, method=method, modality=MODALITIES, **settings)
    facts = json.loads((tmp_path / "run/data.json").read_text())["modalities"]
    assert facts["s"]["masked"] is True
    assert "masked" not in facts["x"]
    new = frame.head(4).drop(columns=["label", "part"])
    whole = equipoise.predict(run, new, allow_absent=True)
    alone = equipoise.predict(run, new.iloc[[1]], allow_absent=True)
    assert np.allclose(whole["p_0"].iloc[1], alone["p_0"].iloc[0], atol=1e-5)


def test_a_run_of_an_earlier_version_reads_new_series_without_a_mask(frame, rng, tmp_path):
    for row in range(ROWS):
        np.save(tmp_path / f"s{row}.npy", rng.normal(size=(5, 2)))
    frame["s"] = [str(tmp_path / f"s{row}.npy") for row in range(ROWS)]
    parts = load(frame, count=1)
    facts = dict(parts.preprocessing)
    facts["transforms"] = {"s": {"length": 5, "rest": [2], "normalise": "fit"}}
    np.save(tmp_path / "s0.npy", rng.normal(size=(3, 2)))
    table = data.read_table(
        DataSettings(frame),
        specs=parts.train.specs,
        classes=parts.train.classes,
        preprocessing=facts,
    )
    assert isinstance(everything(table).inputs["s"], torch.Tensor)


def test_no_step_at_all_is_no_reason_to_divide_by_nothing():
    for name in ("gru", "sequence_transformer"):
        encoder = build_encoder(name, {"width": 8}, (4, 2)).eval()
        nothing = {"values": torch.zeros(2, 4, 2), "mask": torch.zeros(2, 4, dtype=torch.bool)}
        assert encoder(nothing).isfinite().all()


def test_pooled_features_ignore_padding(frame):
    short, long = (load(frame, length=length) for length in (LONGEST, LONGEST + 5))
    first, second = (Reader.fit(parts.train)(parts.test) for parts in (short, long))
    assert np.allclose(first.dense["s"], second.dense["s"], atol=1e-5)
    assert np.isfinite(first.dense["t"]).all()


def test_doctor_reads_series_of_different_lengths(frame):
    found = equipoise.doctor(frame.drop(columns="part"))["suggestion"]["modality"]
    assert {"s=s:array", "t=t:array"} <= set(found)
    report = equipoise.doctor(frame, modality=MODALITIES, split="part")
    assert report["strength"]["s"]["measured_on"] > 0
    assert "padding is masked" in report["inputs"]["t"]


def test_hidden_series_hide_their_mask(frame):
    batch: Batch = everything(load(frame).train)
    nobody = {m: torch.zeros(len(batch), dtype=torch.bool) for m in batch.present}
    hidden = batch.hide({**nobody, "x": batch.present["x"]})
    assert not hidden.inputs["s"]["mask"].any()
    assert hidden.revealed().inputs["s"]["mask"].any()
