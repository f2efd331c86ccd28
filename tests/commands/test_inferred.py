"""A table whose modalities nobody declares is taken as doctor suggests, and the advice runs."""

import re
import shlex

import pandas as pd
import pytest

import equipoise
from equipoise.errors import DataError
from equipoise.settings import Settings


@pytest.fixture
def words(tmp_path):
    """80 rows of text and numbers, with a label, a speaker and an id, as people have them."""
    topics = {"calm": "slow and quiet water", "angry": "loud and fast fire"}
    rows = [
        {
            "id": f"r{k}",
            "said": f"{topics[label]} number {k} again",
            "x0": f"{(label == 'calm') + k % 7 / 10:.2f}",
            "x1": f"{k % 5 / 10:.2f}",
            "emotion": label,
            "speaker": f"s{k % 8}",
        }
        for k in range(80)
        for label in [("calm", "angry")[k // 8 % 2]]
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "my clips.csv", index=False)
    return "my clips.csv"


TAKEN = (
    "the columns are taken as --modality said=said:text --modality x=x0,x1:vector "
    "--label emotion --group speaker --id id"
)


def check_declared(settings):
    assert settings.data.modality == ["said=said:text", "x=x0,x1:vector"]
    assert (settings.data.label, settings.data.group, settings.data.id) == (
        "emotion",
        "speaker",
        "id",
    )


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Runs a command given as words, in which a name may hold a space."""
    from equipoise.cli import main

    monkeypatch.chdir(tmp_path)

    def call(*words):
        capsys.readouterr()
        code = main(list(words))
        return code, *capsys.readouterr()

    return call


@pytest.mark.parametrize("place", ["first", "last", "flag"])
def test_train_says_what_it_takes(run, words, tmp_path, place):
    settings = ["--epochs", "1", "--width", "8", "--method.alpha", "0.5", "--method", "mla"]
    source = {"first": [words], "last": [], "flag": ["--data", words]}[place]
    last = [words] if place == "last" else []
    code, _, err = run("train", *source, *settings, "--out", "run", *last)
    assert code == 0, err
    assert TAKEN in err
    assert err.count("no modalities are declared") == 1
    check_declared(Settings.load(tmp_path / "run/config.yaml"))


def test_python_and_a_comparison_take_the_same(run, words, capsys, tmp_path):
    check_declared(equipoise.fit(words, epochs=1, width=8).settings)
    assert TAKEN in capsys.readouterr().err
    taken = equipoise.fit(pd.read_csv(words), epochs=1, width=8)
    check_declared(taken.settings)
    code, _, err = run(
        "bench", words, "--methods", "joint", "--seeds", "1", "--epochs", "1", "--width", "8"
    )
    assert code == 0, err
    assert err.count(TAKEN) == 1
    check_declared(Settings.load(tmp_path / "runs/bench/cells/joint/seed-0/config.yaml"))


def test_a_column_that_the_user_names_is_never_replaced(run, words):
    code, out, err = run("train", words, "--label", "emotoin")
    assert (code, out) == (2, "")
    assert "emotoin" in err.splitlines()[-1]


def test_a_table_without_modalities_says_so(run, tmp_path):
    pd.DataFrame({"emotion": ["a", "b"] * 20}).to_csv(tmp_path / "x.csv", index=False)
    code, _, err = run("train", "x.csv")
    assert (code, err.count("\n")) == (1, 1)
    assert "--modality NAME=COLUMN:KIND" in err
    with pytest.raises(DataError, match="no column looks like a modality"):
        equipoise.fit("x.csv")
    assert "No column looks like a modality" in run("doctor", "x.csv")[1]


def test_the_commands_that_doctor_prints_run_as_printed(run, words):
    code, out, _ = run("doctor", words)
    assert code == 0
    commands = [line.strip() for line in out.splitlines() if line.startswith("  equipoise ")]
    assert [shlex.split(command)[1:3] for command in commands] == [
        ["train", words],
        ["doctor", words],
    ]
    code, out, _ = run(*shlex.split(commands[1])[1:])
    assert code == 0
    advised = re.search(r"(equipoise bench .*? --methods \S+)", out)
    assert advised, out
    assert shlex.split(advised[1])[2:4] == ["--data", words]
    small = ["--epochs", "1", "--width", "8", "--seeds", "1"]
    code, _, err = run(*shlex.split(advised[1].rstrip(",;."))[1:], *small)
    assert code == 0, err
    code, _, err = run(*shlex.split(commands[0])[1:], *small[:4])
    assert code == 0, err
