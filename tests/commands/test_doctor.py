"""`equipoise doctor` on a table of sounds, pictures, texts and numbers, in which much is wrong."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from equipoise.data.datasets.preparing import render

ROWS = 120
CLASSES = ("glad", "sad", "tired")
DECLARED = (
    "--modality sound=wav:audio --modality face=png:image --modality said=said:text "
    "--modality pulse=p0,p1:vector "
    "--label mood --split part --id key"
)
TINY = (
    '--data.options.sound={"rate":8000,"seconds":0.25} '
    '--data.options.face={"size":8,"channels":1,"normalise":"fit"}'
)


@pytest.fixture
def mixed(tmp_path):
    """Rows of a manifest without a defect; 12 speakers of 10 rows each stand in one split."""
    rng = np.random.default_rng()
    rows = []
    for k in range(ROWS):
        code = k % len(CLASSES)
        signal = rng.normal(size=4) + 6 * (np.arange(4) == code)
        render.sound(signal, tmp_path / f"{k}.wav", rng)
        render.picture(signal + rng.normal(size=4), tmp_path / f"{k}.png")
        rows.append(
            {
                "key": f"k{k:03d}",
                "wav": f"{k}.wav",
                "png": f"{k}.png",
                "said": f"utterance {k} of the {('first', 'second', 'third')[code]} sort",
                "p0": f"{rng.normal() + 3 * code:.5f}",
                "p1": f"{rng.normal():.5f}",
                "mood": CLASSES[code],
                "speaker": f"p{k // 10:02d}",
                "part": "train" if k < 70 else "validation" if k < 100 else "test",
            }
        )
    return rows


@pytest.fixture
def diagnose(command, write):
    def run(rows):
        answer = command(f"doctor {write(rows)} {DECLARED} {TINY} --json")
        assert answer.code == 0, answer
        return json.loads(answer.out)

    return run


def warnings_of(report):
    return {finding["topic"] for finding in report["advice"] if finding["level"] == "warning"}


def test_nothing_wrong(diagnose, mixed):
    report = diagnose(mixed)
    assert warnings_of(report) <= {"strength"}  # which is stronger is up to chance
    assert set(report["strength"]) == {"sound", "face", "said", "pulse"}
    assert all(one["accuracy"] > one["majority"] for one in report["strength"].values())
    assert [c["looks_like"] for c in report["columns"]] == [
        *("id", "audio", "image", "text", "number", "number", "category", "category", "split")
    ]


def test_everything_wrong(diagnose, mixed, tmp_path, command, write):
    (tmp_path / "3.wav").write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00")
    (tmp_path / "4.png").write_bytes(b"")
    (tmp_path / "72.png").write_bytes(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"
    )
    (tmp_path / "81.wav").unlink()
    shutil.copy(tmp_path / "0.wav", tmp_path / "90.wav")  # both glad
    mixed[104]["said"] = mixed[1]["said"].upper()  # tired and sad
    mixed[75]["speaker"] = mixed[2]["speaker"]
    mixed[21].update(wav="", png="", said="", p0="", p1="")
    kept = [row for k, row in enumerate(mixed) if row["mood"] != "tired" or k in (2, 74, 104)]
    report = diagnose(kept)
    assert {(p["id"], p["modality"]) for p in report["problems"]} == {
        ("k003", "sound"),
        ("k004", "face"),
        ("k072", "face"),
        ("k081", "sound"),
    }
    numbers = {row["key"]: number for number, row in enumerate(kept, 2)}
    for problem in report["problems"]:
        assert problem["row"] == numbers[problem["id"]]
        assert problem["reason"]
    assert report["duplicates"]["sound"]["examples"] == [["k000", "k090"]]
    assert report["duplicates"]["said"] == {
        "samples": 2,
        "across_splits": 2,
        "other_label": 2,
        "examples": [["k001", "k104"]],
    }
    [speakers] = report["leakage"]["groups"]
    assert (speakers["column"], speakers["samples"], speakers["shared"]) == ("speaker", 1, 1)
    assert report["balance"]["few"] == ["tired"]
    assert report["presence"]["nothing"] == 1
    assert warnings_of(report) >= {"problems", "balance", "duplicates", "leakage"}
    shown = command(f"doctor {write(kept)} {DECLARED} {TINY}")
    assert shown.code == 0
    for section in (
        "columns",
        "classes",
        "bad cells",
        "duplicates",
        "each modality alone",
        "advice",
    ):
        assert f"\n{section}" in shown.out
    assert shown.out.count("warning (") == sum(f["level"] == "warning" for f in report["advice"])
    assert "k000 = k090" in shown.out


def test_columns_alone_without_a_declaration(command, write, mixed):
    manifest = write(mixed)
    answer = command(f"doctor {manifest}")
    assert answer.code == 0
    assert "advice" not in answer.out
    suggested = answer.out.strip().splitlines()[-1].strip()
    assert suggested == (
        f"equipoise doctor {manifest} --modality wav=wav:audio --modality png=png:image "
        "--modality said=said:text "
        "--modality p=p0,p1:vector --label mood --split part --group speaker --id key"
    )
    report = json.loads(command(f"doctor {manifest} --json").out)
    assert report["rows"] == ROWS
    assert report["suggestion"]["group"] == "speaker"
    again = command(
        f"{suggested.removeprefix('equipoise ')} "
        '--data.options.wav={"rate":8000,"seconds":0.25} --json'
    )
    assert set(json.loads(again.out)["strength"]) == {"wav", "png", "said", "p"}


def test_prepared_and_built_in_data(command):
    assert command("prepare synthetic --samples 60 --out made").code == 0
    report = json.loads(command("doctor made --json").out)
    assert set(report["strength"]) == {"sound", "picture"}
    report = json.loads(command("doctor synthetic --data.options.samples 80 --json").out)
    assert set(report["strength"]) == {"easy", "hard"}
    assert report["columns"] == []


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("doctor", 2, ["SOURCE"]),
        ("doctor nowhere.csv", 1, ["nowhere.csv"]),
        ("doctor digts", 1, ["'digits'"]),
        ("doctor av-digits", 2, ["prepare av-digits"]),
        ("doctor synthetic --labl x", 2, ["--labl", "--label"]),
    ],
)
def test_misuse(refuse, line, code, words):
    refuse(line, code, *words)


def test_misuse_of_a_manifest(refuse, write, mixed):
    manifest = write(mixed)
    refuse(f"doctor {manifest} --modality a=wav:audoi", 2, "audoi", "audio")
    refuse(f"doctor {manifest} --modality a=wavv:audio --label mood", 2, "wavv", "wav")
    refuse(f"doctor {manifest} --modality a=wav:audio --label moody", 2, "moody", "mood")
    mixed[7]["part"] = "later"
    refuse(f"doctor {write(mixed)} {DECLARED}", 1, "row 9", "later")


def test_help_is_light():
    code = """if True:
        import sys
        from equipoise.cli import main
        main(["doctor", "--help"])
        assert not {"torch", "sklearn", "pandas"} & set(sys.modules)
    """
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert "--modality" in answer.stdout
