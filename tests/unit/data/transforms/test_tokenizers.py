"""A tokenizer that cannot be used is one line, and no code that comes with it runs."""

import json

import pytest

pytest.importorskip("transformers")

from equipoise.data.transforms.kinds import make_text
from equipoise.encoders import build_encoder
from equipoise.errors import ConfigError

BERT = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 20,
}
CODE = {"auto_map": {"AutoTokenizer": ["own.Own", None], "AutoConfig": "own.Own"}}
WORDS = "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "blue"])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Makes a folder of files; the library asks nobody for others."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def make(files):
        for name, content in files.items():
            (tmp_path / name).write_text(content)
        return str(tmp_path)

    return make


def tokens(name):
    return make_text("words", {"tokenizer": name, "length": 6}).tokens(())


def test_words_of_a_folder_are_read(folder):
    made = tokens(folder({"config.json": json.dumps(BERT), "vocab.txt": WORDS}))
    assert made.size == 7
    assert made(["red green"]).tolist() == [[2, 5, 1, 3, 0, 0]]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "cannot load the tokenizer"),
        ({"tokenizer.json": "{"}, "cannot load the tokenizer"),
        ({"tokenizer.json": "[]", "tokenizer_config.json": "[]"}, "cannot load the tokenizer"),
        ({"config.json": json.dumps(BERT), "vocab.txt": ""}, "cannot load the tokenizer"),
        ({"config.json": json.dumps(BERT)}, "knows no word; its folder lacks tokenizer.json"),
    ],
)
def test_a_damaged_tokenizer_is_one_line(folder, files, words):
    with pytest.raises(ConfigError, match=words) as told:
        tokens(folder(files))
    assert "\n" not in str(told.value)


def test_code_beside_a_tokenizer_neither_runs_nor_asks(folder, capsys, monkeypatch):
    """The library would ask on the terminal whether to run it."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asked"))
    name = folder(
        {
            "tokenizer_config.json": json.dumps(CODE),
            "config.json": json.dumps({"model_type": "own", **CODE}),
            "own.py": "raise SystemExit('it ran')",
        }
    )
    with pytest.raises(ConfigError, match="cannot load the tokenizer"):
        tokens(name)
    with pytest.raises(ConfigError, match="loading the configuration failed"):
        build_encoder("hf", {"weights": name}, (6,), 7)
    assert "run" not in capsys.readouterr().out


@pytest.mark.parametrize("name", [3, None, ["bert"]])
def test_a_tokenizer_that_is_no_name(name):
    with pytest.raises(ConfigError, match="'tokenizer' must be a name or a folder"):
        tokens(name)
