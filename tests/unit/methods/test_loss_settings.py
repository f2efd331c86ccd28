"""Every method trains by the loss and the weights of the settings, or refuses them by name."""

import pytest

from equipoise.errors import ConfigError
from equipoise.methods import METHODS
from equipoise.runs.build import build_method
from equipoise.settings import Settings
from equipoise.testing.world import World, small_splits

CHANGES = {
    "loss": "focal",
    "label_smoothing": 0.1,
    "class_weight": "balanced",
    "sampling": "balanced",
}


def refused(method):
    """{setting: the message} of the settings that a method refuses."""
    found = {}
    for name, value in CHANGES.items():
        try:
            build_method(Settings.from_dict({"method": method, name: value}))
        except ConfigError as error:
            found[name] = str(error)
    return found


@pytest.mark.filterwarnings("ignore:.*it never does")
@pytest.mark.parametrize("method", METHODS.names())
def test_it_acts_or_is_refused(method, seed):
    """A method that took no loss from the context would be refused within the training."""
    left = {name: value for name, value in CHANGES.items() if name not in refused(method)}
    splits = small_splits(2, seed, missing=0.2, samples=120)
    World(method, 2, seed, epochs=4, settings=left, splits=splits).train()


def test_few_methods_refuse():
    found = {method: refused(method) for method in METHODS.names()}
    for method, messages in found.items():
        for name, message in messages.items():
            assert message.startswith(f"method {method!r} ")
            assert message.endswith(f"leave out --{name}")
    assert {method: [*names] for method, names in found.items() if names} == {
        "bss": ["sampling"],
        "data-remixing": ["sampling"],
        "smv-sample": ["sampling"],
        "smv-modality": ["sampling"],
        "tmc": ["loss", "label_smoothing"],
        "etmc": ["loss", "label_smoothing"],
        "cpm-net": ["loss", "label_smoothing", "class_weight"],
    }


def test_options_decide_too():
    svm = {"name": "cca", "loss": "svm"}
    with pytest.raises(ConfigError, match="'cca' has a loss of its own"):
        build_method(Settings.from_dict({"method": svm, "loss": "focal"}))
