"""Presets: settings of real parts, which the user overrides, for the modalities of the data."""

import json

import pandas as pd
import pytest
from torch import nn

from equipoise.cli.demo import DEMO_METHODS, DEMO_SETTINGS
from equipoise.configuration.layers import make_settings, nest, overlay
from equipoise.configuration.presets import preset_names, preset_registry, read_preset
from equipoise.data.datasets import DATASETS
from equipoise.encoders import ENCODERS
from equipoise.errors import ConfigError
from equipoise.settings import Settings


@pytest.fixture
def prepared(tmp_path):
    def make(*modalities):
        facts = {
            "manifest": "manifest.csv",
            "modalities": [f"{m}={m}:{kind}" for m, kind in modalities],
        }
        (tmp_path / "dataset.json").write_text(json.dumps(facts))
        (tmp_path / "manifest.csv").write_text("id,label\n")
        return str(tmp_path)

    return make


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_names_real_parts(name, check_inputs):
    check_inputs(make_settings([{"preset": name}]))


def test_there_is_a_preset_for_every_download():
    downloads = {entry.name for entry in DATASETS if entry.target.endswith(":prepare")}
    assert downloads <= set(preset_names())
    assert [entry.name for entry in preset_registry()] == preset_names()
    assert all(entry.summary for entry in preset_registry())


def test_a_preset_says_nothing_of_method_head_source_and_seed():
    for name in preset_names():
        values = read_preset(name)
        assert not {"method", "head", "seed", "device"} & set(values), name
        assert set(values["data"]) == {"options"}, name


def test_vectors_of_iemocap_go_through_the_layers_of_gcnets_mmin():
    for modality, size in (("audio", 512), ("video", 1024), ("text", 1024)):
        values = dict(read_preset("iemocap-features")["encoder"][modality])
        encoder = ENCODERS.build(values.pop("name"), values, shape=(size,), width=128)
        layers = [
            layer
            for layer in encoder.modules()
            if isinstance(layer, nn.Linear | nn.ReLU | nn.Dropout)
        ]
        kinds = [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
        assert [type(layer) for layer in layers] == kinds
        assert [layer.p for layer in layers if isinstance(layer, nn.Dropout)] == [0.3, 0.3]


@pytest.mark.parametrize("place", range(3))
def test_a_preset_lies_below_every_layer(place):
    layers = [{"epochs": 3}, {"optimiser": {"lr": 7.0}}, nest({"encoder.audio.depth": 34})]
    layers[place] = {**layers[place], "preset": "crema-d"}
    settings = make_settings(layers)
    preset = read_preset("crema-d")
    assert (settings.epochs, settings.optimiser.lr) == (3, 7.0)
    assert settings.encoder == {
        "audio": {"name": "resnet", "depth": 34},
        "video": preset["encoder"]["video"],
    }
    assert settings.batch_size == preset["batch_size"]
    assert "preset" not in settings.to_dict()


def test_the_last_preset_holds_and_null_is_none():
    assert make_settings([{"preset": "crema-d"}, {"preset": "fsdd"}]) == make_settings(
        [{"preset": "fsdd"}]
    )
    assert make_settings([{"preset": "crema-d"}, {"preset": None}]) == Settings()


def test_an_unknown_preset_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="unknown preset 'crema'; did you mean 'crema-d'"):
        make_settings([{"preset": "crema"}])


def test_what_the_data_do_not_have_is_left_out_of_the_preset_alone(prepared):
    source = prepared(("text", "text"), ("attributes", "text"))
    settings = make_settings([{"preset": "sarcasm", "data": source}])
    assert set(settings.encoder) == set(settings.data.options) == {"text", "attributes"}
    manifest = make_settings([{"preset": "sarcasm", "data": f"{source}/manifest.csv"}])
    assert manifest.encoder == settings.encoder
    named = make_settings(
        [nest({"preset": "sarcasm", "data.source": "x.csv", "modality": ["image=p:image"]})]
    )
    assert set(named.encoder) == set(named.data.options) == {"image"}
    frame = make_settings(
        [nest({"preset": "sarcasm", "data": pd.DataFrame(), "modality": ["text=t:text"]})]
    )
    assert set(frame.encoder) == {"text"}
    user = make_settings([nest({"preset": "sarcasm", "data": source, "encoder.image": "resnet"})])
    assert user.encoder["image"] == {"name": "resnet"}


def test_a_preset_for_other_modalities_is_refused(prepared):
    source = prepared(("sound", "audio"), ("face", "video"))
    with pytest.raises(
        ConfigError, match="'crema-d' is for the modalities audio, video; the data have sound, face"
    ):
        make_settings([{"preset": "crema-d", "data": source}])


def test_another_transform_takes_none_of_the_old_settings():
    base = {"data": {"options": {"text": {"transform": "pieces", "tokenizer": "x", "length": 9}}}}
    other = overlay(
        base, nest({"data.options.text.transform": "words", "data.options.text.minimum": 1})
    )
    assert other["data"]["options"]["text"] == {"transform": "words", "minimum": 1}
    same = overlay(base, nest({"data.options.text.tokenizer": "y"}))
    assert same["data"]["options"]["text"] == {"transform": "pieces", "tokenizer": "y", "length": 9}


@pytest.mark.parametrize(
    "stated",
    [*(read_preset(name) for name in preset_names()), overlay(DEMO_SETTINGS, DEMO_METHODS["mie"])],
    ids=[*preset_names(), "demo"],
)
def test_presets_and_the_demo_state_all_that_acts_on_a_training(stated):
    """Results that were published, or chosen on validation, must not follow the defaults.

    Presets of no paper, for comparisons of all methods, leave the optimiser to what each advises.
    """
    assert {"epochs", "batch_size", "select", "patience"} <= set(stated)
    if "optimiser" not in stated:
        assert stated in (read_preset("av-digits"), read_preset("sarcasm-words"))
        return
    acting = {"name", "lr", "weight_decay", "warmup", "schedule", "clip", "average"}
    optimiser = stated["optimiser"]
    acting |= {"momentum"} if optimiser["name"] == "sgd" else {"betas"}
    acting |= {"step_size", "gamma"} if optimiser["schedule"] in ("step", "plateau") else set()
    acting |= {"plateau_on"} if optimiser["schedule"] == "plateau" else set()
    assert acting <= set(optimiser)
