"""Train, evaluate, predict and report, as a user runs them."""

import csv
import json

import pytest

from equipoise.settings import Settings


def test_a_run_is_trained_evaluated_and_reported(command, tmp_path):
    trained = command("train TINY --out runs/a --json")
    assert trained.code == 0
    result = json.loads(trained.out)
    assert trained.err.splitlines()[-1].startswith("epoch 2/2")
    evaluated = command("evaluate runs/a --json")
    assert json.loads(evaluated.out) == result["test"]
    validation = command("evaluate runs/a --split validation --json")
    assert json.loads(validation.out) == result["validation"]
    table = command("evaluate runs/a").out
    assert f"{result['test']['fused']['accuracy']:.3f}" in table
    assert all(modality in table for modality in result["modalities"])
    low, high = result["test"]["intervals"]["accuracy"]
    assert f"({low:.3f}–{high:.3f})" in table
    for entry in result["test"]["classes"]:
        assert f"{entry['recall']:.3f}" in table
    assert command("report runs/a --out page").code == 0
    assert list((tmp_path / "page").glob("*.html"))


def test_the_result_repeats_and_its_command_too(command):
    first = json.loads(command("train TINY --optimiser.lr 0.03 --head sum --out runs/a --json").out)
    again = json.loads(command("train --config runs/a/config.yaml --out runs/b --json").out)
    from_command = first["command"].removeprefix("equipoise ") + " --out runs/c --json"
    third = json.loads(command(from_command).out)
    assert first["test"] == again["test"] == third["test"]
    assert first["command"] == again["command"] == third["command"]


def test_missing_cells_are_hidden_and_counted(command):
    command("train TINY --out runs/a")
    whole = json.loads(command("evaluate runs/a --json").out)
    hidden = json.loads(command("evaluate runs/a --missing 0.4 --json").out)
    assert all(
        hidden["modalities"][m]["count"] < whole["modalities"][m]["count"]
        for m in whole["modalities"]
    )
    assert hidden["fused"] != whole["fused"]


def test_new_rows_are_predicted_as_the_run_saw_its_own(command, rows, write, declared, tmp_path):
    write(rows)
    assert command(f"train --data rows.csv {declared} --out runs/a").code == 0
    new = [{key: value for key, value in row.items() if key != "label"} for row in rows[:7]]
    write(new, "new.csv")
    assert command("predict runs/a --data new.csv --out new_predictions.csv").code == 0
    command("predict runs/a --data rows.csv --out all.csv")
    with (tmp_path / "new_predictions.csv").open() as file:
        predicted = list(csv.DictReader(file))
    with (tmp_path / "all.csv").open() as file:
        of_all = list(csv.DictReader(file))
    assert [row["id"] for row in predicted] == [row["id"] for row in new]
    for few, many in zip(predicted, of_all[:7], strict=True):
        assert few["prediction"] == many["prediction"]
        probabilities = [float(value) for key, value in few.items() if key.startswith("p_")]
        assert probabilities == pytest.approx(
            [float(many[k]) for k in many if k.startswith("p_")], abs=2e-6
        )
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)


def test_other_data_are_evaluated_over_all_their_rows(command, rows, write, declared):
    write(rows)
    command(f"train --data rows.csv {declared} --out runs/a")
    write(rows[:20], "other.csv")
    assert json.loads(command("evaluate runs/a --data other.csv --json").out)["count"] == 20


def test_settings_are_stored_as_given(command, tmp_path):
    command(
        "train TINY --method mla --method.alpha 0.1 --head shared --head.fusion probability "
        "--missing=0.2 "
        "--encoder.hard mlp --encoder.hard.width 8 --optimiser.schedule cosine --out runs/a"
    )
    settings = Settings.load(tmp_path / "runs/a/config.yaml")
    assert settings.method == {"name": "mla", "alpha": 0.1}
    assert settings.head == {"name": "shared", "fusion": "probability"}
    assert settings.encoder == {"hard": {"name": "mlp", "width": 8}}
    assert settings.data.missing == 0.2
    assert settings.optimiser.schedule == "cosine"


def test_the_folder_has_a_default_name(command, tmp_path):
    command("train TINY --seed 3")
    assert (tmp_path / "runs/synthetic-balanced-seed3/result.json").is_file()


def test_a_data_set_is_prepared_and_trained(command, tmp_path):
    assert command("prepare synthetic --samples 60 --classes 3 --out files").code == 0
    answer = command(
        "train --data files/manifest.csv --modality sound=sound:audio "
        "--modality picture=picture:image --id id "
        "--epochs 1 --width 8 --out runs/a --json"
    )
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["modalities"] == ["sound", "picture"]


def test_two_methods_are_compared(command, tmp_path):
    line = "bench TINY --methods joint,plain=joint --seeds 2 --out runs/both"
    first = command(line)
    assert first.code == 0, first.err
    assert "joint" in first.out
    assert "±" in first.out
    assert list((tmp_path / "runs/both/report").glob("*.html"))
    second = command(line)
    assert second.err.count("skipped") == 4
    assert second.out == first.out


def test_the_table_has_what_earlier_commands_put_into_the_folder(command):
    """Methods that are added are tuned too; the advertised command then has nothing left to do."""
    for more, title in (("", "method"), ("--missing 0.1,0.2 --grid width=4,8", "missing")):
        folder = f"runs/{title}"
        assert command(f"bench TINY --methods mla,joint --seeds 1 {more} --out {folder}").code == 0
        more = more.partition("--grid")[0]
        second = command(f"bench TINY --methods late --seeds 1 {more} --out {folder}")
        assert second.code == 0, second.err
        words = [row.split()[0] for row in second.out.splitlines() if row.split()]
        assert [word for word in words if word in (title, "mla", "joint", "late")] == [
            title,
            "mla",
            "joint",
            "late",
        ]
        again = command(f"bench --config {folder}/bench.yaml --out {folder}")
        assert again.code == 0, again.err
        assert "done" not in again.err
        assert again.out == second.out


def test_a_failing_cell_ends_with_exit_code_1(command, tmp_path):
    line = "bench TINY --methods joint --seeds 1 --out runs/x --encoder.no_such mlp"
    answer = command(line)
    assert answer.code == 1
    assert "no_such" in answer.err.splitlines()[-1]
    assert "no_such" in (tmp_path / "runs/x/cells/joint/seed-0/error.txt").read_text()


def test_methods_are_compared_over_missing_rates(command, tmp_path):
    line = "bench TINY --methods joint,plain=joint --seeds 1 --missing 0:0.4:0.2 --out runs/sweep"
    first = command(line)
    assert first.code == 0, first.err
    assert "plain seed 0, missing 0.4: done" in first.err
    lines = [row.split() for row in first.out.splitlines()]
    assert ["missing", "0", "0.2", "0.4"] in lines
    assert {row[0]: len(row) for row in lines if row and row[0] in ("joint", "plain")} == {
        "joint": 4,
        "plain": 4,
    }
    absent = next(row for row in lines if row[:2] == ["cells", "absent"])
    assert [float(share) for share in absent[2:]] == [
        0,
        pytest.approx(20, abs=15),
        pytest.approx(40, abs=15),
    ]
    assert (tmp_path / "runs/sweep/report/missing-0.2/index.html").is_file()
    again = command("bench --config runs/sweep/bench.yaml --json --out runs/sweep")
    assert again.err.count("skipped") == 6
    assert {rate: [r["label"] for r in found] for rate, found in json.loads(again.out).items()} == {
        rate: ["joint", "plain"] for rate in ("0.0", "0.2", "0.4")
    }
    assert command("report runs/sweep --out page").code == 0
