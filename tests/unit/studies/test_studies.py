"""The studies of the package: every file is read, and every training could start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from equipoise.batch import Predictions
from equipoise.configuration.presets import read_preset
from equipoise.data.datasets import DATASETS
from equipoise.encoders import ENCODERS
from equipoise.errors import ConfigError
from equipoise.evaluation.metrics import softmax
from equipoise.heads import HEADS
from equipoise.methods import METHODS
from equipoise.settings import AUTO
from equipoise.studies.find import Found
from equipoise.studies.page import draw
from equipoise.studies.reproduce import fuse, plan_of
from equipoise.studies.study import Number, read_study, study_names
from equipoise.studies.table import Cell, Table
from equipoise.yaml_text import dump_yaml

PAPER = {
    "paper": "Authors. Title.",
    "url": "https://example.org",
    "data": {
        "one": {"title": "Data 1", "modalities": ["a", "b"]},
        "two": {"title": "Data_2", "modalities": ["a", "b", "c"]},
    },
    "trainings": {
        "joint": {"settings": {"method": "joint", "head": "concat"}},
        "late": {"settings": {"method": "late"}, "on": {"two": {"epochs": 7}}},
    },
}
STUDY = {
    "title": "Table 9",
    "caption": "a test",
    "source": "page 1",
    "rows": ["data", "measure"],
    "columns": ["variant"],
    "data": ["one", "two"],
    "measures": {
        "one": {"All": "fused.accuracy", "A": "a.macro_f1"},
        "two": {"C": "c.accuracy", "All": "fused.accuracy", "GAP": "gap.accuracy"},
    },
    "variants": {"Joint": "joint", "Late & co": {"training": "late", "fusion": "mean"}},
    "published": {
        "one": {"Joint": [61.5, "60.25 ± 0.75"]},
        "two": {"Joint": [1, 2, None], "Late & co": [3, 4, 5]},
    },
}


@pytest.fixture
def write(tmp_path):
    """Writes a study of one's own, with some parts replaced; returns its path."""

    def make(study=None, paper=None) -> str:
        (tmp_path / "paper.yaml").write_text(dump_yaml({**PAPER, **(paper or {})}))
        path = tmp_path / "table.yaml"
        path.write_text(dump_yaml({**STUDY, **(study or {})}), encoding="utf-8")
        return str(path)

    return make


def found(data):
    """A prepared folder that need not exist."""
    return Found(Path("nowhere"), tuple(f"{m}={m}" for m in data.modalities))


@pytest.mark.parametrize("name", study_names())
def test_every_training_of_every_study_could_start(name, check_inputs):
    study = read_study(name)
    for data in study.data:
        assert data.set.removesuffix("-features") in DATASETS
        encoders = read_preset(data.preset)["encoder"] if data.preset else {}
        assert set(data.modalities) <= set(encoders)
        plan = plan_of(study, data, found(data), [0])
        plan.check()
        for training in study.trainings_on(data.key):
            settings = plan.settings(training.key, 0)
            check_inputs(settings)
            options = {key: value for key, value in settings.method.items() if key != "name"}
            method = METHODS.build(settings.method["name"], options)
            assert method is not None
            head = settings.head
            if head["name"] == AUTO:
                head = {"name": METHODS[settings.method["name"]].head}
            widths = {
                m: settings.width or ENCODERS[settings.encoder[m]["name"]].width
                for m in data.modalities
            }
            options = {key: value for key, value in head.items() if key != "name"}
            HEADS.build(head["name"], options, widths=widths, classes=6)


@pytest.mark.parametrize("name", study_names())
def test_every_table_prints_numbers_in_percent_of_every_variant(name):
    """A figure has none."""
    study = read_study(name)
    assert all(0 <= number.mean <= 100 for number in study.published.values())
    figure = study.x is not None or study.look is not None
    printed = {variant for _, variant, _ in study.published}
    assert printed == (set() if figure else {variant.title for variant in study.variants})
    data = {data for data, _, _ in study.published}
    assert data == (set() if figure else {data.key for data in study.data})


def test_two_trainings_serve_four_columns_of_the_ablation():
    study = read_study("mla/table-3")
    assert len(study.variants) == 4
    assert len(study.trainings_on("crema-d")) == 2


def test_a_training_can_be_fused_by_another_rule_at_test():
    rng = np.random.default_rng()
    logits = {m: rng.standard_normal((6, 3)).astype(np.float32) for m in "ab"}
    present = {"a": np.ones(6, bool), "b": np.arange(6) > 1}
    predictions = Predictions(
        index=np.arange(6),
        label=np.zeros(6, int),
        present=present,
        logits=logits,
        fused=np.zeros((6, 3), np.float32),
        classes=(0, 1, 2),
    )
    mean = np.where(present["b"][:, None], (logits["a"] + logits["b"]) / 2, logits["a"])
    np.testing.assert_allclose(fuse(predictions, "mean"), mean, rtol=1e-5, atol=1e-6)
    entropy = {m: -(softmax(x) * np.log(softmax(x))).sum(1) for m, x in logits.items()}
    weight = np.where(present["b"], 1 / (1 + np.exp(entropy["b"] - entropy["a"])), 0)[:, None]
    expected = weight * logits["b"] + (1 - weight) * logits["a"]
    # λ = softmax(−e): the surer modality counts more
    np.testing.assert_allclose(
        fuse(predictions, "entropy"),
        np.where(present["b"][:, None], expected, logits["a"]),
        rtol=1e-5,
        atol=1e-6,
    )
    with pytest.raises(ConfigError, match="cannot be chosen at test"):
        fuse(predictions, "fixed")


def test_settings_of_a_data_set_lie_over_those_of_a_training(write):
    study = read_study(write())
    plans = [
        plan_of(study, data, Found(Path("nowhere"), data.modalities), [0, 4]) for data in study.data
    ]
    assert list(plans[0].methods) == ["joint"]  # the paper prints no number of the other one
    assert plans[1].settings("late", 4).epochs == 7
    assert plans[1].settings("joint", 4).epochs != 7
    assert plans[1].seeds == (0, 4)
    assert {plan.settings("joint", 0).calibration for plan in plans} == {"none"}


def test_a_table_has_the_layout_of_the_paper(write):
    study = read_study(write())
    ours = Cell(Number(61.5), Number(60.0, 1.25), 3)
    cells = {
        ("one", "Joint", "All"): ours,
        ("one", "Joint", "A"): Cell(Number(60.25, 0.75), None, 0, "no data"),
        ("two", "Joint", "GAP"): Cell(None, Number(7.0), 1),
    }
    table = Table(study, cells)
    assert table.rows == [
        ("one", "All"),
        ("one", "A"),
        ("two", "C"),
        ("two", "All"),
        ("two", "GAP"),
    ]
    assert table.header() == [[("Joint", 1), ("Late & co", 1)]]
    assert ours.texts() == ("61.50", "60.00 ± 1.25", "−1.50")
    lines = [line.split(",") for line in table.to_csv().splitlines()]
    assert lines[0][:6] == [
        "",
        "",
        *(f"Joint {p}" for p in ("published", "ours", "std", "difference")),
    ]
    assert lines[1][:6] == ["Data 1", "All", "61.50", "60.00", "1.25", "-1.50"]
    assert lines[2][:6] == ["Data 1", "A", "60.25", "", "", ""]
    assert {len(line) for line in lines} == {10}
    latex = table.to_latex()
    assert r"61.50 / 60.00 $\pm$ 1.25 ($-$1.50)" in latex
    assert r"Late \& co" in latex
    assert r"Data\_2" in latex
    alone = {("one", "Joint", "All"): replace(ours, published=None)}
    unpublished = Table(replace(study, published={}), alone)
    assert r"& 60.00 $\pm$ 1.25 &" in unpublished.to_latex()
    assert table.reasons() == {"no data": ["Joint on Data 1"]}


def test_an_outer_heading_spans_its_columns(write):
    study = read_study(write({"rows": ["variant"], "columns": ["data", "measure"]}))
    assert Table(study, {}).header() == [
        [("Data 1", 2), ("Data_2", 3)],
        [("All", 1), ("A", 1), ("C", 1), ("All", 1), ("GAP", 1)],
    ]


def test_a_figure_is_drawn_along_its_axis(write):
    study = read_study(write({"x": "data", "published": {}}))
    cells = {
        ("one", "Joint", "All"): Cell(None, Number(61.5, 1.5), 3),
        ("two", "Joint", "All"): Cell(None, Number(70.0), 1),
        ("two", "Joint", "C"): Cell(None, None, 0, "no data"),
    }
    (line,) = draw(Table(study, cells)).data
    assert line.name == "Joint, All"
    assert line.x == ("Data 1", "Data_2")
    assert line.y == (61.5, 70.0)
    assert line.error_y.array == (1.5, 0)


@pytest.mark.parametrize(
    ("study", "paper", "words"),
    [
        ({"colums": []}, {}, ("table.yaml", "'colums'", "did you mean 'columns'")),
        ({"caption": 3}, {}, ("'caption' must be a text, found 3",)),
        ({"data": ["one", "three"]}, {}, ("unknown data 'three'",)),
        ({"data": ["one", "one"]}, {}, ("'data' must be different names",)),
        ({"rows": ["data"]}, {}, ("share out data, variant, measure",)),
        ({"analysis": {"kind": "gaps"}}, {}, ("analysis", "did you mean 'gap'")),
        (
            {"analysis": {"kind": "gap", "options": {"sample": 3}}},
            {},
            ("analysis: options", "did you mean 'samples'"),
        ),
        ({"x": "datum"}, {}, ("unknown x 'datum'; did you mean 'data'?",)),
        ({"seeds": 0}, {}, ("'seeds' must be a number of seeds",)),
        ({"variants": {"X": "jiont"}}, {}, ("variants: X", "did you mean 'joint'")),
        ({"variants": {"X": {"training": "joint", "fuse": "mean"}}}, {}, ("unknown key 'fuse'",)),
        (
            {"measures": {"All": "d.accuracy"}},
            {},
            ("measures: 'All' must be part.metric, of fused, gap, a, b", "'d.accuracy'"),
        ),
        ({"published": {"one": {"Joint": [1]}}}, {}, ("published: one", "a list of 2 numbers")),
        ({"published": {"one": {"Joint": [1, "2%"]}}}, {}, ("79.70 ± 0.87",)),
        ({"published": {"one": {"Join": [1, 2]}}}, {}, ("unknown key 'Join'",)),
        ({}, {"data": {"one": {"modalities": ["a"]}}}, ("paper.yaml: data: one", "'title'")),
        ({}, {"trainings": {"t": {"on": {"three": {}}}}}, ("trainings: t: on", "'three'")),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_place(write, study, paper, words):
    with pytest.raises(ConfigError) as caught:
        read_study(write(study, paper))
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize("name", study_names())
def test_every_study_stands_on_the_page_of_its_paper(name):
    page = Path(__file__).parents[3] / "docs" / f"{name.partition('/')[0]}.md"
    assert f"equipoise reproduce {name} --root data\n" in page.read_text(encoding="utf-8")
