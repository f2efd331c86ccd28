"""The trained network in use: features, logits, a plain module, another fusion, kept epochs."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import equipoise
from equipoise.errors import ConfigError, RunError
from equipoise.heads.parts.fusion import entropy_weights
from equipoise.runs import run as runs
from equipoise.runs.trained import Trained
from equipoise.settings import Settings
from plain import PLAIN

SMALL = {
    "data.options": {"samples": 160},
    "data.missing": 0.2,
    "epochs": 3,
    "width": 8,
    "optimiser": PLAIN,
    "select": "accuracy",
    "patience": 0,
    "verbose": 0,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    return equipoise.fit(
        "synthetic", "mla", folder, keep_epochs=[1, "last"], **SMALL, calibration="temperature"
    )


def test_features_are_those_that_the_head_reads(run):
    trained = Trained(run.folder)
    table = trained.own("test")
    found = run.features()
    head = run.model.head
    predicted = trained.predict(table)
    for modality, features in found.items():
        here = table.present[modality]
        assert features.shape == (len(table), head.widths[modality])
        assert np.isnan(features[~here]).all()
        logits = head.unimodal(modality, torch.from_numpy(features[here])).detach().numpy()
        scaled = logits / run.result["temperature"]["modalities"][modality]
        own = predicted.logits[modality][here]
        assert np.allclose(scaled - scaled.max(1, keepdims=True), own, atol=1e-5)
    assert len(run.features(split="train")["easy"]) > len(table)


def test_logits_are_the_predictions(run):
    found = run.logits(split="validation")
    accuracy = run.result["validation"]["fused"]["accuracy"]
    label = Trained(run.folder).own("validation").label
    assert (found["fused"].argmax(1) == label).mean() == pytest.approx(accuracy)
    present = Trained(run.folder).own("validation").present
    for modality in ("easy", "hard"):
        assert (np.isnan(found[modality]).any(1) == ~present[modality]).all()


def test_the_plain_module_is_the_network(run):
    table = Trained(run.folder).own("test")
    batch = table.rows(np.flatnonzero(table.present["easy"] & table.present["hard"]))
    module = run.module
    both = module(batch.inputs)
    with torch.no_grad():
        assert torch.equal(both, run.model(batch).fused)
        alone = module({"easy": batch.inputs["easy"]})
        assert torch.allclose(alone, run.model(batch, ("easy",)).fused)
    both.sum().backward()
    assert all(p.grad is not None for p in module.model.encoders.parameters())


def test_the_fusion_of_a_trained_head_can_be_exchanged(run):
    """Closed forms on the logits that are stored: mean, and MLA's entropy weights."""
    trained = Trained(run.folder, head={"fusion": "mean"})
    table = trained.own("test")
    found = trained.predict(table)
    raw = Trained(run.folder, head={"fusion": "entropy"}).predict(table)
    logits = torch.from_numpy(np.stack([found.logits[m] for m in found.modalities]))
    present = torch.from_numpy(np.stack([found.present[m] for m in found.modalities]))
    weights = present.float() / present.sum(0)
    assert np.allclose(found.fused, (weights.unsqueeze(-1) * logits).sum(0), atol=1e-5)
    weights = entropy_weights(logits, present)
    assert np.allclose(raw.fused, (weights.unsqueeze(-1) * logits).sum(0), atol=1e-5)
    accuracy = equipoise.evaluate(run, head={"fusion": "mean"})["fused"]["accuracy"]
    assert accuracy == pytest.approx((found.fused.argmax(1) == table.label).mean())


def test_a_head_of_other_parts_is_refused(run):
    with pytest.raises(ConfigError, match="do not fit head 'concat'"):
        equipoise.evaluate(run, head="concat")
    with pytest.raises(ConfigError, match="'fusion' must be one of"):
        equipoise.evaluate(run, head={"fusion": "median"})


def test_kept_epochs_are_the_weights_after_them(run):
    """A run of one epoch under the same settings ends with the weights kept after epoch 1."""
    settings = run.settings
    values = settings.to_dict()
    short = Settings.from_dict({**values, "epochs": 1, "keep_epochs": []})
    one = runs.train(short, run.folder.parent / "one")
    first = Trained(run.folder, epoch=1).model.state_dict()
    for name, tensor in Trained(one.folder).model.state_dict().items():
        assert torch.equal(tensor, first[name]), name
    assert Trained(run.folder, epoch=3).epoch == 3
    with pytest.raises(RunError, match=r"after epoch 2 were not kept \(kept: 1, 3\)"):
        Trained(run.folder, epoch=2)


def test_epochs_that_never_come_are_told(tmp_path):
    with pytest.warns(UserWarning, match="no weights of epoch 9 are kept"):
        equipoise.fit("synthetic", "joint", tmp_path / "run", keep_epochs=[9], **SMALL)
    with pytest.raises(ConfigError, match="keep_epochs"):
        equipoise.fit("synthetic", "joint", tmp_path / "other", keep_epochs=[0], **SMALL)


def test_uniform_labels():
    """At label smoothing 1 the loss is log C at equal logits, for every label, and at no less."""
    from equipoise.training.criterion import Criterion

    logits = torch.randn(6, 4)
    loss = Criterion(label_smoothing=1.0)
    label = torch.randint(4, (6,))
    assert torch.allclose(loss(logits, label), -F.log_softmax(logits, 1).mean(1))
    assert torch.allclose(loss(torch.zeros(1, 4), label[:1]), torch.tensor(4.0).log())
