"""Defaults lie under the advice of a method, and that under a preset, files and flags."""

import shlex

import pytest

from equipoise.cli.options import read_pairs
from equipoise.configuration.flags import flags
from equipoise.configuration.layers import make_settings, nest
from equipoise.errors import ConfigError
from equipoise.methods import METHODS
from equipoise.registry import MethodEntry
from equipoise.settings import OptimiserSettings

ADVICE = {"optimiser.name": "sgd", "optimiser.lr": 0.25, "optimiser.clip": 1.0, "batch_size": 8}


@pytest.fixture(autouse=True)
def advised(monkeypatch):
    """A method that relies on settings of its own."""
    entry = MethodEntry(
        "advised", "equipoise.methods.baselines.joint:Joint", "for a test", advises=ADVICE
    )
    monkeypatch.setitem(METHODS._entries, "advised", entry)


def made(**changes):
    return make_settings([nest({"method": "advised", **changes})])


def test_advice_lies_over_the_defaults():
    settings = made()
    assert (settings.optimiser.name, settings.optimiser.lr, settings.batch_size) == ("sgd", 0.25, 8)
    assert settings.optimiser.weight_decay == 1e-4  # of SGD
    assert settings.optimiser.schedule == OptimiserSettings().schedule
    assert make_settings([{"method": "mla"}]).optimiser == OptimiserSettings()


def test_the_user_and_presets_lie_over_advice():
    settings = made(**{"optimiser.lr": 0.5, "batch_size": 32})
    assert (settings.optimiser.name, settings.optimiser.lr, settings.batch_size) == ("sgd", 0.5, 32)
    preset = make_settings([{"preset": "crema-d"}])
    assert made(preset="crema-d").optimiser == preset.optimiser


def test_another_optimiser_takes_nothing_of_what_is_advised_for_a_third():
    settings = made(**{"optimiser.name": "adamw"})
    assert settings.optimiser == OptimiserSettings()
    assert settings.batch_size == 8


def test_an_optimiser_brings_its_own_rate():
    sgd = make_settings([nest({"optimiser.name": "sgd"})]).optimiser
    assert (sgd.lr, sgd.weight_decay) == (0.01, 1e-4)
    given = make_settings([nest({"optimiser.name": "sgd", "optimiser.lr": 0.001})]).optimiser
    assert (given.lr, given.weight_decay) == (0.001, 1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"method": "advised"},
        {"method": "advised", "optimiser.lr": 0.001},
        {"method": "advised", "optimiser.name": "adamw"},
        {"method": "advised", "optimiser.name": "adamw", "optimiser.lr": 0.25, "batch_size": 7},
        {"optimiser.name": "sgd", "optimiser.lr": 0.001, "optimiser.weight_decay": 0.01},
        {"method": "advised", "batch_size": "auto", "epochs": 3},
        {"preset": "crema-d", "method": "advised"},
        {"preset": "av-digits", "method": "advised"},
        {"optimiser.betas": [0.8, 0.95]},
    ],
)
def test_the_command_of_a_run_repeats_it(changes):
    settings = make_settings([nest(changes)])
    words = shlex.split(shlex.join(flags(settings)))
    given = dict(read_pairs(words))
    given["data.source"] = given.pop("data", settings.data.source)
    assert make_settings([nest(given)]) == settings


@pytest.mark.parametrize("name", [{"name": "sgd"}, ["sgd"], 3])
def test_an_optimiser_whose_name_is_no_text_is_refused(name):
    with pytest.raises(ConfigError, match=r"'optimiser\.name' must be a text"):
        make_settings([{"optimiser": {"name": name}}])
