"""The options of a method, head or encoder stand in the help of the command that names it."""

import subprocess
import sys

import pytest

from equipoise.cli.component_help import LIBRARY_PARAMETERS, component_options
from equipoise.encoders import ENCODERS
from equipoise.heads import HEADS
from equipoise.methods import METHODS

REGISTRIES = {"method": METHODS, "head": HEADS, "encoder": ENCODERS}


def words(answer):
    """The help in one line."""
    assert answer.code == 0, answer.err
    return " ".join(answer.out.split())


def test_help_of_a_method_lists_its_options():
    done = subprocess.run(
        [sys.executable, "-m", "equipoise", "train", "--method", "mie", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    shown = " ".join(done.stdout.split())
    assert "options of method mie: modalities in turn" in shown
    assert "--method.rho RHO radius ρ of the perturbation, or {modality: ρ} [0.05]" in shown
    assert "--method.reload_best RELOAD_BEST end a phase with the weights of the best" in shown
    assert "--optimiser.lr LR learning rate" in shown


@pytest.mark.parametrize(
    "line", ["train --help --method=mla", "bench --method mla -h", "train --method mla --help"]
)
def test_the_order_of_the_words_does_not_matter(command, line):
    assert "--method.alpha ALPHA" in words(command(line))


def test_help_of_heads_and_encoders(command):
    shown = words(command("train --head weight --encoder.sound resnet --encoder.face mlp --help"))
    assert "options of head weight:" in shown
    assert "--head.mix MIX" in shown
    assert "--encoder.sound.depth DEPTH 18, 34 or 50 [18]" in shown
    assert "--encoder.face.hidden HIDDEN" in shown
    assert "--encoder.face.shape" not in shown


def test_components_may_be_named_by_a_file_or_a_preset(command, tmp_path):
    (tmp_path / "mine.yaml").write_text("method: mla\nencoder: {sound: {name: mlp, width: 3}}\n")
    shown = words(command("train --config mine.yaml --help"))
    assert "options of method mla:" in shown
    assert "--encoder.sound.hidden" in shown
    assert "--encoder.video.depth" in words(command("train --preset crema-d --help"))


def test_plain_help_names_no_options_of_components(command):
    shown = command("train --help").out
    assert "options of method" not in shown
    assert "--method mie --help" in shown
    assert command("train --help --epochs nonsense").out == shown


def test_an_unknown_component_is_refused_with_the_nearest(refuse):
    refuse("train --method mei --help", 2, "unknown method 'mei'", "mie")
    refuse("train --head consat --help", 2, "unknown head 'consat'", "concat")


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_option_of_every_component_has_a_description(kind):
    for entry in REGISTRIES[kind]:
        options = {name: text for name, _, text in component_options(entry, kind)}
        assert all(options.values()), (entry.name, options)
        assert set(options) == set(entry.parameters()) - LIBRARY_PARAMETERS[kind]
