"""What presets and recipes are both held to."""

import pytest

from equipoise.data.transforms.kinds import TRANSFORMS, choose
from equipoise.encoders import ENCODERS
from equipoise.errors import ConfigError

SIZES = {"vector": {"length": 5}, "array": {"length": 5, "rest": [3]}}
"""What is otherwise read off the files."""


@pytest.fixture
def check_inputs():
    """Every modality has a transform that exists, with settings it takes, and an encoder that reads what it makes."""

    def check(settings):
        assert set(settings.data.options) == set(settings.encoder)
        for modality, given in settings.data.options.items():
            encoder = settings.encoder[modality]
            entry = ENCODERS[encoder["name"]]
            assert set(encoder) - {"name"} <= set(entry.parameters())
            kinds = [
                kind for kind in (*entry.kinds, "flow") if given["transform"] in TRANSFORMS[kind]
            ]
            assert any(makes(kind, modality, given) for kind in kinds), (
                f"{encoder['name']} does not read {given}"
            )

    return check


def makes(kind, modality, given):
    try:
        target, settings = choose(modality, kind, given)
        target(**SIZES.get(kind, {}), **settings)
    except ConfigError:
        return False
    return True
