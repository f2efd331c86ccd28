"""A run folder whose files were edited or cut is told in one line, and never believed."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import equipoise
from equipoise.errors import DataError, EquipoiseError, RunError
from equipoise.report import write_report
from equipoise.runs.run import Run
from equipoise.settings import Settings


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A table and a finished run on it."""
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    code = np.arange(60) % 2
    table = pd.DataFrame({"x": 9 * code + rng.normal(size=60), "label": code})
    table["said"] = [f"{'yes' if c else 'no'} it {'is' if c else 'never was'}" for c in code]
    table.to_csv(folder / "data.csv", index=False)
    modality = ["value=x:vector", "words=said:text"]
    equipoise.fit(folder / "data.csv", modality=modality, epochs=2, width=8, out=folder / "run")
    return folder


@pytest.fixture
def run(made, tmp_path):
    shutil.copytree(made / "run", tmp_path / "run")
    return tmp_path / "run"


def edit(path, change):
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(change(content)), encoding="utf-8")


def at(*names, value):
    """Changes one value of nested tables."""

    def change(content):
        inner = content
        for name in names[:-1]:
            inner = inner[name]
        inner[names[-1]] = value(inner[names[-1]])
        return content

    return change


def reverse(value):
    return value[::-1]


def turned(table):
    return dict(reversed(table.items()))


FACTS = {
    "classes": at("classes", value=reverse),
    "class types": at("classes", value=lambda names: [str(name) for name in names]),
    "order of modalities": at("modalities", value=turned),
    "shape": at("modalities", "value", "shape", value=lambda shape: [2]),
    "kind": at("modalities", "words", "kind", value=lambda kind: "vector"),
    "vocabulary": at("preprocessing", "learned", "words", "vocabulary", value=reverse),
    "scale": at("preprocessing", "learned", "value", value=lambda found: {}),
    "label type": at("preprocessing", "label_type", "kind", value=lambda kind: "text"),
    "columns": at("preprocessing", "modalities", value=reverse),
    "no classes": at("classes", value=lambda names: None),
    "a list": lambda content: [content],
    "nothing": lambda content: None,
}


@pytest.mark.parametrize("change", FACTS.values(), ids=FACTS)
def test_edited_facts_of_the_data_are_noticed(run, made, change):
    edit(run / "data.json", change)
    for use in (equipoise.predict, equipoise.evaluate):
        with pytest.raises(RunError, match=r"data\.json: ") as told:
            use(run, made / "data.csv")
        assert "\n" not in str(told.value)


def test_other_spaces_in_the_facts_do_not_matter(run, made):
    edit(run / "data.json", lambda content: content)
    assert len(equipoise.predict(run, made / "data.csv")) == 60


def test_facts_of_an_earlier_version_are_used_with_a_warning(run, made):
    [facts] = run.glob("checkpoints/best-epoch-*/checkpoint.json")
    edit(facts, lambda content: (content["identity"].pop("facts"), content)[1])
    with pytest.warns(UserWarning, match=r"data\.json: not checked"):
        assert len(equipoise.predict(run, made / "data.csv")) == 60
    edit(run / "data.json", FACTS["no classes"])
    with (
        pytest.warns(UserWarning, match="not checked"),
        pytest.raises(RunError, match="does not fit the weights"),
    ):
        equipoise.predict(run, made / "data.csv")


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("name: balanced", "name: mla"),
        ("width: 8", "width: 9"),
        ("label: label", "label: said"),
        ("epochs: 2", "epochs: 3"),
        ("encoder: {}", "encoder: {value: {name: mlp, depth: 3}}"),
    ],
)
def test_edited_settings_are_noticed(run, made, was, now):
    path = run / "config.yaml"
    text = path.read_text(encoding="utf-8")
    assert was in text
    path.write_text(text.replace(was, now, 1), encoding="utf-8")
    Settings.load(path)
    with pytest.raises(RunError, match="made with another configuration"):
        equipoise.predict(run, made / "data.csv")


RESULTS = {
    "accuracy": at("test", "fused", "accuracy", value=lambda found: 0.9876),
    "label": at("label", value=lambda label: "best"),
    "no test": lambda content: {k: v for k, v in content.items() if k != "test"},
    "null": lambda content: None,
    "list": lambda content: [1],
    "no digest, no cost": lambda content: {
        k: v for k, v in content.items() if k not in ("digest", "cost")
    },
    "no digest, a text": lambda content: {
        **{k: v for k, v in content.items() if k != "digest"},
        "validation": "good",
    },
}


@pytest.mark.parametrize("change", RESULTS.values(), ids=RESULTS)
def test_an_edited_result_is_noticed(run, tmp_path, change):
    edit(run / "result.json", change)
    for use in (Run.open, lambda folder: write_report([folder], tmp_path / "report")):
        with pytest.raises(RunError, match=r"result\.json: edited or cut") as told:
            use(run)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("part", [0.1, 0.4, 0.99])
@pytest.mark.parametrize("name", ["result.json", "data.json", "metrics.jsonl"])
def test_a_file_that_was_cut_is_told(run, made, tmp_path, name, part):
    content = (run / name).read_bytes()
    (run / name).write_bytes(content[: int(part * len(content))])

    def use():
        equipoise.predict(run, made / "data.csv")
        write_report([run], tmp_path / "report")

    with pytest.raises(RunError, match=name.replace(".", r"\.")) as told:
        use()
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("line", ["{}", "[]", "null", '{"epoch": 1}', '{"epoch": []}'])
def test_an_edited_line_of_metrics_is_told(run, tmp_path, line):
    with (run / "metrics.jsonl").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(RunError, match=r"metrics\.jsonl: edited or cut"):
        write_report([run], tmp_path / "report")


def test_own_data_that_have_changed_are_not_measured(made, tmp_path):
    table = pd.read_csv(made / "data.csv")
    table.to_csv(tmp_path / "data.csv", index=False)
    modality = ["value=x:vector", "words=said:text"]
    source = tmp_path / "data.csv"
    run = equipoise.fit(source, modality=modality, epochs=1, width=8, out=tmp_path / "own")
    assert equipoise.evaluate(run) == run.result["test"]
    changes = {
        "classes": table.assign(label=table["label"] + 1),
        "vocabulary": table.assign(said=table["said"].str.replace("never", "hardly")),
    }
    for part, changed in changes.items():
        changed.to_csv(source, index=False)
        with pytest.raises(DataError, match=f"since the {part} changed"):
            equipoise.evaluate(run)


PREPARED = {"manifest": "data.csv", "modalities": ["value=x:vector"], "name": "mine"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"modalities": "value=x"},
        {"modalities": [1]},
        {"manifest": 3},
        {"options": []},
        {"options": {"value": 1}},
        {"label": None},
        {"label": 3},
        {"split": []},
        {"root": 1},
        {"name": {}},
    ],
)
def test_an_edited_description_of_prepared_data_is_told(made, tmp_path, wrong):
    shutil.copy(made / "data.csv", tmp_path)
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(PREPARED))
    assert equipoise.doctor(tmp_path)["rows"] == 60
    path.write_text(json.dumps({**PREPARED, **wrong}))
    with pytest.raises(EquipoiseError, match=r"dataset\.json: not valid") as told:
        equipoise.doctor(tmp_path)
    assert "\n" not in str(told.value)
    for content in ("[]", "null", '"x"', "{", "[" * 100_000):
        path.write_text(content)
        with pytest.raises(EquipoiseError, match=r"dataset\.json: not valid"):
            equipoise.doctor(tmp_path)


def test_weights_of_another_run_are_told(run, made, tmp_path):
    """Every file is whole and fits its digest, but the network is that of other data."""
    table = pd.read_csv(made / "data.csv").rename(columns={"x": "z"})
    modality = ["value=z:vector", "words=said:text"]
    source = tmp_path / "other.csv"
    table.assign(said=table["said"].str.replace("never", "hardly")).to_csv(source, index=False)
    equipoise.fit(source, modality=modality, epochs=2, width=4, out=tmp_path / "other")
    for path in (run / "checkpoints").iterdir():
        shutil.rmtree(path)
    for path in (tmp_path / "other/checkpoints").iterdir():
        shutil.copytree(path, run / "checkpoints" / path.name)
    with pytest.raises(EquipoiseError) as told:
        equipoise.predict(run, made / "data.csv")
    assert "\n" not in str(told.value)
    assert "checkpoints" in str(told.value) or "data.json" in str(told.value)
