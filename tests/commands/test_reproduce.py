"""Studies run again from the command line."""

import csv
import json

import pytest

from equipoise.studies.study import read_study, study_names

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # miniatures are very small


def check(folder, command, name):
    """Run the real files of a study in miniature, and look at what they leave."""
    answer = command(f"reproduce {name} --smoke --out out")
    assert answer.code == 0, answer.err
    records = json.loads((folder / "out" / name / "table.json").read_text())["cells"]
    for record in records:
        if record["published"] is not None:
            assert record["reason"] == "", record
            assert 0 <= record["ours"] <= 100
            assert record["difference"] == pytest.approx(record["ours"] - record["published"])
    lines = list(csv.reader((folder / "out" / name / "table.csv").open(encoding="utf-8")))
    assert len({len(line) for line in lines}) == 1
    study = read_study(name)
    if study.look is not None:
        for data in study.data:
            assert (folder / "out" / name / data.key / f"{study.look.kind}.csv").is_file()
    page = (folder / "out" / name / "index.html").read_text(encoding="utf-8")
    assert "the numbers mean nothing" in page
    return records


def test_a_table_runs_in_miniature_and_is_not_trained_twice(command, tmp_path):
    check(tmp_path, command, "mla/table-4")
    trained = sorted(tmp_path.glob("out/mla/food-101-clip/cells/*/seed-0/result.json"))
    assert [path.parts[-3] for path in trained] == ["concat", "mla"]
    before = [path.stat().st_mtime_ns for path in trained]
    check(tmp_path, command, "mla/table-4")
    assert [path.stat().st_mtime_ns for path in trained] == before


@pytest.mark.slow
@pytest.mark.parametrize("name", study_names())
def test_every_study_runs_in_miniature(command, tmp_path, name):
    check(tmp_path, command, name)


def test_a_missing_data_set_is_told_and_leaves_its_cells_empty(command, tmp_path):
    (tmp_path / "data").mkdir()
    answer = command("reproduce mla/table-4 --out out")
    assert answer.code == 1
    assert "no folder 'food-101' that `prepare` made in data" in answer.err
    records = json.loads((tmp_path / "out/mla/table-4/table.json").read_text())["cells"]
    assert all(record["ours"] is None for record in records)
    assert records[0]["published"] == 63.07


def test_a_modality_that_was_not_prepared_is_told(command, tmp_path, write, rows):
    folder = tmp_path / "data" / "food"
    folder.mkdir(parents=True)
    facts = {"name": "food-101", "manifest": "manifest.csv", "modalities": ["text=text:text"]}
    (folder / "dataset.json").write_text(json.dumps(facts))
    answer = command("reproduce mla/table-4 --out out")
    assert "data/food was prepared without image" in answer.err


def test_studies_are_listed(command):
    answer = command("reproduce --list")
    assert answer.code == 0
    for name in study_names():
        assert name in answer.out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("reproduce", ("--list names them",)),
        ("reproduce mla/table-9", ("unknown study 'mla/table-9'", "did you mean")),
        ("reproduce mla/table-4 --all", ("name one or more studies, or give --all",)),
        ("reproduce mla/table-4 --seeds 0", ("--seeds must be at least 1",)),
        ("reproduce mla/table-4 --smoke --root data", ("one of --root, --data and --smoke",)),
        ("reproduce mla/table-4 --preset crema-d", ("--preset is for --data",)),
        ("reproduce mine.yaml", ("mine.yaml: no such file",)),
    ],
)
def test_a_wrong_command_line_is_refused(refuse, line, words):
    refuse(line, 2, *words)


def test_a_root_that_is_no_folder_is_refused(refuse):
    refuse("reproduce mla/table-4 --root nowhere --out out", 1, "nowhere: no such folder")


OWN_PAPER = """
paper: Authors. Title.
url: https://example.org
data:
  theirs: {title: Theirs, modalities: [sound]}
trainings:
  both: {settings: {method: joint, head: concat, epochs: 2, width: 8}, on: {theirs: {epochs: 900}}}
  alone: {settings: {method: late, epochs: 2, width: 8}}
"""
OWN_TABLE = """
title: Table 1
caption: a test
source: page 1
seeds: 2
rows: [variant]
columns: [data, measure]
data: [theirs]
measures: {All: fused.accuracy, Gap: gap.macro_f1}
variants:
  Both: both
  Average: {training: alone, fusion: mean}
  Sure: {training: alone, fusion: entropy}
analysis: {kind: gap}
published: {theirs: {Both: [50, 1], Average: [60, 2], Sure: [61, 3]}}
"""


@pytest.fixture
def own(tmp_path, write, rows):
    """A study of one's own, and a prepared folder of two vectors."""
    (tmp_path / "paper.yaml").write_text(OWN_PAPER)
    (tmp_path / "table.yaml").write_text(OWN_TABLE)
    folder = tmp_path / "data" / "mine"
    folder.mkdir(parents=True)
    write(rows, "data/mine/manifest.csv")
    facts = {
        "name": "mine",
        "manifest": "manifest.csv",
        "modalities": ["x=x0,x1,x2:vector", "y=y0,y1:vector"],
        "id": "id",
    }
    (folder / "dataset.json").write_text(json.dumps(facts))
    return tmp_path / "runs/reproduce"


def test_the_rows_of_a_study_run_on_data_of_your_own(command, own):
    answer = command("reproduce table.yaml --data data/mine --seeds 1 --json")
    assert answer.code == 0, answer.err
    records = json.loads(answer.out)
    assert {record["published"] for record in records} == {None}
    values = {(record["variant"], record["measure"]): record["ours"] for record in records}
    assert len(values) == 3 * (4 + 4)  # accuracy and macro-F1, both with the gap
    for variant in ("Both", "Average", "Sure"):
        alone = [values[variant, f"{m} macro-F1"] for m in "xy"]
        assert values[variant, "Gap macro-F1"] == pytest.approx(abs(alone[0] - alone[1]))
    assert len(list(own.rglob("result.json"))) == 2  # two trainings serve three rows
    (gap,) = own.rglob("gap.csv")
    assert [row["method"] for row in csv.DictReader(gap.open())] == ["both", "alone"]


def test_more_seeds_keep_those_that_are_there(command, own):
    command("reproduce table.yaml --data data/mine --seeds 1")
    before = {path: path.stat().st_mtime_ns for path in own.rglob("result.json")}
    answer = command("reproduce table.yaml --data data/mine --seeds 2")
    assert answer.code == 0, answer.err
    assert len(before) == 2
    assert len(list(own.rglob("result.json"))) == 4
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
