"""Contributions, confusions and disagreements of predictions that are known."""

import numpy as np
import pytest

from equipoise.analysis.confusion import confusion_difference, fractions
from equipoise.analysis.contribution import bootstrap_interval, shapley
from equipoise.analysis.disagreement import disagreeing, disagreement
from equipoise.batch import Predictions
from equipoise.errors import ConfigError, RunError
from equipoise.evaluation.predict import predict
from equipoise.runs.trained import Trained


def test_contributions_are_those_of_the_result(trio):
    """The closed form of two modalities: φ_a = ½ (v(a) + v(ab) − v(b))."""
    run = trio["mla"]
    found = shapley(run, draws=200).to_frame().set_index("modality")
    for modality, value in run.result["contribution"].items():
        assert found.loc[modality, "contribution"] == pytest.approx(value)
    trained = Trained(run.folder)
    table = trained.own("test")
    chance = np.bincount(table.label).max() / len(table)

    def worth(*modalities):
        fused = predict(trained.model, table, only=modalities).fused
        return (fused.argmax(1) == table.label).mean() - chance

    easy = 0.5 * (worth("easy") + worth("easy", "hard") - worth("hard"))
    assert found.loc["easy", "contribution"] == pytest.approx(easy)
    assert found["contribution"].sum() == pytest.approx(worth("easy", "hard"))
    assert (found["low"] <= found["contribution"]).all()
    assert (found["contribution"] <= found["high"]).all()


def test_the_interval_of_a_mean():
    """Of many values it is the mean ± 1.96 standard errors."""
    values = np.random.default_rng().normal(3, 2, size=2000)
    low, high = bootstrap_interval(values, 3000, seed=1)
    error = values.std() / 2000**0.5
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def predictions(label, fused, **logits):
    """Predictions of three classes that are held with the logit 2."""
    eye = 2 * np.eye(3, dtype=np.float32)
    count = len(label)
    return Predictions(
        index=np.arange(count),
        label=np.array(label),
        present={m: np.array([x is not None for x in of]) for m, of in logits.items()},
        logits={
            m: np.stack([s * eye[c] for c, s in (x or (0, 0.0) for x in of)])
            for m, of in logits.items()
        },
        fused=eye[np.array(fused)],
        classes=("a", "b", "c"),
    )


def test_fractions_of_a_true_class():
    found = predictions([0, 0, 0, 1, -1], [0, 1, 1, 1, 2], x=[(0, 1)] * 5)
    assert np.allclose(fractions(found, "fused"), [[1 / 3, 2 / 3, 0], [0, 1, 0], [0, 0, 0]])
    assert np.allclose(fractions(found, "x"), [[1, 0, 0], [1, 0, 0], [0, 0, 0]])


def test_disagreements_are_ordered_by_the_less_sure_side():
    """Sample 1 agrees, sample 3 lacks a modality; sample 2 is surer than sample 0 on both sides."""
    found = predictions(
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        x=[(0, 3), (1, 3), (0, 2), (0, 3)],
        y=[(1, 0.5), (1, 3), (1, 2), None],
    )
    rows, sureness = disagreeing(found)
    assert rows.tolist() == [2, 0]
    p = np.exp(4) / (np.exp(4) + 2)
    assert sureness[0] == pytest.approx(p)
    assert sureness[1] == pytest.approx(np.e / (np.e + 2))


def test_differences_of_runs(trio):
    record = confusion_difference([trio["joint"], trio["mla"]])
    found = record.to_frame()
    right = found[found["true"] == found["predicted"]]
    for run, column in (("mla", "fraction"), ("joint", "reference fraction")):
        classes = trio[run].evaluate()["classes"]
        assert right[column].tolist() == pytest.approx([c["recall"] or 0.0 for c in classes])
    assert found.groupby("true")["difference"].sum().to_numpy() == pytest.approx(0, abs=1e-9)
    twice = confusion_difference([trio["joint"].folder] * 2, part="hard").to_frame()
    assert (twice["difference"] == 0).all()
    with pytest.raises(RunError, match="at least two"):
        confusion_difference(trio["joint"])
    with pytest.raises(ConfigError, match="no part 'left'; there are fused, easy, hard"):
        confusion_difference([trio["joint"], trio["mla"]], part="left")


def test_disagreements_of_a_run(trio):
    record = disagreement(trio["joint"], show=2)
    found = record.to_frame()
    logits = trio["joint"].logits()
    chosen = [np.nan_to_num(logits[m], nan=-1).argmax(1) for m in ("easy", "hard")]
    both = ~np.isnan(logits["easy"][:, 0]) & ~np.isnan(logits["hard"][:, 0])
    assert len(found) == (both & (chosen[0] != chosen[1])).sum()
    assert (found["easy"] != found["hard"]).all()
    assert found["sureness"].is_monotonic_decreasing
    assert (found["sureness"] <= found[["p(easy)", "p(hard)"]].min(axis=1) + 1e-9).all()
    assert len(record.picture.panels) == 4
