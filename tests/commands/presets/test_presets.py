"""Every preset, from a miniature of its data set's download to a finished run."""

import json

import pytest

import equipoise
from equipoise.configuration.presets import preset_names, read_preset
from equipoise.encoders import cav_mae, m3ae
from equipoise.settings import Settings
from equipoise.yaml_text import parse_yaml

pytestmark = pytest.mark.filterwarnings("ignore:no group of class:UserWarning")  # in miniatures

DATA = {
    "iemocap-features": ("iemocap --features",),
    "sarcasm": ("sarcasm", "--images pictures"),
    "sarcasm-clip": ("sarcasm", "--images pictures"),
    "twitter2015": ("twitter2015", "--images pictures"),
    "twitter2015-clip": ("twitter2015", "--images pictures"),
}
"""{preset: data set and flags of prepare}, where the name of the preset does not say them."""
VARIANTS = ("-mla", "-cav-mae", "-words", "-clip")
TINY_BERT = (
    '{"num_hidden_layers":1,"hidden_size":16,"num_attention_heads":2,"intermediate_size":16}'
)
TINY_CLIP = (
    '{"num_hidden_layers":1,"hidden_size":16,"num_attention_heads":2,"intermediate_size":16,'
    '"projection_dim":16}'
)
SMALL = {  # flags by transform
    "log-stft": "seconds 0.2",
    "log-stft-10s": "seconds 0.2",
    "vggsound": "seconds 0.2",
    "fbank": "frames 32",
    "cav-mae": "frames 32",
    "pieces": "length 8",
    "frames": "size 32",
    "mla": "size 32",
    "lfm": "size 32",
    "picture": "size 32",
    "m3ae": "size 32",
    "flow": "size 32",
}
I3D = ("size 32", "stored_size 36", "frames 8", "candidates 12")


def data_of(preset):
    if preset in DATA:
        return DATA[preset]
    for ending in VARIANTS:
        preset = preset.removesuffix(ending)
    return (preset,)


def flags(preset, tokenizer, full):
    """The flags that a preset needs without a network, and, unless `full`, for small encoders."""
    values = read_preset(preset)
    for modality, encoder in values["encoder"].items():
        inputs = values["data"]["options"][modality]
        if "tokenizer" in inputs:
            yield f"--data.options.{modality}.tokenizer {tokenizer}"
        if encoder["name"] == "bert":
            yield f"--encoder.{modality}.weights null --encoder.{modality}.config "
            yield '{"vocab_size":30522}' if full else TINY_BERT
        if encoder["name"].startswith("clip"):
            yield f"--encoder.{modality}.weights null"
            yield "" if full else f"--encoder.{modality}.config {TINY_CLIP}"
        if not full:
            yield from small(modality, encoder, inputs)


def small(modality, encoder, inputs):
    transform = "pieces" if "tokenizer" in inputs else inputs["transform"]
    wanted = I3D if encoder["name"] == "i3d" else [SMALL[transform]] if transform in SMALL else []
    yield from (f"--data.options.{modality}.{setting}" for setting in wanted)
    if encoder["name"] == "m3ae":
        yield f"--encoder.{modality}.size small"
    if encoder.get("depth") == 50:
        yield f"--encoder.{modality}.depth 18"
    if encoder["name"] == "sequence_transformer":
        yield f"--encoder.{modality}.width 16"


@pytest.fixture
def shallow(monkeypatch):
    """Two encoders whose depth is no option."""
    monkeypatch.setattr(cav_mae, "OWN_BLOCKS", 1)
    monkeypatch.setitem(m3ae.SIZES, "small", (48, 2, 2))


def run(preset, miniature, tokenizer, command, full):
    """Prepare, train an epoch, and check what came out of it."""
    folder, facts = miniature(*data_of(preset))
    words = " ".join(flags(preset, tokenizer, full))
    if facts["facts"]["splits"]["train"]["samples"] < read_preset(preset)["batch_size"]:
        words += f" --batch_size {2 if full else 4}"
    answer = command(f"train --preset {preset} --data data/mini --epochs 1 {words} --json")
    assert answer.code == 0, answer.err
    result = json.loads(answer.out)
    stored = Settings.load(folder.parents[1] / result["folder"] / "config.yaml")
    values = read_preset(preset)
    declared = [text.partition("=")[0] for text in facts["modalities"]]
    assert result["modalities"] == declared
    expected = {m: encoder["name"] for m, encoder in values["encoder"].items() if m in declared}
    assert set(expected) == set(
        declared
    )  # the preset calls the modalities what the preparer calls them
    assert {m: encoder["name"] for m, encoder in stored.encoder.items()} == expected
    # A preset that states no optimiser leaves it to the method's advice.
    if "optimiser" in values:
        assert stored.optimiser.lr == values["optimiser"]["lr"]
    assert (stored.epochs, stored.width) == (1, values["width"])
    assert result["test"]["count"] == facts["facts"]["splits"]["test"]["samples"]
    return result


@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_runs_from_the_download_to_the_result(
    preset, miniature, tokenizer, command, shallow
):
    run(preset, miniature, tokenizer, command, full=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("preset", preset_names())
def test_a_preset_runs_at_full_size(preset, miniature, tokenizer, command):
    """Two at a time need more memory than 24 GB; tests of one file never run side by side."""
    run(preset, miniature, tokenizer, command, full=True)


def test_what_was_not_prepared_is_left_out_of_the_preset(miniature, tokenizer, command, tmp_path):
    miniature("sarcasm")
    (tmp_path / "mine.yaml").write_text("preset: sarcasm\nepochs: 1\n")
    words = " ".join(
        word for word in flags("sarcasm", tokenizer, full=False) if ".image" not in word
    )
    answer = command(
        f"train --config mine.yaml --data data/mini {words} --batch_size 4 --out run --json"
    )
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["modalities"] == ["text", "attributes"]
    assert "image" not in (tmp_path / "run/config.yaml").read_text()
    assert "preset" not in Settings.load(tmp_path / "run/config.yaml").to_dict()
    refused = command(f"train --preset sarcasm --data data/mini {words} --encoder.image resnet")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "encoder.image: the data have no such modality" in refused.err


def test_a_preset_in_python_and_in_a_comparison(miniature, command, tmp_path):
    miniature("fsdd")
    run = equipoise.fit("data/mini", "joint", preset="fsdd", epochs=1, out="run")
    assert run.settings.encoder == read_preset("fsdd")["encoder"]
    assert run.settings.optimiser.schedule == "cosine"
    compared = command(
        "bench --preset fsdd --data data/mini --epochs 1 --methods joint --seeds 1 --out both"
    )
    assert compared.code == 0, compared.err
    cell = Settings.load(tmp_path / "both/cells/joint/seed-0/config.yaml")
    assert cell == run.settings
    plan = parse_yaml((tmp_path / "both/bench.yaml").read_text())
    assert "preset" not in plan
    assert plan["encoder"] == run.settings.encoder


def test_a_manifest_is_decoded_as_a_preset_says(miniature, command):
    miniature("fsdd")
    answer = command("prepare data/mini --preset fsdd --data.options.audio.mels 20")
    assert answer.code == 0, answer.err
    assert "0 problems" in answer.err


def test_presets_are_listed_and_misspelled_ones_refused(command, refuse):
    listed = {
        entry["name"]: entry["summary"] for entry in json.loads(command("list presets --json").out)
    }
    assert listed == {name: read_preset(name)["summary"] for name in preset_names()}
    refuse("train --preset crema --data digits", 2, "unknown preset 'crema'", "'crema-d'")
    refuse(
        "bench --methods joint --preset crema --data digits --out x",
        2,
        "unknown preset 'crema'",
        "'crema-d'",
    )
    refuse("prepare fsdd --root . --preset fsdd", 2, "--preset")
