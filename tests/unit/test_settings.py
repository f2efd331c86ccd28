import random
from dataclasses import fields

import pytest

from equipoise.configuration.layers import make_settings, nest, overlay
from equipoise.errors import ConfigError
from equipoise.settings import DataSettings, OptimiserSettings, Settings, parse_yaml


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


@pytest.mark.parametrize("text", ["1e-3", "1E+3", "-2.5e-10", "+1e0", ".5e1"])
def test_exponents_are_numbers(text):
    assert parse_yaml(text) == float(text)


@pytest.mark.parametrize("text", ["e3", "1e", "1e3x", "ae-3"])
def test_other_words_stay_text(text):
    assert parse_yaml(text) == text


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
