"""Free Spoken Digit Dataset: names are read, speakers or takes are held out."""

import csv
import json

import numpy as np
import pytest

from equipoise.data.datasets import fsdd
from equipoise.errors import ConfigError, DataError

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "fsdd/recordings"
    folder.mkdir(parents=True)
    for speaker in SPEAKERS:
        for digit in range(10):
            for take in (0, 4, 5, 9, 10, 49):
                (folder / f"{digit}_{speaker}_{take}.wav").write_bytes(
                    f"{digit}{speaker}{take}".encode()
                )
    (folder.parent / "metadata.py").write_text("")
    (folder / "README").write_text("not a recording")
    (tmp_path / "out").mkdir()
    return tmp_path


def prepare(root, **options):
    facts = fsdd.prepare(root / "out", root=root / "fsdd", **options)
    return facts, list(csv.DictReader((root / "out/manifest.csv").open()))


def test_speakers_are_held_out(root):
    facts, rows = prepare(root, seed=int(np.random.default_rng().integers(1000)))
    speakers = {
        s: {row["group"] for row in rows if row["split"] == s}
        for s in ("train", "validation", "test")
    }
    assert [len(found) for found in speakers.values()] == [3, 1, 2]
    assert set.union(*speakers.values()) == set(SPEAKERS)
    assert {s: found["samples"] for s, found in facts["splits"].items()} == {
        "train": 180,
        "validation": 60,
        "test": 120,
    }
    assert facts["all"] == {"samples": 360, "published": 3000}
    assert facts["notes"][0].startswith(
        "360 of the 3,000 published samples are here: some of 6 speakers"
    )
    description = json.loads((root / "out/dataset.json").read_text())
    assert description["group"] == "group"
    assert description["root"] == str((root / "fsdd/recordings").resolve())


def test_the_seed_decides_who_is_held_out():
    draws = {
        json.dumps(fsdd.assign_speakers(SPEAKERS, np.random.default_rng(seed)), sort_keys=True)
        for seed in range(20)
    }
    assert len(draws) > 5


def test_official_takes(root):
    facts, rows = prepare(root, split="official")
    assert {s: found["published"] for s, found in facts["splits"].items()} == {
        "train": 2700,
        "validation": None,
        "test": 300,
    }
    assert facts["all"]["published"] == 3000
    split = {
        "0": "test",
        "4": "test",
        "5": "validation",
        "9": "validation",
        "10": "train",
        "49": "train",
    }
    for row in rows:
        digit, speaker, take = row["id"].split("_")
        assert (row["label"], row["group"], row["split"]) == (digit, speaker, split[take])
        assert row["audio"] == f"{row['id']}.wav"


def test_what_cannot_be(root):
    with pytest.raises(ConfigError, match="'speaker' or 'official', found 'paper'"):
        prepare(root, split="paper")
    with pytest.raises(DataError, match="no such folder"):
        fsdd.prepare(root / "out", root=root / "nowhere")
    with pytest.raises(DataError, match="four speakers are needed"):
        fsdd.assign_speakers(SPEAKERS[:3], np.random.default_rng())
