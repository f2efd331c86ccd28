"""Studies run again from the command line."""

import csv
import json

import pytest

from equipoise.studies.study import study_names

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
        ("reproduce mla/table-4 --smoke --root data", ("leave out --root",)),
        ("reproduce mine.yaml", ("mine.yaml: no such file",)),
    ],
)
def test_a_wrong_command_line_is_refused(refuse, line, words):
    refuse(line, 2, *words)


def test_a_root_that_is_no_folder_is_refused(refuse):
    refuse("reproduce mla/table-4 --root nowhere --out out", 1, "nowhere: no such folder")
