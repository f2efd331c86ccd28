"""The settings that a command line stands for."""

import json
import subprocess
import sys

import pytest
import yaml

from equipoise.settings import Settings


def printed(answer) -> Settings:
    assert answer.code == 0, answer.err
    return Settings.from_dict(yaml.safe_load(answer.out))


def test_printed_settings_can_be_read_back(command, tmp_path):
    answer = command(
        "train --print_config --data clips.csv --modality sound=wav:audio "
        "--modality=face=a,b:vector --label emotion --split fold --group=speaker --missing 0.3 "
        "--root /somewhere --problems drop --data.options.views 3 "
        "--method mla --method.alpha=1e-2 --encoder.face mlp --encoder.face.width 64 --compile "
        "--optimiser.lr 1e-3"
    )
    settings = printed(answer)
    assert settings.data.modality == ["sound=wav:audio", "face=a,b:vector"]
    assert (settings.data.label, settings.data.split, settings.data.group) == (
        "emotion",
        "fold",
        "speaker",
    )
    assert settings.data.options == {"views": 3}
    assert settings.method["alpha"] == 0.01
    assert settings.encoder["face"] == {"name": "mlp", "width": 64}
    assert settings.compile is True
    (tmp_path / "all.yaml").write_text(answer.out)
    assert printed(command("train --config all.yaml --print_config")) == settings


def test_flags_stand_above_files_and_later_files_above_earlier_ones(command, tmp_path):
    (tmp_path / "a.yaml").write_text("method: {name: mla, alpha: 3}\nepochs: 5\nwidth: 4\n")
    (tmp_path / "b.yaml").write_text("epochs: 6\noptimiser: {lr: 1e-1}\ndata: digits\n")
    settings = printed(
        command("train --seed 9 --config a.yaml --config b.yaml --print_config --width 7")
    )
    assert (settings.epochs, settings.width, settings.seed, settings.optimiser.lr) == (6, 7, 9, 0.1)
    assert settings.method == {"name": "mla", "alpha": 3}
    assert printed(command("train --config a.yaml --method joint --print_config")).method == {
        "name": "joint"
    }


def test_text_stays_text_where_text_is_wanted(command):
    settings = printed(command("train --label 1 --group yes --id null --print_config"))
    assert (settings.data.label, settings.data.group, settings.data.id) == ("1", "yes", None)


@pytest.mark.parametrize("kind", ["methods", "heads", "encoders", "datasets"])
def test_lists_are_complete_and_filtered(command, kind):
    entries = json.loads(command(f"list {kind} --json").out)
    names = [entry["name"] for entry in entries]
    assert names
    table = command(f"list {kind}").out
    assert all(entry["name"] in table and entry["summary"] in table for entry in entries)
    first = names[0]
    assert [e["name"] for e in json.loads(command(f"list {kind} {first[:2]}* --json").out)] == [
        name for name in names if name.startswith(first[:2])
    ]


@pytest.mark.parametrize(
    "name",
    ["demo", "prepare", "train", "evaluate", "predict", "bench", "reproduce", "report", "list"],
)
def test_every_command_has_help(command, name):
    answer = command(f"{name} --help")
    assert answer.code == 0
    assert answer.out.startswith(f"usage: equipoise {name}")
    assert name in command("--help").out


def test_what_the_demo_runs_can_be_run():
    from equipoise.cli import demo
    from equipoise.comparison.plan import Plan

    plan = Plan(demo.DEMO_METHODS, shared=demo.DEMO_SETTINGS)
    plan.check()
    assert len(plan.methods) == 6
    assert len(plan.seeds) == 3


def test_a_warning_of_ours_is_one_plain_line_and_others_keep_their_place():
    script = """
import warnings
from equipoise import cli
from equipoise.cli import listing

def run(args):
    for file in (listing.__file__, "elsewhere.py"):
        warnings.warn_explicit("mind this", UserWarning, file, 7)
    return 0

listing.run = run
raise SystemExit(cli.main(["list", "heads"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    first, second, *_ = done.stderr.splitlines()
    assert first == "equipoise: warning: mind this"
    assert second.startswith("elsewhere.py:7: UserWarning: mind this")


@pytest.mark.parametrize("name", ["train", "bench", "doctor", "prepare"])
def test_help_says_how_the_cells_of_a_modality_are_set(command, name):
    shown = " ".join(command(f"{name} --help").out.split())
    assert "how a modality's cells are read, --data.options.MODALITY.SETTING VALUE" in shown
