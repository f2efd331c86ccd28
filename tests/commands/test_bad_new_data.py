"""`predict` and `evaluate --data` on a table of which one file is bad."""

import subprocess
import sys

import numpy as np
import pytest

LINE = (
    "--modality first=file:vector --modality second=x0,x1,x2:vector --id id --cache cache "
    "--epochs 1 --width 4"
)


@pytest.fixture
def new(command, rows, write, tmp_path):
    """A run, and 11 new rows of which row 6 of the file names no file."""
    for k, row in enumerate(rows):
        np.save(tmp_path / f"{k}.npy", np.random.default_rng().normal(size=3))
        row["file"] = f"{k}.npy"
    trained = command(f"train --data {write(rows)} {LINE} --out run")
    assert trained.code == 0, trained.err
    rows[4]["file"] = "gone.npy"
    return write(rows[:11], "new.csv")


def test_the_remedy_that_is_named_works(command, new, tmp_path):
    for line in (f"predict run --data {new} --out p.csv", f"evaluate run --data {new}"):
        answer = command(line)
        assert answer.code == 1
        assert "new.csv row 6" in answer.err
        assert "--problems drop or absent" in answer.err
        with pytest.warns(UserWarning, match="left out"):
            assert command(f"{line} --problems drop").code == 0
    assert (tmp_path / "p.csv").read_text().count("\n") == 1 + 10


def test_one_line_tells_of_rows_left_out(new, tmp_path):
    line = [
        sys.executable,
        "-m",
        "equipoise.cli",
        "predict",
        "run",
        "--data",
        new,
        "--out",
        "p.csv",
    ]
    answer = subprocess.run(
        [*line, "--problems", "drop"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    told, wrote = answer.stderr.splitlines()
    assert told.startswith("equipoise: warning: new.csv: 1 row left out, listed in ")
    assert wrote == "p.csv: 10 predictions"


def test_misuse(refuse, new):
    refuse(f"predict run --data {new} --out p.csv --problems ignore", 2, "--problems", "'drop'")
    refuse("evaluate run --problems drop", 2, "'problems' is for other data")


def test_predictions_need_no_labels(command, rows, write, refuse, tmp_path):
    line = (
        "--modality first=x0,x1,x2:vector --modality second=y0,y1:vector --id id "
        "--epochs 1 --width 4"
    )
    command(f"train --data {write(rows)} {line} --out run")
    write([{**row, "label": "todo"} for row in rows], "new.csv")
    for name in ("new", "rows"):
        assert command(f"predict run --data {name}.csv --out {name}_p.csv").code == 0
    assert (tmp_path / "new_p.csv").read_text() == (tmp_path / "rows_p.csv").read_text()
    refuse("evaluate run --data new.csv", 1, "new.csv row 2", "'todo'")
