import random
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from equipoise.configuration.layers import make_settings, nest, overlay
from equipoise.data.modality import ModalitySpec
from equipoise.errors import ConfigError
from equipoise.runs.build import named_encoders
from equipoise.settings import DataSettings, OptimiserSettings, Settings
from equipoise.yaml_text import parse_yaml


def test_yaml_round_trip(tmp_path):
    settings = make_settings(
        [
            nest(
                {
                    "data": "clips.csv",
                    "modality": ["a=x,y:vector", "b=z:image"],
                    "label": "yes",  # a YAML 1.1 boolean, if it were not quoted
                    "method": "mla",
                    "method.alpha": 1e-7,
                    "encoder.b": "small_cnn",
                    "encoder.b.width": 9,
                    "optimiser": {"lr": 1e-5},
                    "missing_test": 0.25,
                }
            )
        ]
    )
    settings.save(tmp_path / "config.yaml")
    assert Settings.load(tmp_path / "config.yaml") == settings
    assert settings.method == {"name": "mla", "alpha": 1e-7}
    assert settings.encoder == {"b": {"name": "small_cnn", "width": 9}}


def test_the_order_of_dotted_names_does_not_matter():
    items = list(
        {
            "method": "mla",
            "method.alpha": 3,
            "encoder.a.width": 2,
            "encoder.a": "mlp",
            "data": "x",
        }.items()
    )
    expected = nest(dict(items))
    for _ in range(10):
        random.shuffle(items)
        assert nest(dict(items)) == expected


def test_another_component_takes_none_of_the_old_options():
    base = {"method": {"name": "mla", "alpha": 2}}
    assert overlay(base, {"method": "joint"})["method"] == {"name": "joint"}
    assert overlay(base, {"method": {"name": "mla", "beta": 1}})["method"] == {
        "name": "mla",
        "alpha": 2,
        "beta": 1,
    }
    assert base == {"method": {"name": "mla", "alpha": 2}}


def test_short_names_are_data_settings():
    settings = make_settings(
        [nest({"data": "x.csv", "label": "y", "group": "speaker", "data.test": 0.2})]
    )
    assert (settings.data.source, settings.data.label, settings.data.group, settings.data.test) == (
        *("x.csv", "y", "speaker"),
        0.2,
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimser.lr": 1}, ["optimser", "optimiser"]),
        ({"optimiser.lrr": 1}, ["optimiser.lrr", "'lr'"]),
        ({"epochs": "many"}, ["'epochs'", "'many'"]),
        ({"epochs": True}, ["'epochs'", "True"]),
        ({"epochs": 0}, ["'epochs'", "at least 1", "0"]),
        ({"optimiser.average": 1.0}, ["average", "[0, 1)"]),
        ({"optimiser.warmup": 1.5}, ["warmup", "[0, 1]"]),
        ({"optimiser.warmup_from": -0.1}, ["warmup_from", "[0, 1]"]),
        ({"optimiser.milestones": 3}, ["optimiser.milestones", "a list of integers", "3"]),
        ({"optimiser.schedule": "milestones"}, ["milestones", "given under the schedule"]),
        (
            {"optimiser": {"schedule": "milestones", "milestones": [5, 3]}},
            ["milestones", "ascending", "[5, 3]"],
        ),
        ({"optimiser.betas": [0.9]}, ["betas", "two numbers", "[0.9]"]),
        ({"optimiser.betas": 0.9}, ["optimiser.betas", "a list of numbers", "0.9"]),
        ({"optimiser.betas": [0.9, "x"]}, ["optimiser.betas", "finite number", "'x'"]),
        ({"optimiser.name": "rmsprop"}, ["sgd, adam or adamw", "'rmsprop'"]),
        ({"precision": "float16"}, ["bfloat16", "float16 would"]),
        ({"data.missing": 1.0}, ["'missing'", "[0, 1)"]),
        ({"problems": "ignore"}, ["'problems'", "drop"]),
        ({"method": 3}, ["method", "3"]),
        ({"encoder.a.width": 3}, ["encoder.a", "name"]),
    ],
)
def test_wrong_settings_say_what_and_where(changes, words):
    with pytest.raises(ConfigError) as caught:
        make_settings([nest(changes)])
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("cls", [Settings, DataSettings, OptimiserSettings])
def test_every_setting_is_documented(cls):
    for setting in fields(cls):
        assert f"\n        {setting.name}: " in cls.__doc__


def test_a_source_in_memory_is_only_named():
    source = object()
    settings = make_settings([nest({"data": source})])
    assert settings.data.source is source
    assert settings.to_dict()["data"]["source"] == "<DataFrame>"


DEEP = {}
for _ in range(3000):
    DEEP = {"a": DEEP}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encoder": ["resnet"]}, ["'encoder'", "{modality: encoder}"]),
        ({"encoder": 3}, ["'encoder'"]),
        ({"encoder": {1: "mlp"}}, ["must be a text"]),
        ({"encoder.a": ["mlp"]}, ["encoder.a"]),
        ({"encoder.a.name": 3}, ["encoder.a"]),
        ({3: 1}, ["must be a text"]),
        ({"method": ["mla"]}, ["method"]),
        ({"method": {"name": "mla", "alpha": {1, 2}}}, ["method.alpha", "set"]),
        ({"method": {"name": "mla", 3: 1}}, ["must be a text"]),
        ({"method": {"name": "mla", "alpha": object()}}, ["method.alpha", "object"]),
        ({"label": ["a"]}, ["data.label", "a text"]),
        ({"label": 1}, ["data.label", "a text in quotes"]),
        ({"modality": [1, 2]}, ["data.modality", "a list of texts"]),
        ({"modality": {"a": "b"}}, ["data.modality", "a list of texts"]),
        ({"data.options": 3}, ["data.options", "a mapping"]),
        ({"optimiser": 3}, ["optimiser"]),
        ({"optimiser": [1]}, ["optimiser"]),
        ({"seed": 2**63}, ["seed", "2**63 - 1"]),
        ({"seed": 2**64}, ["seed"]),
        ({"seed": -1}, ["seed"]),
        ({"seed": 10**5000}, ["seed", "thousands of digits"]),
        ({"seed": 1.5}, ["seed", "an integer"]),
        ({"data.seed": True}, ["data.seed", "an integer"]),
        ({"data.seed": 2**63}, ["seed"]),
        ({"epochs": 10**30}, ["epochs", "at most"]),
        ({"epochs": "1:30"}, ["epochs", "'1:30'"]),
        ({"epochs": 3.0}, ["epochs", "an integer"]),
        ({"epochs": None}, ["epochs"]),
        ({"optimiser.lr": float("nan")}, ["optimiser.lr", "finite"]),
        ({"optimiser.lr": float("inf")}, ["optimiser.lr", "finite"]),
        ({"optimiser.lr": 10**400}, ["optimiser.lr", "finite"]),
        ({"optimiser.lr": True}, ["optimiser.lr", "finite"]),
        ({"optimiser.lr": "0.1"}, ["optimiser.lr", "'0.1'"]),
        ({"data.missing": float("nan")}, ["data.missing", "finite"]),
        ({"compile": 1}, ["compile", "true or false"]),
        ({"compile": "maybe"}, ["compile", "true or false"]),
        ({"method": DEEP}, ["levels deep"]),
        ({".".join(["method", *"a" * 3000]): 1}, ["levels deep"]),
    ],
    ids=lambda value: str(next(iter(value)))[:30] if isinstance(value, dict) else None,
)
def test_settings_of_the_wrong_shape(changes, words):
    with pytest.raises(ConfigError) as caught:
        make_settings([nest(changes)])
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    assert all(word in message for word in words), message


def test_settings_of_another_shape_that_mean_one_thing():
    settings = make_settings(
        [
            nest(
                {
                    "compile": "yes",
                    "channels_last": "off",
                    "epochs": np.int64(3),
                    "optimiser.lr": np.float32(0.5),
                    "optimiser.clip": 1,
                    "modality": ("a=x:vector", "b=y:image"),
                    "root": Path("somewhere"),
                    "method": "mla",
                    "method.alpha": np.float64(0.25),
                    "seed": 2**63 - 1,
                }
            )
        ]
    )
    assert (settings.compile, settings.channels_last) == (True, False)
    assert (settings.epochs, settings.optimiser.lr, settings.optimiser.clip) == (3, 0.5, 1.0)
    assert settings.data.modality == ["a=x:vector", "b=y:image"]
    assert settings.data.root == "somewhere"
    assert settings.method == {"name": "mla", "alpha": 0.25}
    assert Settings.from_dict(parse_yaml(settings.to_yaml())) == settings
    one = make_settings([nest({"modality": "sound=wav:audio"})])
    assert one.data.modality == ["sound=wav:audio"]


def test_a_bare_encoder_stands_for_all_and_the_later_word_wins():
    below = {"encoder": {"image": "vit"}}
    assert make_settings([nest({"encoder": "resnet"})]).encoder == {"*": {"name": "resnet"}}
    above = make_settings([nest(below), nest({"encoder": "resnet"})]).encoder
    assert list(above) == ["image", "*"]
    own = make_settings([nest({"encoder.image": "vit", "encoder": "resnet"})]).encoder
    assert list(own) == ["*", "image"]
    again = make_settings([nest({"encoder": "resnet"}), nest(below)]).encoder
    assert list(again) == ["*", "image"]


SPECS = {
    "face": ModalitySpec("face", "image", (3, 64, 64)),
    "film": ModalitySpec("film", "video", (3, 4, 64, 64)),
    "words": ModalitySpec("words", "text", (16,), 100),
}


def test_a_bare_encoder_serves_every_modality_that_it_reads():
    named = named_encoders({"*": {"name": "resnet"}}, SPECS)
    assert named == {"face": {"name": "resnet"}, "film": {"name": "resnet"}}
    named = named_encoders({"face": {"name": "vit"}, "*": {"name": "resnet"}}, SPECS)
    assert named["face"] == {"name": "resnet"}
    named = named_encoders({"*": {"name": "resnet"}, "face": {"name": "vit"}}, SPECS)
    assert named["face"] == {"name": "vit"}
    with pytest.raises(ConfigError, match=r"'i3d' reads none.*face \(image\), words \(text\)"):
        named_encoders({"*": {"name": "i3d"}}, {m: SPECS[m] for m in ("face", "words")})
    with pytest.raises(ConfigError, match="'resnte'"):
        named_encoders({"*": {"name": "resnte"}}, SPECS)


SHORT_NAMES = {
    **{f.name: f"data.{f.name}" for f in fields(DataSettings)},
    **{f.name: f"optimiser.{f.name}" for f in fields(OptimiserSettings)},
    "epoch": "epochs",
    "batch-size": "batch_size",
    "learning_rate": "optimiser.lr",
    "weight-decay": "optimiser.weight_decay",
    "learning-rate": "optimiser.lr",
}


@pytest.mark.parametrize("name", sorted(set(SHORT_NAMES) - {f.name for f in fields(Settings)}))
def test_a_short_wrong_name_leads_to_the_dotted_one(name):
    with pytest.raises(ConfigError, match="did you mean") as caught:
        make_settings([{name: 1}])
    assert repr(SHORT_NAMES[name]) in str(caught.value)
