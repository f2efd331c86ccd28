"""Code that a run folder, or a file of settings, names runs only if the user trusts its author."""

import shutil

import pandas as pd
import pytest

import equipoise
from equipoise.errors import ConfigError, RunError

NET = """
from pathlib import Path
from torch import nn

Path("it-ran").write_text("")

class Net(nn.Module):
    def __init__(self, shape, width=8):
        super().__init__()
        self.layer = nn.Linear(shape[0], width)
        self.width = width

    def forward(self, x):
        return self.layer(x)
"""


@pytest.fixture
def net(tmp_path, monkeypatch, request):
    """The import path of an encoder, as settings name it."""
    module = f"net_{abs(hash(request.node.name))}"
    (tmp_path / f"{module}.py").write_text(NET)
    monkeypatch.syspath_prepend(tmp_path)
    return f"import:{module}.Net"


@pytest.fixture
def run(command, rows, write, declared, net, tmp_path):
    """A finished run whose encoder is imported; nothing was imported since."""
    write(rows)
    answer = command(f"train --data rows.csv {declared} --encoder.first {net} --out runs/a")
    assert answer.code == 0, answer.err  # the user's own command line is trusted
    assert (tmp_path / "it-ran").exists()
    (tmp_path / "it-ran").unlink()
    forget(net)
    return "runs/a"


def forget(net):
    import sys

    sys.modules.pop(net.removeprefix("import:").removesuffix(".Net"), None)


@pytest.mark.parametrize(
    "line",
    [
        "evaluate RUN",
        "predict RUN --data rows.csv --out p.csv",
        "train --config RUN/config.yaml --out runs/b",
        "bench --config RUN/config.yaml --methods joint --seeds 1 --out runs/c",
        "bench --data rows.csv --methods mine=RUN/config.yaml --seeds 1 --out runs/c",
        "train --resume RUN",
    ],
)
def test_code_of_a_folder_runs_only_with_trust(command, refuse, run, tmp_path, line):
    line = line.replace("RUN", run)
    refuse(line, 2, "imports code (import:net_", "--trust", "trust=True", run)
    assert not (tmp_path / "it-ran").exists()
    answer = command(f"{line} --trust")
    assert answer.code == 0, answer.err


def test_in_python(run, rows, tmp_path, net):
    table = pd.DataFrame(rows)
    for call in (
        lambda: equipoise.evaluate(run),
        lambda: equipoise.predict(run, table),
        lambda: equipoise.evaluate(equipoise.Run.open(run)),
        lambda: equipoise.compare("rows.csv", [f"{run}/config.yaml"], seeds=1),
    ):
        with pytest.raises(ConfigError, match="trust=True"):
            call()
    assert not (tmp_path / "it-ran").exists()
    assert len(equipoise.predict(run, "rows.csv", trust=True)) == len(rows)
    assert (tmp_path / "it-ran").exists()


def test_the_report_imports_nothing(command, run, tmp_path):
    assert command(f"report {run} --out page").code == 0
    assert not (tmp_path / "it-ran").exists()


def test_a_run_of_this_process_is_trusted(rows, net, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = equipoise.fit(
        pd.DataFrame(rows),
        modality=["first=x0,x1,x2:vector", "second=y0,y1:vector"],
        encoder={"first": net},
        epochs=1,
        width=8,
    )
    assert len(equipoise.predict(run, pd.DataFrame(rows))) == len(rows)


def test_every_hint_to_go_on_works_as_printed(command, run, rows, declared, tmp_path):
    """It names --trust where the settings import code, and quotes the folder for the shell."""
    (tmp_path / run).rename(tmp_path / "runs/with space")
    folder = "runs/with space"
    known = "equipoise train --resume 'runs/with space' --trust"
    with pytest.raises(RunError, match="exists already") as found:
        equipoise.fit(f"{tmp_path}/rows.csv", out=folder)
    assert known in str(found.value)
    (tmp_path / folder / "result.json").unlink()
    with pytest.raises(RunError, match="not finished") as found:
        equipoise.Run.open(folder)
    assert str(found.value).endswith(known)


def test_a_comparison_of_somebody_else(command, refuse, rows, write, declared, net, tmp_path):
    """The grid and the choices in its bench.yaml hold for the methods that are added."""
    write(rows)
    base = f"bench --data rows.csv {declared} --seeds 1 --out runs/c"
    line = f"{base} --methods joint --grid encoder.first={net},mlp"
    assert command(line).code == 0
    forget(net)
    (tmp_path / "it-ran").unlink()
    refuse(f"{base} --methods late", 2, "bench.yaml", "imports code", "--trust")
    assert not (tmp_path / "it-ran").exists()
    assert command(line).code == 0  # what the user's own command names is the user's choice
    shutil.rmtree(tmp_path / "runs/c/cells")
    assert command(f"{base} --methods late --trust").code == 0
