"""The gap of clouds whose centres are known, and of runs."""

import numpy as np
import pandas as pd
import pytest

from equipoise.analysis.gap import gap, modality_gap, normalised, project, separability
from equipoise.errors import ConfigError, RunError


def cloud(rng, direction, spread, count=400):
    """Gaussian features around a direction, at random lengths, which the gap must not see."""
    lengths = rng.uniform(0.5, 5, (count, 1))
    return lengths * (direction + spread * rng.normal(size=(count, len(direction))))


@pytest.mark.parametrize("angle", [0, 30, 90, 180])
def test_two_tight_clouds(angle):
    """The gap of two directions is 2 sin(angle / 2): 0, 0.518, √2 and 2."""
    rng = np.random.default_rng()
    first = np.eye(6)[0]
    second = np.cos(np.radians(angle)) * first + np.sin(np.radians(angle)) * np.eye(6)[1]
    a, b = cloud(rng, first, 1e-3), cloud(rng, second, 1e-3)
    assert modality_gap(a, b) == pytest.approx(2 * np.sin(np.radians(angle / 2)), abs=1e-3)
    assert modality_gap(b, a) == modality_gap(a, b)


def test_wide_clouds_have_a_smaller_gap_and_are_still_told_apart():
    """Of isotropic clouds around ±c the gap is 2 E[cos of the angle to c]."""
    rng = np.random.default_rng()
    direction = np.eye(5)[2]
    a, b = cloud(rng, direction, 0.7), cloud(rng, -direction, 0.7)
    assert modality_gap(a, b) == pytest.approx(2 * normalised(a)[:, 2].mean(), abs=0.1)
    assert separability(a, b) > 0.9


def test_the_same_cloud_has_no_gap():
    rng = np.random.default_rng()
    a, b = (rng.normal(size=(3000, 4)) for _ in range(2))
    assert modality_gap(a, b) < 0.06
    assert separability(a, b) == pytest.approx(0.5, abs=0.05)
    assert modality_gap(a, a) == 0


def test_pca_keeps_the_two_widest_directions():
    rng = np.random.default_rng()
    basis, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    widths = np.array([9.0, 4.0, 0.1, 0.1, 0.1, 0.1])
    points = (rng.normal(size=(500, 6)) * widths) @ basis.T
    flat = project(points, "pca")
    centred = points - points.mean(0)
    share = (flat**2).sum() / (centred**2).sum()
    assert share > 0.99
    assert np.allclose(project(points, "pca"), flat)


def test_the_gap_of_runs(trio, tmp_path):
    """The table agrees with the features themselves; missing cells leave their samples out."""
    record = gap(trio["joint"], split="train")
    found = record.to_frame()
    features = trio["joint"].features(split="train")
    assert list(found["pair"]) == ["easy – hard"]
    both = ~np.isnan(features["easy"][:, 0]) & ~np.isnan(features["hard"][:, 0])
    assert 0 < both.sum() < len(both)
    expected = modality_gap(features["easy"][both], features["hard"][both])
    assert found["gap"][0] == pytest.approx(expected)
    assert found["samples"][0] == both.sum()
    points = record.to_frame("points")
    assert len(points) == sum((~np.isnan(z[:, 0])).sum() for z in features.values())
    several = gap([trio["joint"].folder, str(trio["mla"].folder)])
    assert list(several.to_frame()["run"]) == ["joint", "mla"]
    files = several.save(tmp_path / "out", ["csv", "svg", "pdf", "html"])
    names = ["gap.csv", "gap-points.csv", "gap.html", "gap.svg", "gap.pdf"]
    assert [file.name for file in files] == names
    assert pd.read_csv(files[0])["gap"].tolist() == pytest.approx(several.to_frame()["gap"])
    before = [file.read_bytes() for file in files if file.suffix in (".svg", ".pdf")]
    several.save(tmp_path / "out", ["svg", "pdf"])
    assert before == [file.read_bytes() for file in files if file.suffix in (".svg", ".pdf")]


def test_bad_input_is_one_line(trio, tmp_path):
    with pytest.raises(ConfigError, match="'projection' must be one of pca, umap"):
        gap(trio["joint"], projection="tsne")
    with pytest.raises(RunError, match="not a run folder"):
        gap(tmp_path)
    with pytest.raises(RunError, match="at least one"):
        gap([])
    with pytest.raises(ConfigError, match="no table 'point'; there are points"):
        gap(trio["joint"]).to_frame("point")
    with pytest.raises(ConfigError, match="'formats' must be some of"):
        gap(trio["joint"]).save(tmp_path, ["jpg"])
