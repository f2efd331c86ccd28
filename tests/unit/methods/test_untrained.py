"""On head `auxiliary` a method trains the own classifiers, says that it does not, or refuses."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path

import pytest
import torch

from equipoise.errors import ConfigError
from equipoise.methods import METHODS
from equipoise.runs.build import build_model
from equipoise.runs.run import train
from equipoise.runs.trained import Trained
from equipoise.testing.world import World
from plain import PLAIN

COMPLAINT = (
    "method '{}' does not train the classifiers of Auxiliary that predict from one modality alone"
)


def moves_and_complaints(world: World, folder: Path) -> tuple[dict[str, bool], list[str]]:
    """{modality: True where a run changed its classifier}, and the warnings of the run."""
    splits, settings = world.data(), world.run_settings()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = train(settings, folder, splits=splits)
    with torch.random.fork_rng():
        before = build_model(settings, splits.train.specs, splits.train.classes).head.blocks
    after = Trained(run.folder).model.head.blocks
    moved = {
        m: not torch.equal(block.own.weight, after[m].own.weight) for m, block in before.items()
    }
    return moved, [str(w.message) for w in caught if "does not train" in str(w.message)]


def test_every_method_trains_them_or_says_so(tmp_path: Path, seed: int) -> None:
    trained, untrained = set(), set()
    for name in METHODS.names():
        try:
            moved, complaints = moves_and_complaints(
                World(name, 2, seed % 9999, head="auxiliary"), tmp_path / name
            )
        except ConfigError:
            continue
        assert len(set(moved.values())) == 1, f"{name}: {moved}"
        (trained if all(moved.values()) else untrained).add(name)
        assert len(complaints) == (not any(moved.values())), f"{name}: {moved}, {complaints}"
        assert all(line.startswith(COMPLAINT.format(name)) for line in complaints)
    assert {"g-blend", "mmpareto", "mses", "mbsd", "weight", "linear-probe"} <= trained
    assert {"joint", "relearning", "smv-sample", "smv-modality", "umt"} <= untrained


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mbsd", {"unimodal_weight": 0, "distillation_weight": 0}),
        ("g-blend", {"weights": {"fused": 1}}),
        ("compose", {"alignment": "infonce"}),
    ],
)
def test_options_that_leave_no_unimodal_loss_count(
    tmp_path: Path, seed: int, name: str, options: Mapping[str, object]
) -> None:
    moved, complaints = moves_and_complaints(
        World(name, 3, seed % 9999, options, head="auxiliary"), tmp_path / "run"
    )
    assert not any(moved.values())
    assert len(complaints) == 1


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(
    "head", [{"name": "weight-hidden"}, {"name": "domfn", "threshold": 1.0}], ids=itemgetter("name")
)
def test_classifiers_beside_layers_that_the_fused_loss_trains_count(
    tmp_path: Path, seed: int, head: Mapping[str, object], count: int
) -> None:
    """The gate of `domfn` is always open; the projections of `weight-hidden` train."""
    world = World(
        "joint",
        count,
        seed % 9999,
        epochs=1,
        settings={"head": head, "optimiser": {**PLAIN, "weight_decay": 0}},
    )
    with pytest.warns(
        UserWarning,
        match=r"method 'joint' does not train the classifiers of (WeightHidden|DOMFN) that",
    ):
        train(world.run_settings(), tmp_path / "run", splits=world.data())


def test_heads_whose_fused_loss_trains_them_pass_in_silence(tmp_path: Path, seed: int) -> None:
    for head in ("concat", "sum", "late", "vote", "shared", "weight"):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            world = World("joint", 2, seed % 9999, head=head, epochs=1)
            train(world.run_settings(), tmp_path / head, splits=world.data())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "mie",
            {},
            "method 'mie' trains each modality's own classifier only.*use head 'per-modality'",
        ),
        (
            "compose",
            {"loss": "separate"},
            "separate losses trains each modality's own classifier only.*use head 'sum'",
        ),
        (
            "compose",
            {"schedule": "step"},
            "separate losses trains each modality's own classifier only.*use head 'sum'",
        ),
    ],
)
def test_a_fused_prediction_that_nothing_trains_is_refused(
    seed: int, name: str, options: Mapping[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        World(name, 2, seed % 9999, options, head="auxiliary").build()
