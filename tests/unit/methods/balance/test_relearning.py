"""Diagnosing & Re-learning: purity, the blend with the initial weights, and when it happens."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.methods.balance.relearning import Relearning, cluster_purity, reset_weight
from equipoise.testing.world import World, snapshot
from equipoise.training.loop import fit


def test_purity_of_separated_clusters_is_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.repeat(np.arange(4), 15))
    features = np.eye(4)[label] * 50 + rng.normal(size=(60, 4))
    assert cluster_purity(features, label, 4) == 1.0
    assert cluster_purity(features * [1, 1e6, 1e-6, 1] + 3, label, 4) == 1.0, (
        "each dimension is scaled"
    )


def test_purity_counts_the_majority_of_each_cluster() -> None:
    features = np.array([[0.0], [0.1], [0.2], [9.0], [9.1], [9.2]])
    assert cluster_purity(features, np.array([0, 0, 1, 1, 2, 2]), 2) == 4 / 6
    assert cluster_purity(features[:2], np.array([0, 1]), 5) == 1.0, "fewer samples than clusters"


def test_purity_of_noise_is_between_chance_and_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(3), 20)
    assert 1 / 3 <= cluster_purity(rng.normal(size=(60, 2)), label, 3) < 1


def test_strength() -> None:
    assert reset_weight(0.9, 0.9, 3.0) == 0
    assert (
        reset_weight(0.9, 0.6, 3.0) == reset_weight(0.6, 0.9, 3.0) == pytest.approx(math.tanh(0.9))
    )
    assert reset_weight(0.9, 0.6, 1e6) == 1.0


@pytest.mark.parametrize(
    ("scale", "purity"), [(3.0, {"alpha": (0.9, 0.6), "beta": (0.5, 0.5)}), (1e9, None)]
)
def test_encoders_move_towards_their_initial_weights(
    seed: int,
    scale: float,
    purity: dict[str, tuple[float, float]] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    method, ctx = World(
        "relearning", 2, seed % 9999, options={"every": 0.5, "strength": scale}
    ).build()
    purity = purity or {"alpha": (0.9, 0.6), "beta": (0.9, 0.8)}
    monkeypatch.setattr(
        method,
        "purities",
        lambda loader, _: {m: p[loader is ctx.holdout] for m, p in purity.items()},
    )
    initial = snapshot(ctx.model)
    fit(method, ctx, 2)
    before = snapshot(ctx.model)
    method.on_epoch_start(ctx)
    after = snapshot(ctx.model)
    for name in after:
        weight = 0.0
        if name.startswith("encoders."):
            train, held = purity[name.split(".")[1]]
            weight = math.tanh(scale * abs(train - held))
        if weight in (0.0, 1.0):
            assert torch.equal(after[name], initial[name] if weight else before[name]), name
        else:
            torch.testing.assert_close(
                after[name], weight * initial[name] + (1 - weight) * before[name]
            )


def test_happens_after_the_epochs_of_the_schedule(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, ctx = World(
        "relearning", 2, seed % 9999, options={"every": 0.2, "times": 2}, epochs=15
    ).build()
    asked = []

    def purities(loader: object, _: object) -> dict[str, float]:
        asked.append(ctx.epoch)
        return {"alpha": 1.0, "beta": 1.0}

    monkeypatch.setattr(method, "purities", purities)
    for epoch in range(15):
        ctx.position.epoch = epoch
        method.on_epoch_start(ctx)
    assert sorted(set(asked)) == [4, 7], "after epochs number 3 and 6"


def test_purities_are_of_the_samples_that_have_the_modality(seed: int) -> None:
    method, ctx = World("relearning", 2, seed % 9999, missing=0.4).build()
    found = method.purities(ctx.train, ctx)
    table = ctx.train.table
    for modality, purity in found.items():
        here = np.flatnonzero(table.present[modality])
        ctx.model.eval()
        with torch.no_grad():
            features = ctx.model(table.rows(here)).features[modality].numpy()
        assert purity == pytest.approx(cluster_purity(features, table.label[here], 3), abs=0.03)


def test_a_modality_that_cannot_be_judged_is_left_alone(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, ctx = World("relearning", 2, seed % 9999, options={"every": 0.3}, epochs=3).build()
    ctx.holdout.table.present["beta"][:] = False
    fit(method, ctx, 2)
    assert set(method.purities(ctx.holdout, ctx)) == {"alpha"}
    monkeypatch.setattr("equipoise.methods.balance.relearning.reset_weight", lambda *_: 0.5)
    before = snapshot(ctx.model.encoders)
    method.on_epoch_start(ctx)
    moved = {
        n.split(".")[0]
        for n, w in snapshot(ctx.model.encoders).items()
        if not torch.equal(w, before[n])
    }
    assert moved == {"alpha"}


def test_wants_held_out_samples(seed: int) -> None:
    method, ctx = World("relearning", 2, seed % 9999).build()
    ctx.holdout = None
    with pytest.raises(ConfigError, match=r"there are none; set 'data\.holdout'"):
        method.setup(ctx)


@pytest.mark.parametrize("options", [{"strength": -1}, {"every": 0}, {"every": 1.5}, {"times": -1}])
def test_refuses_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"Relearning: '{next(iter(options))}' must be"):
        Relearning(**options)  # type: ignore[arg-type]
