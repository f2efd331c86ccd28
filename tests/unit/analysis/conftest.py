"""Finished runs of a second each, for all analyses; not to be changed."""

import pytest

import equipoise
from plain import PLAIN

SMALL = {
    "data.options": {"samples": 160},
    "data.missing": 0.2,
    "epochs": 4,
    "width": 6,
    "optimiser": PLAIN,
    "select": "accuracy",
    "patience": 0,
    "verbose": 0,
}
METHODS = {
    "joint": {"method": "joint"},
    "mla": {"method": "mla"},
    "lfm": {"method": "lfm"},
    "mie": {"method": {"name": "mie", "cycles": 2}},
}


@pytest.fixture(scope="session")
def trio(tmp_path_factory):
    """{method: run} of joint training, MLA, LFM and MIE."""
    folder = tmp_path_factory.mktemp("analysed")
    return {
        name: equipoise.fit("synthetic", out=folder / name, **method, **SMALL)
        for name, method in METHODS.items()
    }
