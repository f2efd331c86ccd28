"""Texts of YAML mean what they mean in YAML 1.2, and none of them takes long to refuse."""

import time

import pytest
import yaml

from equipoise.errors import ConfigError
from equipoise.yaml_text import describe, dump_yaml, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, word) for word in ("yes", "no", "on", "off", "y", "1:30", "2024-01-01", "1_000")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, None) for word in ("~", "null", "")),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("1e-3", 0.001),
        ("1.", 1.0),
        (".inf", float("inf")),
        ("nan", "nan"),
        ("!!str 3", "3"),
    ],
)
def test_words(text, value):
    assert parse_yaml(f"a: {text}") == {"a": value}


def test_keys_are_texts_as_they_are_written():
    assert parse_yaml("yes: 1\n010: 2\n1.0: 3\n~: 4") == {"yes": 1, "010": 2, "1.0": 3, "~": 4}


BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 8)}]\n" for i in range(12)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3", ["line 3", "'a' is given twice"]),
        ("a: {b: 1, b: 2}", ["'b' is given twice"]),
        ("? [1]\n: 2", ["a key must be a text"]),
        ("a: " + "9" * 5000, ["5000 digits"]),
        ("[" * 3000, ["nested deeper than 50"]),
        ("{a: " * 3000, ["nested deeper than 50"]),
        ("- " * 3000, ["nested deeper than 50"]),
        (BOMB, ["50,000 values, aliases included"]),
        ("a: &a [*a]", ["contains itself"]),
        ("a: *b", ["no anchor"]),
        ("a:\n\t- b", ["line 2", "a tab", "indent with spaces"]),
        ("a: 1\n---\nb: 2", ["another document"]),
        ("a: !!python/object/apply:os.system [ls]", ["leave the tag out"]),
        ("a: !!binary aGk=", ["leave the tag out"]),
        ("a: !!int x", ["'x'"]),
        ("a: 'x", ["line 1"]),
        ("<<: 3", ["merging"]),
        ("a: \x00", ["special characters"]),
        ("a: " + "x" * 2**21, ["longer than"]),
        ("[" + "1," * 300_000 + "]", ["50,000 values"]),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_what_is_refused_is_refused_at_once_and_in_one_line(text, words):
    start = time.process_time()
    with pytest.raises(yaml.YAMLError) as caught:
        parse_yaml(text)
    assert time.process_time() - start < 10
    message = describe(caught.value)
    assert "\n" not in message
    assert len(message) < 300
    assert all(word in message for word in words), message


def test_aliases_and_merge_keys_within_the_limits():
    text = "x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\n"
    assert parse_yaml(text) == {"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}}


@pytest.mark.parametrize(
    "value",
    ["1e-3", "yes", "1:30", "010", "true", "~", "", "2024-01-01", ".nan", "1.5", "a: b", "x\ny"],
)
def test_a_text_that_looks_like_something_else_is_read_back_as_text(value):
    assert parse_yaml(dump_yaml({"a": value})) == {"a": value}
    assert yaml.safe_load(dump_yaml({"a": value})) == {"a": value}


def test_numbers_are_read_back_equal():
    values = {"a": 1e-5, "b": 1e20, "c": float("inf"), "d": None, "e": True, "f": -7}
    assert parse_yaml(dump_yaml(values)) == values


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no settings"),
        (b"# a comment\n", "holds no settings"),
        (b"---\n{}\n", "holds no settings"),
        (b"- 1\n", "found list"),
        (b"joint\n", "found str"),
        (b"a: \xff\n", "not UTF-8"),
        ("a: 1".encode("utf-16"), "not UTF-8"),
        (b"x" * (2**20 + 1), "larger than"),
    ],
)
def test_files_that_hold_no_settings(tmp_path, content, words):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(str(path))
    with pytest.raises(ConfigError, match="not a file"):
        read_yaml(tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfepochs: 3\n")
    assert read_yaml(tmp_path / "a.yaml") == {"epochs": 3}
