"""`equipoise analyse` and `equipoise embed`: whole commands on a finished run."""

import json

import numpy as np
import pandas as pd
import pytest

import equipoise
from equipoise.analysis import ANALYSES
from equipoise.cli.component_help import component_options


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("analyse") / "mla"
    options = {"samples": 90}
    equipoise.fit(
        "synthetic", "mla", folder, epochs=2, width=6, verbose=0, **{"data.options": options}
    )
    return folder


def test_analyse_prints_and_writes(command, folder, tmp_path):
    answer = command(f"analyse gap {folder} --samples 10 --out {tmp_path / 'out'}")
    assert answer.code == 0, answer.err
    assert "easy – hard" in answer.out
    names = {"gap.csv", "gap-points.csv", "gap.svg", "gap.pdf"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == names
    assert pd.read_csv(tmp_path / "out/gap.csv")["samples"].tolist() == [10]
    answer = command(f"analyse gap --samples 10 {folder} --json --formats csv")
    assert json.loads(answer.out)[0]["samples"] == 10
    assert (folder / "analysis/gap.csv").is_file()


def test_misuse_is_one_line(refuse, folder):
    refuse(f"analyse gpa {folder}", 2, "unknown analysis 'gpa'", "gap")
    refuse(f"analyse gap {folder} --sample 3", 2, "--sample", "--samples")
    refuse(f"analyse gap {folder} --samples 0", 2, "'samples' must be")
    refuse("analyse gap nowhere", 1, "nowhere: not a run folder")
    refuse("analyse", 2, "KIND")


def test_every_analysis_has_help_with_an_example(command):
    whole = command("analyse --help").out
    listed = command("list analyses").out
    for entry in ANALYSES:
        assert f"equipoise analyse {entry.name} " in whole
        assert entry.name in listed
        assert all(text for _, _, text in component_options(entry, "analysis")), entry.name
        shown = " ".join(command(f"analyse {entry.name} --help").out.split())
        assert f"options of {entry.name}: {entry.summary}" in shown
        assert getattr(equipoise.analyse, entry.name.replace("-", "_")) is entry.load()


def test_embed(command, refuse, folder, tmp_path):
    out = tmp_path / "features.parquet"
    assert command(f"embed {folder} --out {out}").code == 0
    frame = pd.read_parquet(out)
    run = equipoise.load(folder)
    features = run.features()
    assert np.allclose(frame[[f"easy_{k}" for k in range(6)]], features["easy"])
    assert (frame["label"] == run.embed()["label"]).all()
    assert list(frame.columns[:2]) == ["label", "easy_0"]
    csv = tmp_path / "features.csv"
    assert command(f"embed {folder} --split train --out {csv}").code == 0
    assert len(pd.read_csv(csv)) == len(run.features(split="train")["easy"])
    refuse(f"embed {folder} --out {csv}", 1, "exists already")
    refuse(f"embed {folder} --out {tmp_path / 'x.txt'}", 2, ".parquet or .csv")


def test_evaluate_with_another_fusion(command, refuse, folder):
    answer = command(f"evaluate {folder} --head.fusion mean --json")
    assert json.loads(answer.out) == equipoise.evaluate(folder, head={"fusion": "mean"})
    refuse(f"evaluate {folder} --head concat", 2, "do not fit head 'concat'")
    refuse(f"evaluate {folder} --head.fusoin mean", 2, "fusion")
    refuse(f"evaluate {folder} --haed.fusion mean", 2, "--head.fusion")
