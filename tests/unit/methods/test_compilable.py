"""Methods that differentiate a pass of an encoder twice: counted, without a compiler."""

from __future__ import annotations

from collections import Counter

import pytest
from torch import Tensor, nn

from equipoise.errors import ConfigError
from equipoise.methods import METHODS
from equipoise.runs.build import build_method, build_model
from equipoise.settings import Settings
from equipoise.testing import world as worlds
from equipoise.testing.world import World

SAM = {"schedule": "step", "projection": "orthogonal", "flatness": "sam", "alignment": "infonce"}
OPTIONS = [
    *((name, {}) for name in METHODS.names()),
    ("mie", {"sam": "head"}),
    ("mie", {"sam": "none"}),
    ("mie", {"mixup_alpha": 1.0}),
    ("lfm-lb", {"hypergradient": "identity"}),
    ("compose", SAM),
    ("opm", {"warm_up": 0}),
    ("aug", {"every": 1}),
    ("smv-sample", {"warm_up": 0}),
]
REFUSED = {"igm", "lfm-lb", "mmpareto"}


def most_derivatives(world: World, monkeypatch: pytest.MonkeyPatch) -> int:
    """The largest number of times that a training differentiates one pass of an encoder."""
    counts: Counter[int] = Counter()

    def watch(module: nn.Module, inputs: object, feature: Tensor) -> None:
        if feature.grad_fn is not None:
            number = len(counts)
            counts[number] = 0
            feature.grad_fn.register_hook(lambda *gradients: counts.update([number]))

    def watched(*args: object) -> nn.Module:
        model = build_model(*args)
        for encoder in model.encoders.values():
            encoder.register_forward_hook(watch)
        return model

    monkeypatch.setattr(worlds, "build_model", watched)
    world.train()
    return max(counts.values(), default=0)


@pytest.mark.parametrize(
    ("name", "options"), OPTIONS, ids=[f"{n}-{'-'.join(map(str, o))}" for n, o in OPTIONS]
)
def test_the_flag_is_what_the_training_does(
    seed: int, monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, object]
) -> None:
    world = World(name, 2, seed % 9999, options)
    method = build_method(world.run_settings())
    assert method.compilable == (most_derivatives(world, monkeypatch) < 2)
    assert method.compilable == (name not in REFUSED and options.get("sam") != "head")


def compiled(name: str, **options: object) -> Settings:
    return World(name, 2, 0, options, settings={"compile": True}).run_settings()


@pytest.mark.parametrize(
    ("name", "options"), [("lfm-lb", {}), ("mmpareto", {}), ("mie", {"sam": "head"})]
)
def test_compiled_encoders_are_refused_by_name(name: str, options: dict[str, object]) -> None:
    with pytest.raises(
        ConfigError, match=f"method '{name}' differentiates an encoder's pass twice.*--compile"
    ):
        build_method(compiled(name, **options))


def test_all_others_take_compiled_encoders() -> None:
    for name in set(METHODS.names()) - REFUSED:
        build_method(compiled(name))
