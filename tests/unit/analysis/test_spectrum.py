"""Spectra of known matrices, and of runs against a computation from their features."""

import numpy as np
import pytest
import torch

from equipoise.analysis.spectrum import effective_rank, projection_eigenvalues, spectrum
from equipoise.data.table.loader import Loader
from equipoise.methods.parts.projection.matrices import orthogonal_update_
from equipoise.runs.trained import Trained


def test_effective_rank():
    assert effective_rank(np.ones(7)) == pytest.approx(7)
    assert effective_rank(np.array([0.0, 0.0, 3.0])) == pytest.approx(1)
    assert effective_rank(np.array([1.0, 1.0, 0.0, 0.0])) == pytest.approx(2)
    assert effective_rank(np.zeros(3)) == 0


def test_the_projection_is_where_the_updates_of_mla_end():
    rng = np.random.default_rng()
    means = rng.normal(size=(9, 5))
    matrix = torch.eye(5, dtype=torch.float64)
    for mean in means:
        orthogonal_update_(matrix, torch.from_numpy(mean), 0.1)
    found = projection_eigenvalues(means.T @ means, 0.1)
    assert np.allclose(found, np.linalg.eigvalsh(matrix.numpy()))


def test_the_spectra_of_runs(trio):
    record = spectrum([trio["joint"], trio["mla"], trio["mie"]], statistic_batch=5, alpha=0.3)
    found = record.to_frame().set_index(["run", "matrix", "modality"])
    values = record.to_frame("eigenvalues")
    for name in ("joint", "mla", "mie"):
        trained = Trained(trio[name].folder)
        table = trained.own("train")
        features = trained.features(table)
        for modality, z in features.items():
            total = np.zeros((6, 6))
            loader = Loader(table, 5, seed=trained.settings.seed, shuffle=True)
            for batch in loader.batches(epoch=0):
                here = batch.present[modality].numpy()
                if here.any():
                    mean = z[batch.index.numpy()[here]].mean(0, dtype=np.float64)
                    total += np.outer(mean, mean)
            expected = np.linalg.eigvalsh(total)
            row = found.loc[[(name, "Ȳ", modality)]].iloc[0]
            assert row["max"] == pytest.approx(expected[-1], rel=1e-4)
            assert row["mean"] == pytest.approx(expected.mean(), rel=1e-4)
            assert 1 <= row["effective rank"] <= row["size"] == 6
        own = values[(values["run"] == name) & (values["matrix"] == "P")]["value"]
        assert len(own) == 6
        assert ((own > 0) & (own <= 1)).all()
    logged = record.to_frame("logged")
    assert set(logged["run"]) == {"mla", "mie"}
