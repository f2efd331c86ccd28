"""CCA in closed form against its definition and scikit-learn, and the two stages of the method."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.cross_decomposition import CCA as Reference

from equipoise.errors import ConfigError
from equipoise.heads import HEADS
from equipoise.methods.missing import cca
from equipoise.methods.missing.cca import fit_projections, hinge_loss
from equipoise.methods.parts.table_values import FeatureTable, read_features
from equipoise.testing.world import World, differing, small_splits, snapshot
from equipoise.training.loop import fit

RIDGE = 1e-4


@pytest.fixture
def table(seed):
    """Three modalities that share two sources, cells missing."""
    shared = torch.randn(600, 2, dtype=torch.float64)
    features = {
        m: shared @ torch.randn(2, width, dtype=torch.float64)
        + 0.7 * torch.randn(600, width, dtype=torch.float64)
        + 3
        for m, width in (("a", 4), ("b", 5), ("c", 3))
    }
    present = {m: torch.rand(600) < 0.7 for m in features}
    return FeatureTable({m: x * present[m].unsqueeze(1) for m, x in features.items()}, present)


def complete(table):
    features = {m: torch.randn_like(x) + x for m, x in table.features.items()}
    return FeatureTable(features, {m: torch.ones_like(p) for m, p in table.present.items()})


def fitted(table, multi="pairwise", components=3, ridge=RIDGE):
    widths = {m: x.shape[1] for m, x in table.features.items()}
    head = HEADS.build(
        "cca", {"components": components, "multi": multi}, widths=widths, classes=4
    ).double()
    return head, fit_projections(head, table, ridge)


def test_covariances_are_those_of_features_imputed_by_the_training_mean(table):
    imputed, expected = [], {}
    for m, x in table.features.items():
        expected[m] = x[table.present[m]].mean(0)
        imputed.append(torch.where(table.present[m].unsqueeze(1), x, expected[m]))
    means, found = cca.covariances(table.features, table.present)
    for m, mean in expected.items():
        torch.testing.assert_close(means[m], mean)
    torch.testing.assert_close(found, torch.cov(torch.cat(imputed, 1).T))


def test_covariances_do_not_depend_on_how_the_rows_are_cut(table, monkeypatch):
    whole = cca.covariances(table.features, table.present)[1]
    monkeypatch.setattr(cca, "ROWS_AT_A_TIME", 7)
    torch.testing.assert_close(cca.covariances(table.features, table.present)[1], whole)


def test_projections_of_the_training_features_are_white_and_correlate_in_decreasing_order(table):
    head, correlations = fitted(table)
    _, whole = cca.covariances(table.features, table.present)
    own = torch.eye(3, dtype=torch.float64)
    start = 0
    for m in "abc":
        width = table.features[m].shape[1]
        block = whole[start : start + width, start : start + width] + RIDGE * torch.eye(
            width, dtype=torch.float64
        )
        for partner in range(2):
            basis = head.branch(m).basis[:, 3 * partner : 3 * partner + 3]
            torch.testing.assert_close(basis.T @ block @ basis, own)
        start += width
    cross = head.branch("a").basis[:, :3].T @ whole[:4, 4:9] @ head.branch("b").basis[:, :3]
    torch.testing.assert_close(cross, correlations[0].diag(), atol=1e-9, rtol=1e-9)
    assert (correlations[:, :-1] >= correlations[:, 1:]).all()
    assert ((correlations >= 0) & (correlations <= 1)).all()


def test_correlations_are_those_of_scikit_learn(table):
    pair = complete(table)
    pair = FeatureTable({m: pair.features[m] for m in "ab"}, {m: pair.present[m] for m in "ab"})
    _, correlations = fitted(pair, components=2, ridge=1e-12)
    x, y = Reference(2, scale=False, max_iter=20_000, tol=1e-14).fit_transform(
        *(pair.features[m].numpy() for m in "ab")
    )
    expected = [abs(np.corrcoef(x[:, k], y[:, k])[0, 1]) for k in range(2)]
    np.testing.assert_allclose(correlations[0], expected, atol=1e-6)


def test_affine_maps_leave_the_correlations_and_a_copy_correlates_fully(table):
    whole = complete(table)
    _, plain = fitted(whole, ridge=1e-12)
    moved = {
        m: x @ torch.randn(x.shape[1], x.shape[1], dtype=torch.float64) - 5
        for m, x in whole.features.items()
    }
    torch.testing.assert_close(
        fitted(FeatureTable(moved, whole.present), ridge=1e-12)[1], plain, atol=1e-6, rtol=0
    )
    copy = {
        "a": whole.features["a"],
        "b": whole.features["a"] @ torch.randn(4, 4, dtype=torch.float64) + 1,
    }
    _, full = fitted(FeatureTable(copy, {m: whole.present[m] for m in copy}), ridge=1e-12)
    torch.testing.assert_close(full, torch.ones_like(full), atol=1e-6, rtol=0)


def test_independent_features_hardly_correlate(seed):
    features = {m: torch.randn(20_000, 3, dtype=torch.float64) for m in "ab"}
    _, correlations = fitted(
        FeatureTable(features, {m: torch.ones(20_000, dtype=torch.bool) for m in "ab"})
    )
    assert correlations.max() < 0.06


def test_all_at_once_is_the_pair_for_two_modalities(table):
    pair = FeatureTable({m: table.features[m] for m in "ab"}, {m: table.present[m] for m in "ab"})
    (first, one), (second, other) = (fitted(pair, multi) for multi in ("pairwise", "mcca"))
    torch.testing.assert_close(one, other)
    for m in "ab":
        torch.testing.assert_close(first.branch(m).basis.abs(), second.branch(m).basis.abs())


def test_all_at_once_finds_the_directions_of_generalised_cca(table):
    """G: largest eigenvectors of the summed projections; W_m regresses G on modality m."""
    whole = complete(table)
    head, _ = fitted(whole, "mcca", components=2, ridge=1e-12)
    centred = {m: x - x.mean(0) for m, x in whole.features.items()}
    common = torch.linalg.eigh(sum(x @ torch.linalg.pinv(x) for x in centred.values()))[1].flip(1)[
        :, :2
    ]
    for m, x in centred.items():
        expected = torch.linalg.pinv(x) @ common
        found = head.branch(m).basis
        cosine = (expected * found).sum(0) / expected.norm(dim=0) / found.norm(dim=0)
        torch.testing.assert_close(
            cosine.abs(), torch.ones(2, dtype=torch.float64), atol=1e-6, rtol=0
        )


def test_an_absent_modality_counts_as_its_mean(table):
    head, _ = fitted(table)
    rows = {m: x[:6].float().double() for m, x in table.features.items()}
    present = {m: torch.arange(6) != k for k, m in enumerate("abc")}
    at_mean = {
        m: torch.where(present[m].unsqueeze(1), x, head.branch(m).mean) for m, x in rows.items()
    }
    everything = {m: torch.ones(6, dtype=torch.bool) for m in rows}
    torch.testing.assert_close(head(rows, present).fused, head(at_mean, everything).fused)


def test_hinge_loss_by_hand():
    logits = torch.tensor([[2.0, -0.5, -3.0], [0.0, 0.0, 0.0], [-1.0, 1.0, 1.0]])
    torch.testing.assert_close(
        hinge_loss(logits, torch.tensor([0, 1, 1])), torch.tensor([0.25, 3.0, 4.0])
    )


@pytest.mark.parametrize(
    ("name", "loss"), [("cca", "logistic"), ("cca", "svm"), ("dccae", "logistic")]
)
def test_the_classifier_alone_moves_once_the_projections_are_fitted(seed, name, loss):
    passes = {} if name == "cca" else {"passes": 2}
    world = World(name, 3, seed % 1000, {"loss": loss, **passes}, missing=0.3, epochs=2)
    method, ctx = world.build()
    states = []
    fit_projections = method.on_phase_start

    def on_phase_start(ctx):
        states.append(snapshot(ctx.model))
        fit_projections(ctx)
        states.append(snapshot(ctx.model))

    method.on_phase_start = on_phase_start
    fit(method, ctx, 2)
    before, after = states[-2:]
    fitted = ("mean", "basis") if name == "cca" else ("mean", "basis", "weight", "bias")
    assert all(n.startswith("head.") and n.endswith(fitted) for n in differing(before, after))
    moved = differing(after, snapshot(ctx.model))
    assert moved
    classifier = {"head.bias", *(f"head.blocks.{m}.weight" for m in ctx.model.modalities)}
    assert set(moved) == classifier


def test_the_table_holds_every_row_once_with_zeros_where_absent(seed):
    _, ctx = World("cca", 2, seed % 1000, missing=0.4).build()
    found = read_features(ctx)
    rows = ctx.train.table.rows(np.arange(len(ctx.train.table)))
    ctx.model.eval()
    for m, z in ctx.model.encode(rows).items():
        assert torch.equal(found.present[m], rows.present[m])
        torch.testing.assert_close(found.features[m], z)


def test_without_anything_to_train_in_the_encoders_all_epochs_are_the_classifiers(seed):
    method, ctx = World("cca", 2, seed % 1000).build()
    assert [phase.epochs for phase in method.phases(10)] == [5, 5]
    ctx.model.encoders.requires_grad_(False)
    method.setup(ctx)
    assert [phase.epochs for phase in method.phases(10)] == [0, 10]


def test_no_more_directions_than_the_narrowest_features_have():
    widths = {"a": 30, "b": 4}
    assert HEADS.build("cca", widths=widths, classes=2).components == 4
    assert HEADS.build("cca", widths={"a": 30, "b": 25}, classes=2).components == 10
    assert HEADS.build("cca", {"components": 4}, widths=widths, classes=2).components == 4
    with pytest.raises(ConfigError, match=r"CCA: 'components' must be at most 4, .*found 5"):
        HEADS.build("cca", {"components": 5}, widths=widths, classes=2)


def test_one_modality_has_nothing_to_correlate_with():
    with pytest.raises(ConfigError, match="there is only 'a'"):
        HEADS.build("cca", {}, widths={"a": 3}, classes=2)


@pytest.mark.parametrize("name", ["cca", "dcca", "dccae"])
def test_modalities_that_never_meet_are_told_and_networks_stay_as_they_are(seed, name):
    splits = small_splits(3, seed)
    rows = np.arange(len(splits.train))
    alone = {m: rows % 3 == k for k, m in enumerate(splits.train.modalities)}
    lonely = replace(splits, train=splits.train.with_present(alone))
    with pytest.warns(
        UserWarning, match="no training sample has both 'alpha' and 'beta', 'alpha' and 'gamma'"
    ):
        method, ctx = World(name, 3, seed, epochs=4, splits=lonely).build()
    before = {n: p.clone() for n, p in ctx.model.head.named_parameters() if ".represent." in n}
    fit(method, ctx, 4)
    moved = [
        n
        for n, p in ctx.model.head.named_parameters()
        if n in before and not torch.equal(p, before[n])
    ]
    assert not moved
    assert all(torch.isfinite(p).all() for p in ctx.model.parameters())
