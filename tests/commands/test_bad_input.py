"""Whatever a user gets wrong ends in one line that names it; nothing half-written stays."""

import os

import pytest


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("trian", ["'trian'", "'train'"]),
        ("train --optimser.lr 1", ["--optimser.lr", "--optimiser.lr"]),
        ("train --learning_rate 0.1", ["--learning_rate", "did you mean '--optimiser.lr'?"]),
        ("train --learning-rate 0.1", ["did you mean '--optimiser.lr'?"]),
        ("train --weight-decay=0.1", ["did you mean '--optimiser.weight_decay'?"]),
        ("train --batch-size 8", ["did you mean '--batch_size'?"]),
        ("train --epoch 8", ["did you mean '--epochs'?"]),
        ("train --dataset digits", ["did you mean '--data'?"]),
        ("bench --methods joint --validation 0.1", ["did you mean '--data.validation'?"]),
        ("bench --data digits", ["--methods joint,mla,lfm,mie", "--methods all", "recipes/"]),
        ("train TINY --seed 18446744073709551616", ["seed", "2**63 - 1"]),
        ("train TINY --seed -1", ["seed"]),
        ("train TINY --epochs 1:30", ["epochs", "1:30"]),
        ("train TINY --optimiser.lr .nan", ["optimiser.lr", "finite"]),
        ("train TINY --encoder i3d", ["'i3d' reads none", "easy (vector)"]),
        ("train TINY --encoder [mlp]", ["'encoder'"]),
        ("train --epochs many", ["epochs", "many"]),
        ("train --epochs", ["--epochs"]),
        ("train --method.alpha", ["--method.alpha"]),
        ("train --optimiser.lr [", ["--optimiser.lr", "["]),
        ("train digits stray", ["stray"]),
        ("train digits --data synthetic", ["'digits'", "--data 'synthetic'"]),
        ("train --config nowhere.yaml", ["nowhere.yaml"]),
        ("train TINY --method mlaa", ["'mlaa'", "'mla'"]),
        ("train TINY --method mla --method.alhpa 1", ["'alhpa'", "'alpha'"]),
        ("train TINY --method mla --method.alpha -3", ["alpha", "-3"]),
        ("train TINY --method unimodal --method.modality []", ["unimodal", "modality"]),
        ("train TINY --head concta", ["'concta'", "'concat'"]),
        ("train TINY --encoder.easi mlp", ["easi", "'easy'"]),
        ("train TINY --encoder.easy mpl", ["'mpl'", "'mlp'"]),
        ("train TINY --device tpu", ["device", "tpu"]),
        ("train TINY --devices 4096", ["--devices 4096"]),
        ("train TINY --devices 0", ["--devices 0"]),
        ("train TINY --data.options.sampels 3", ["sampels"]),
        ("list metods", ["metods", "methods"]),
        ("list methods --jsn", ["--jsn", "--json"]),
        ("bench --methods jiont", ["'jiont'", "'joint'"]),
        ("bench --methods joint --seeds none", ["seeds"]),
        ("bench --methods joint --grid optimiser.lr", ["optimiser.lr"]),
        (
            "bench --methods joint --grid data.missing=0.1,0.5",
            ["data.missing", "no hyperparameter"],
        ),
        ("bench --methods joint --grid width=8 --grid width=9", ["width", "twice"]),
        ("prepare av-digits --out x", ["--fsdd"]),
        ("prepare synthetic --sampels 3 --out x", ["sampels", "samples"]),
        ("train --resume runs/x --epochs 3", ["--resume"]),
    ],
)
def test_misuse(refuse, line, words):
    refuse(line, 2, *words)


def test_an_empty_file_of_settings(refuse, tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    refuse("train --config empty.yaml", 2, "empty.yaml: holds no settings")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train stray", ["stray: no such file"]),
        ("train --resume nowhere", ["nowhere"]),
        ("evaluate nowhere", ["nowhere"]),
        ("predict nowhere --data x.csv --out y.csv", ["nowhere"]),
        ("report nowhere --out page", ["nowhere"]),
        ("prepare av-digits --fsdd nowhere --out x", ["nowhere"]),
        ("train --data missing.csv --modality a=x:vector", ["missing.csv"]),
        ("train --data digts", ["digts", "'digits'"]),
    ],
)
def test_what_is_not_there(refuse, line, words):
    refuse(line, 1, *words)


def test_a_run_is_never_overwritten(command, refuse):
    assert command("train TINY --out runs/a").code == 0
    refuse("train TINY --out runs/a", 1, "runs/a", "--resume")


def test_predictions_are_overwritten_on_request_only(
    command, refuse, rows, write, declared, tmp_path
):
    write(rows)
    command(f"train --data rows.csv {declared} --out runs/a")
    (tmp_path / "p.csv").write_text("mine")
    refuse("predict runs/a --data rows.csv --out p.csv", 1, "p.csv", "--force")
    assert (tmp_path / "p.csv").read_text() == "mine"
    assert command("predict runs/a --data rows.csv --out p.csv --force").code == 0
    assert (tmp_path / "p.csv").read_text().startswith("id,prediction")
    refuse("predict runs/a --data rows.csv --out no/such/p.csv", 1, "no/such")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(refuse, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    refuse("train TINY --out closed/run", 1, "closed/run")


def test_no_folder_can_be_made_below_a_file(refuse, tmp_path):
    (tmp_path / "file").write_text("")
    refuse("train TINY --out file/run", 1, "file/run")
    refuse("bench TINY --methods joint --out file/run", 1, "file/run")


def damaged(rows, column, value, row=4):
    return [
        {**cells, column: value} if number == row else cells for number, cells in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("id", "row 9", ["row 9"]),
        ("x1", "nan", ["x1"]),
        ("x1", "much", ["x1", "much"]),
    ],
)
def test_a_bad_cell(refuse, rows, write, declared, column, value, words):
    write(damaged(rows, column, value))
    refuse(f"train --data rows.csv {declared} --out runs/a", 1, "rows.csv", *words)


def test_a_row_without_a_label_is_counted(command, rows, write, declared):
    write(damaged(rows, "label", ""))
    with pytest.warns(UserWarning, match=r"rows\.csv: 1 row without a label left out of training"):
        assert command(f"train --data rows.csv {declared} --epochs 1 --out runs/a").code == 0


def test_a_sample_without_any_modality(refuse, rows, write, declared):
    empty = {**rows[4], **dict.fromkeys(("x0", "x1", "x2", "y0", "y1"), "")}
    write([*rows[:4], empty, *rows[5:]])
    refuse(f"train --data rows.csv {declared} --out runs/a", 1, "rows.csv")


def test_a_single_class(refuse, rows, write, declared):
    write([{**row, "label": "only"} for row in rows])
    refuse(f"train --data rows.csv {declared} --out runs/a", 1, "class")


def test_a_label_that_training_never_sees(refuse, rows, write, declared):
    splits = [
        {**row, "fold": "test" if k >= 50 else "validation" if k >= 40 else "train"}
        for k, row in enumerate(rows)
    ]
    splits[-1]["label"] = "unseen"
    write(splits)
    refuse(f"train --data rows.csv {declared} --split fold --out runs/a", 1, "unseen")


@pytest.mark.parametrize(
    ("words", "column"),
    [
        ("--modality third=z9:vector", "z9"),
        ("--label emotion", "emotion"),
        ("--group speaker", "speaker"),
        ("--split fold", "fold"),
    ],
)
def test_a_column_that_is_not_there(refuse, rows, write, declared, words, column):
    write(rows)
    refuse(f"train --data rows.csv {declared} {words} --out runs/a", 2, "rows.csv", repr(column))


def test_an_unknown_kind(refuse, rows, write):
    write(rows)
    refuse("train --data rows.csv --modality first=x0:vektor --out runs/a", 2, "vektor", "vector")


FILES = {
    "a.wav": b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00",
    "a.png": b"",
    "b.png": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
}


@pytest.mark.parametrize(
    ("kind", "file", "word"),
    [
        ("audio", "a.wav", "a.wav"),
        ("image", "a.png", "a.png"),
        ("image", "b.png", "LFS"),
        ("image", "c.png", "c.png"),
    ],
)
def test_a_bad_file(refuse, command, tmp_path, kind, file, word):
    assert command("prepare synthetic --samples 40 --out files").code == 0
    for name, content in FILES.items():
        (tmp_path / "files" / name).write_bytes(content)
    manifest = tmp_path / "files/manifest.csv"
    good = "00003.wav" if kind == "audio" else "00003.png"
    manifest.write_text(manifest.read_text().replace(good, file))
    column = "sound" if kind == "audio" else "picture"
    line = (
        f"train --data files/manifest.csv --modality m={column}:{kind} "
        f"--cache {tmp_path / 'cache'} --out runs/a"
    )
    answer = command(line)
    assert answer.code == 1
    assert answer.err.count("\n") == 1
    assert word in answer.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("method", ["joint", "mie", "relearning", "g-blend", "cca", "bss"])
def test_a_training_that_diverges_ends_in_one_line(command, method):
    """Version 0.1 ended some of them in scikit-learn's "Input contains NaN"."""
    answer = command(
        f"train TINY --epochs 4 --method {method} --optimiser.lr 1e4 --optimiser.clip 0 --out run"
    )
    assert answer.code == 1
    assert answer.out == ""
    last = answer.err.splitlines()[-1]
    assert last.startswith("equipoise: ")
    assert "warning" not in last
    for words in ("epoch ", "step ", "rows " if "the loss" in last else "samples "):
        assert words in last
    assert last.index("--optimiser.clip 1.0") < last.index("--optimiser.lr")
    assert "Traceback" not in answer.err


def test_where_gradients_are_clipped_already_a_smaller_rate_comes_first(command):
    answer = command("train TINY --optimiser.lr 1e30 --optimiser.clip 2 --out run")
    last = answer.err.splitlines()[-1]
    assert answer.code == 1
    assert last.index("--optimiser.lr (now 1e+30)") < last.index("--optimiser.clip (now 2)")


def test_only_a_run_is_offered_to_go_on_with(refuse, command, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(AssertionError, match="go on with"):
        refuse("train TINY --out mine", 1, "mine: exists already", "go on with")
    assert command("train TINY --out run").code == 0
    refuse("train TINY --out run", 1, "go on with: equipoise train --resume run")


def test_out_of_memory_is_one_line(refuse, monkeypatch):
    words = (
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    )

    def fail(settings):
        raise RuntimeError(words)

    monkeypatch.setattr("equipoise.api.default_folder", fail)
    refuse("train TINY", 1, "out of memory", "9 bytes", "--batch_size")


def test_a_path_too_long_is_not_shown_whole(command, rows, write, declared):
    write(rows)
    answer = command(f"train --data rows.csv {declared} --out {'x' * 3000}")
    assert answer.code == 1
    assert answer.err.splitlines()[-1].startswith("equipoise: xxx")
    assert len(answer.err) < 2000
