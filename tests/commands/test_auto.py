"""`equipoise auto`: a whole search, its folder in use, interruptions and misuse."""

import json
import shutil
import signal
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import equipoise
from equipoise.configuration.layers import make_settings, nest
from equipoise.errors import DataError, RunError
from equipoise.portfolio import material
from equipoise.portfolio import run as searching
from equipoise.portfolio.classical import Classical
from equipoise.testing.world import fresh_seed
from portfolios import few

SPLITS = np.array(["train"] * 90 + ["validation"] * 30 + ["test"] * 30)
MODALITIES = {"first": "first=a0,a1,a2:vector", "second": "second=b0,b1:vector"}
QUICK = {"modality": list(MODALITIES.values()), "label": "y", "split": "part", "width": 8}


def table(rng, gaps=True):
    """Integers as labels, a strong and a weak modality, and rows without the weak one."""
    label = rng.integers(3, size=len(SPLITS))
    a = 1.5 * np.eye(3)[label] + rng.normal(size=(len(label), 3))
    b = (label == 1)[:, None] + rng.normal(size=(len(label), 2))
    rows = pd.DataFrame(np.hstack([a, b]), columns=["a0", "a1", "a2", "b0", "b1"])
    rows["y"] = 10 * label
    rows["part"] = SPLITS
    if gaps:
        rows.loc[rng.random(len(rows)) < 0.2, ["b0", "b1"]] = np.nan
    return rows


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(searching, "portfolio", few)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search as the command line makes it, and its table."""
    from equipoise.cli import main

    folder = tmp_path_factory.mktemp("search")
    rows = table(np.random.default_rng(fresh_seed()))
    rows.to_csv(folder / "rows.csv", index=False)
    words = [w for declared in MODALITIES.values() for w in ("--modality", declared)]
    code = main(
        [
            *("auto", str(folder / "rows.csv"), *words, "--label", "y", "--split", "part"),
            *("--width", "8", "--epochs", "3", "--time-limit", "6", "--out", str(folder / "run")),
        ]
    )
    assert code == 0
    return folder / "run", rows


def test_one_folder_predicts_and_evaluates_like_any_run(searched, command):
    folder, rows = searched
    result = json.loads((folder / "result.json").read_text())
    weights = [member["weight"] for member in result["members"]]
    assert sum(weights) == pytest.approx(1)
    assert min(weights) >= 0
    assert result["test"]["count"] == 30
    assert equipoise.evaluate(folder) == result["test"]
    assert equipoise.evaluate(folder, split="validation") == result["validation"]
    assert not (folder / "trials").exists()
    found = equipoise.predict(folder, rows.drop(columns="y").iloc[-30:])
    assert set(found["prediction"]) <= {0, 10, 20}
    assert found["prediction"].dtype == np.int64
    accuracy = (found["prediction"] == rows["y"].iloc[-30:]).mean()
    assert accuracy == pytest.approx(result["test"]["fused"]["accuracy"])
    np.testing.assert_allclose(found.filter(like="p_").sum(axis=1), 1, rtol=1e-5)


def test_the_report_and_the_commands_read_the_folder(searched, command, tmp_path):
    folder, rows = searched
    assert command(f"evaluate {folder}").code == 0
    rows.to_csv(tmp_path / "new.csv", index=False)
    answer = command(f"predict {folder} new.csv")
    assert answer.out.splitlines()[0] == "id,prediction,confidence,p_0,p_10,p_20"
    answer = command(f"report {folder} --out page")
    assert answer.code == 0
    assert "auto" in (tmp_path / "page/index.html").read_text()


def test_cells_and_whole_modalities_may_be_missing_in_new_rows(searched):
    folder, rows = searched
    only_first = rows[["a0", "a1", "a2"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = equipoise.predict(folder, only_first, allow_absent=True)
    assert np.isfinite(found.filter(like="p_").to_numpy()).all()


def test_validation_rows_are_in_the_members_so_no_cell_of_them_can_be_hidden(searched, command):
    folder, _ = searched
    answer = command(f"evaluate {folder} --split validation --missing 0.3")
    assert answer.code == 2
    assert "take the test split" in answer.err


@pytest.mark.parametrize("count", [2, 3])
def test_test_rows_change_nothing_but_the_test_metrics(quick, tmp_path, count):
    """The test rows are poisoned: everything that was fitted or chosen stays the same, in bits."""
    rows = table(np.random.default_rng(fresh_seed()), gaps=False)
    rows["c"] = np.random.default_rng(1).normal(size=len(rows))
    settings = {**QUICK, "modality": [*QUICK["modality"], "third=c:vector"][:count]}
    poisoned = rows.copy()
    numbers = ["a0", "a1", "a2", "b0", "b1", "c"]
    poisoned.loc[SPLITS == "test", numbers] = 1e6
    poisoned.loc[SPLITS == "test", "y"] = 0
    runs = [
        equipoise.auto(data, 600, tmp_path / name, workers=1, **settings)
        for name, data in (("clean", rows), ("poisoned", poisoned))
    ]
    clean, dirty = (run.folder for run in runs)
    assert runs[0].result["validation"] == runs[1].result["validation"]
    assert runs[0].result["test"] != runs[1].result["test"]
    chosen = [
        [{k: v for k, v in m.items() if k != "seconds"} for m in run.result["members"]]
        for run in runs
    ]
    assert chosen[0] == chosen[1]
    weights = sorted(path.relative_to(clean) for path in clean.rglob("*.safetensors"))
    assert weights
    for path in weights:
        assert (clean / path).read_bytes() == (dirty / path).read_bytes()
    for path in clean.rglob("model.skops"):
        matrix = np.linspace(-2, 2, 5 * 3).reshape(5, 3).astype(np.float32)
        one, other = (
            Classical.load(run / path.parent.relative_to(clean)).estimator for run in (clean, dirty)
        )
        known = matrix[:, : one.n_features_in_]
        if known.shape[1] == one.n_features_in_:
            np.testing.assert_array_equal(one.predict_proba(known), other.predict_proba(known))


class Killed(BaseException):
    """Ends a search between two trials as suddenly as a kill."""


def test_a_killed_search_goes_on_with_what_had_finished(quick, tmp_path):
    rows = table(np.random.default_rng(fresh_seed()))
    rows.to_csv(tmp_path / "rows.csv", index=False)
    settings = make_settings([nest({"data": str(tmp_path / "rows.csv"), **QUICK})])
    out = tmp_path / "run"

    def kill(progress):
        if progress.trials % 3 == 0:
            raise Killed

    for resume in (False, True):
        with pytest.raises(Killed):
            searching.search(settings, out, time_limit=600, workers=1, watch=kill, resume=resume)
    kept = {path: path.stat().st_mtime_ns for path in (out / "trials").rglob("trial*.npz")}
    assert len(kept) == 6
    seen = []

    def note(progress):
        seen.append(progress.trials)
        assert all(path.stat().st_mtime_ns == then for path, then in kept.items())

    run = searching.search(settings, out, workers=1, watch=note, resume=True)
    assert min(seen) > 6
    whole = searching.search(settings, tmp_path / "whole", time_limit=600, workers=1)
    assert run.result["validation"] == whole.result["validation"]
    assert run.result["test"] == whole.result["test"]
    assert equipoise.auto(None, out=out, resume=True).result == run.result


def test_a_search_of_other_data_is_not_gone_on_with(quick, tmp_path):
    rows = table(np.random.default_rng(fresh_seed()), gaps=False)
    settings = make_settings([nest({"data": rows, **QUICK})])

    def kill(progress):
        raise Killed

    with pytest.raises(Killed):
        searching.search(settings, tmp_path / "run", time_limit=60, workers=1, watch=kill)
    rows.loc[0, "a0"] += 1
    with pytest.raises(RunError, match="not finished; go on with: equipoise auto --resume"):
        equipoise.load(tmp_path / "run")
    with pytest.raises(DataError, match="other data"):
        equipoise.auto(rows, out=tmp_path / "run", resume=True)
    with pytest.raises(DataError, match="a DataFrame, which is not kept"):
        equipoise.auto("rows.csv", out=tmp_path / "run", resume=True)


def test_files_of_members_that_were_edited_are_refused(searched, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(searched[0], folder)
    path = next(folder.rglob("model.skops"))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(RunError, match=r"model\.skops: missing, cut short or edited"):
        equipoise.evaluate(folder)
    shutil.copy(searched[0] / path.relative_to(folder), path)
    (folder / "members.json").write_text((folder / "members.json").read_text().replace("0.", "1."))
    with pytest.raises(RunError, match=r"members\.json: edited or cut"):
        equipoise.evaluate(folder)


def test_a_member_of_foreign_types_is_not_read(searched, tmp_path):
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    folder = next(searched[0].rglob("model.skops")).parent
    shutil.copytree(folder, tmp_path / "member")
    skops.io.dump(FunctionTransformer(json.dumps), tmp_path / "member/model.skops")
    with pytest.raises(RunError, match=r"holds json\.dumps, of which no member is made"):
        Classical.load(tmp_path / "member")


@pytest.mark.parametrize("sample", [4000, 20])
def test_many_rows_are_searched_without_folds_and_looked_at_on_a_sample(
    quick, tmp_path, monkeypatch, sample
):
    monkeypatch.setattr(material, "FEW", 50)
    monkeypatch.setattr(material, "SAMPLE", sample)
    rows = table(np.random.default_rng(fresh_seed()))
    run = equipoise.auto(rows, 600, tmp_path / "run", workers=1, verbose=0, **QUICK)
    assert run.result["estimate"]["folds"] == 1
    assert run.result["validation"]["count"] == 30
    assert "late" in {member["name"] for member in run.result["members"]}
    assert equipoise.evaluate(run.folder) == run.result["test"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_ends_a_search_that_can_go_on(tmp_path, workers):
    """The signal comes as soon as something has finished, and is answered in two lines."""
    words = [sys.executable, "-m", "equipoise", "auto"]
    start = [
        *("--data", "synthetic", "--data.options.samples", "300", "--time-limit", "120"),
        *("--workers", str(workers), "--out", "run"),
    ]
    with subprocess.Popen(
        [*words, *start], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as search:
        assert "accuracy" in search.stderr.readline()
        search.send_signal(signal.SIGTERM)
        rest = search.stderr.read()
        assert search.wait() == 130
    assert "equipoise: stopping" in rest
    assert "go on with: equipoise auto --resume run" in rest.splitlines()[-1]
    kept = len(list((tmp_path / "run/trials").rglob("trial*.npz")))
    assert kept
    # The rest of the time is cut short, so that the test is.
    state = json.loads((tmp_path / "run/auto.json").read_text())
    (tmp_path / "run/auto.json").write_text(json.dumps({**state, "spent": 100}))
    done = subprocess.run(
        [*words, "--resume", "run", "--json"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["method"] == "auto"


@pytest.mark.slow
def test_several_processes_find_what_one_finds(quick, tmp_path):
    rows = table(np.random.default_rng(fresh_seed()))
    runs = [
        equipoise.auto(rows, 600, tmp_path / str(count), workers=count, verbose=0, **QUICK)
        for count in (1, 2)
    ]
    assert runs[0].result["validation"] == runs[1].result["validation"]
    assert runs[0].result["test"] == runs[1].result["test"]


def test_words_pictures_and_gaps_are_read(quick, tmp_path):
    """Modalities of several kinds side by side, on rows of which some lack one of them."""
    from PIL import Image

    rng = np.random.default_rng(fresh_seed())
    rows = table(rng)[["y", "part"]]
    for row in range(len(rows)):
        shade = 60 + 6 * rows["y"][row] + rng.integers(-20, 20, size=(6, 6))
        Image.fromarray(shade.astype(np.uint8)).save(tmp_path / f"{row}.png")
    rows["face"] = [f"{row}.png" if rng.random() < 0.9 else None for row in range(len(rows))]
    words = {0: "calm blue sea", 10: "red hot fire", 20: "green old tree"}
    rows["said"] = [f"{words[y]} and {rng.choice(['so', 'then'])}" for y in rows["y"]]
    rows.to_csv(tmp_path / "rows.csv", index=False)
    run = equipoise.auto(
        tmp_path / "rows.csv",
        600,
        tmp_path / "run",
        workers=1,
        verbose=0,
        modality=["face=face:image", "said=said:text"],
        label="y",
        split="part",
        width=8,
    )
    assert run.result["test"]["modalities"]["said"]["accuracy"] == 1
    assert run.evaluate() == run.result["test"]
    with pytest.warns(UserWarning, match="'face' is absent in every row"):
        found = run.predict(pd.DataFrame({"face": [None], "said": ["a green tree"]}))
    assert found["prediction"].tolist() == [20]


@pytest.mark.parametrize(
    ("line", "code", "word"),
    [
        ("auto --data synthetic --time-limit 0", 2, "time_limit"),
        ("auto --data synthetic --time-limit nan", 2, "time_limit"),
        ("auto --data synthetic --workers 0", 2, "workers"),
        ("auto --data synthetic --method mla", 2, "--method"),
        ("auto --data nowhere.csv", 1, "nowhere.csv"),
        ("auto --resume nothing", 1, "no search to resume"),
        ("auto --resume nothing --label y", 2, "--resume"),
    ],
)
def test_misuse_is_one_line(refuse, line, code, word):
    refuse(line, code, word)
