"""Fixtures for tests of several packages: short runs, and a check of a preset's inputs."""

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from equipoise.data.transforms.kinds import TRANSFORMS, choose
from equipoise.encoders import ENCODERS
from equipoise.errors import ConfigError
from equipoise.runs import run
from equipoise.settings import Settings
from equipoise.testing.world import fresh_seed
from plain import PLAIN

EPOCHS = 4


class Stop(BaseException):
    """Ends a run between two epochs as suddenly as a kill."""


def stop_after(epochs):
    """A report that stops the run once so many epochs are over."""

    def report(line):
        if line["epoch"] + 1 == epochs:
            raise Stop

    return report


@pytest.fixture(scope="session")
def settings():
    """Settings of a run of a second."""
    return Settings.from_dict(
        {
            "data": {"source": "synthetic", "missing": 0.2, "options": {"samples": 120}},
            "method": "mla",
            "width": 8,
            "optimiser": PLAIN,
            "select": "accuracy",
            "patience": 0,
            "epochs": EPOCHS,
            "batch_size": 16,
            "seed": fresh_seed(),
            "device": "cpu",
        }
    )


@pytest.fixture(scope="session")
def whole(settings, tmp_path_factory):
    """The folder of the uninterrupted run; not to be changed."""
    return run.train(settings, tmp_path_factory.mktemp("whole") / "run").folder


@pytest.fixture(scope="session")
def _stopped(settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.raises(Stop):
        run.train(settings, folder, callbacks=[stop_after(EPOCHS - 1)])
    return folder


@pytest.fixture
def stopped(_stopped, tmp_path):
    """A folder of its own, of the run stopped one epoch before its end."""
    return Path(shutil.copytree(_stopped, tmp_path / "run"))


@pytest.fixture
def final():
    """Reads model and method of the newest checkpoint of a run folder."""

    def read(folder):
        newest = sorted((folder / "checkpoints").glob("epoch-*"))[-1]
        return {
            **load_file(newest / "model.safetensors"),
            **load_file(newest / "method.safetensors"),
        }

    return read


@pytest.fixture
def newest():
    """The newest checkpoint of a run folder."""
    return lambda folder: sorted((folder / "checkpoints").glob("epoch-*"))[-1]


SIZES = {"vector": {"length": 5}, "array": {"length": 5, "rest": [3]}}
"""Sizes that are otherwise read off the files."""


@pytest.fixture
def check_inputs():
    """Checks that every modality has a transform with settings it takes, and a fitting encoder."""

    def check(settings):
        assert set(settings.data.options) == set(settings.encoder)
        for modality, given in settings.data.options.items():
            encoder = settings.encoder[modality]
            entry = ENCODERS[encoder["name"]]
            assert set(encoder) - {"name"} <= set(entry.parameters())
            kinds = [
                kind for kind in (*entry.kinds, "flow") if given["transform"] in TRANSFORMS[kind]
            ]
            assert any(_makes(kind, modality, given) for kind in kinds), (
                f"{encoder['name']} does not read {given}"
            )

    return check


def _makes(kind, modality, given):
    try:
        target, settings = choose(modality, kind, given)
        target(**SIZES.get(kind, {}), **settings)
    except ConfigError:
        return False
    return True
