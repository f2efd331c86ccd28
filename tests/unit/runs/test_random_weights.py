"""A training says where a network starts from random weights in place of published ones."""

import warnings

import pytest

from equipoise.data.modality import ModalitySpec
from equipoise.runs.build import warn_of_random_weights
from equipoise.settings import Settings

SPECS = {"film": ModalitySpec("film", "video", (8, 3, 32, 32))}


@pytest.mark.parametrize("encoder", [{"name": "i3d"}, {"name": "resnet", "weights": None}])
def test_it_names_modality_encoder_and_option(encoder):
    settings = Settings.from_dict({"encoder": {"film": encoder}})
    expected = rf"film: encoder '{encoder['name']}' starts from random .*--encoder\.film\.weights"
    with pytest.warns(RuntimeWarning, match=expected):
        warn_of_random_weights(settings, SPECS)


@pytest.mark.parametrize("encoder", [{"name": "i3d", "weights": "rgb.pt"}, {"name": "resnet"}])
def test_others_start_without_a_word(encoder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_random_weights(Settings.from_dict({"encoder": {"film": encoder}}), SPECS)
        warn_of_random_weights(Settings(), SPECS)
