"""From any source to splits, and new data read as the run read its own."""

import csv
import json
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from equipoise import data
from equipoise.errors import ConfigError, DataError
from equipoise.settings import DataSettings
from equipoise.testing import check_dataset

N = 60


@pytest.fixture
def rng():
    return np.random.default_rng()


@pytest.fixture
def cache(tmp_path):
    return str(tmp_path / "cache")


@pytest.fixture
def folder(tmp_path, rng):
    """A manifest of 60 rows: a sound, a picture, three numbers; cells are empty here and there."""
    base = tmp_path / "set"
    base.mkdir()
    rows = []
    for k in range(N):
        soundfile.write(base / f"{k}.wav", rng.uniform(-0.5, 0.5, 1600), 8000)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(base / f"{k}.png")
        numbers = {f"f_{i}": "" if k % 7 == 0 else f"{rng.normal(5, 3):.4f}" for i in range(3)}
        row = {
            "key": f"sample {k}",
            "clip": f"{k}.wav",
            "picture": "" if k % 5 == 1 else f"{k}.png",
            **numbers,
        }
        fold = "test" if k >= 48 else "validation" if k >= 39 else "train"
        rows.append(
            {
                **row,
                "feeling": ["sad", "glad", "calm"][k % 3],
                "who": f"person {k % 10}",
                "fold": fold,
            }
        )
    write(base / "m.csv", rows)
    return base


def write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def edit(folder, row, **cells):
    """Change cells of one row; 0 is the first below the header."""
    with (folder / "m.csv").open() as file:
        rows = list(csv.DictReader(file))
    rows[row].update(cells)
    write(folder / "m.csv", rows)


ALL = ("sound=clip", "look=picture", "body=f_*")
SETTINGS = {"sound": {"seconds": 0.2}, "look": {"size": 8}}


@pytest.fixture
def load(folder, cache):
    """Loads the manifest with some of the modalities declared."""

    def run(source=None, modalities=ALL, **changes):
        names = [m.split("=")[0] for m in modalities]
        given = {"label": "feeling", "id": "key", "cache": cache, **changes}
        given.setdefault("options", {m: s for m, s in SETTINGS.items() if m in names})
        return data.load(
            DataSettings(
                folder / "m.csv" if source is None else source, modality=modalities, **given
            )
        )

    return run


def everything(table):
    return table.rows(np.arange(len(table)))


@pytest.mark.parametrize("modalities", [ALL[:2], ALL[::2], ALL])
def test_a_manifest_becomes_splits(load, modalities):
    splits = load(modalities=modalities, split="fold")
    check_dataset(splits)
    assert [len(t) for t in (splits.train, splits.validation, splits.test)] == [39, 9, 12]
    assert splits.train.modalities == tuple(m.split("=")[0] for m in modalities)
    assert splits.train.classes == ("calm", "glad", "sad")
    assert splits.train.ids[3] == "sample 3"
    assert splits.train.classes[splits.train.label[3]] == "sad"
    absent = {"sound": [], "look": range(1, N, 5), "body": range(0, N, 7)}
    for m in splits.train.modalities:
        assert list(np.flatnonzero(~splits.train.present[m])) == [k for k in absent[m] if k < 39]
    assert splits.problems == []


def test_files_are_read_through_memory_maps(load, folder):
    splits = load(split="fold")
    for m in ("sound", "look"):
        assert isinstance(splits.test.arrays[m].store, np.memmap)
    assert splits.test.original("sound", 2) == str(folder / "50.wav")
    assert splits.train.specs["sound"].shape == (1, 40, 21)
    assert splits.train.specs["look"].shape == (3, 8, 8)


def test_train_alone_decides_the_scale(load, folder):
    splits = load(split="fold", options={**SETTINGS, "look": {"size": 8, "normalise": "fit"}})
    frame = pd.read_csv(folder / "m.csv")
    numbers = frame[[f"f_{i}" for i in range(3)]].to_numpy()
    mean, deviation = np.nanmean(numbers[:39], 0), np.nanstd(numbers[:39], 0)
    found = everything(splits.test).inputs["body"].numpy()
    np.testing.assert_allclose(found, np.nan_to_num((numbers[48:] - mean) / deviation), atol=1e-4)
    look = everything(splits.train).inputs["look"][splits.train.present["look"]].numpy()
    np.testing.assert_allclose(look.mean((0, 2, 3)), 0, atol=1e-3)
    np.testing.assert_allclose(look.std((0, 2, 3)), 1, atol=1e-3)


def test_cells_hidden_in_training_do_not_decide_the_scale(load):
    splits = load(split="fold", missing=0.4)
    body = everything(splits.train).inputs["body"][splits.train.present["body"]].numpy()
    np.testing.assert_allclose(body.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(body.std(0), 1, atol=1e-4)


def test_drawn_splits_keep_shares_classes_and_groups(load, rng):
    seed = int(rng.integers(10**6))
    splits = load(seed=seed, validation=0.2, test=0.3)
    np.testing.assert_allclose(
        [len(t) for t in (splits.train, splits.validation, splits.test)], [30, 12, 18], atol=1
    )
    assert list(np.bincount(splits.test.label)) == [6, 6, 6]
    assert load(seed=seed, validation=0.2, test=0.3).test.ids == splits.test.ids
    grouped = load(seed=seed, group="who", validation=0.2, test=0.2)
    people = [
        {int(i.split()[1]) % 10 for i in t.ids}
        for t in (grouped.train, grouped.validation, grouped.test)
    ]
    assert [len(p) for p in people] == [6, 2, 2]
    assert len(set.union(*people)) == 10


def test_holdout_and_missing_cells(load, rng):
    seed = int(rng.integers(10**6))
    whole = load(split="fold")
    cut = load(split="fold", seed=seed, holdout=0.25, missing=0.5, missing_test=0.0)
    assert sorted(cut.train.ids + cut.holdout.ids) == sorted(whole.train.ids)
    assert len(cut.holdout) == 10
    for m in ALL:
        name = m.split("=")[0]
        assert (cut.test.present[name] == whole.test.present[name]).all()
    shares = [np.mean(list(s.train.present.values())) for s in (whole, cut)]
    assert shares[1] < shares[0] - 0.2
    assert (
        np.mean(list(cut.holdout.present.values())) < shares[0] - 0.1
    )  # the method estimates on data like train's
    both = load(split="fold", missing=0.5)
    assert (
        np.mean(list(both.test.present.values()))
        < np.mean(list(whole.test.present.values())) - 0.15
    )
    check_dataset(both)


def test_a_person_is_on_one_side_of_the_holdout(load, rng):
    cut = load(seed=int(rng.integers(10**6)), group="who", holdout=0.3, missing=0.2)
    people = [
        {int(i.split()[1]) % 10 for i in t.ids}
        for t in (cut.train, cut.holdout, cut.validation, cut.test)
    ]
    assert all(people)
    assert sum(map(len, people)) == len(set.union(*people)) == 10


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (["10", "9", "1", "1.0"], ("1", "1.0", "9", "10")),
        (["nan", "2", "inf", "1"], ("1", "2", "inf", "nan")),
        (["b", "10", "9"], ("10", "9", "b")),
    ],
)
def test_classes_have_one_order(rng, labels, order):
    frame = pd.DataFrame(
        {"x": rng.normal(size=60), "label": rng.permutation(labels * (60 // len(labels)))}
    )
    for _ in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of spellings, see test_labels.py
            parts = data.load(DataSettings(frame.sample(frac=1), modality=["x=x"]))
        assert parts.train.classes == order


def test_a_frame_is_a_source(folder, load):
    by_file, by_frame = (
        load(split="fold"),
        load(pd.read_csv(folder / "m.csv"), split="fold", root=str(folder)),
    )
    for name in ("train", "test"):
        for m, block in everything(getattr(by_file, name)).inputs.items():
            np.testing.assert_allclose(
                everything(getattr(by_frame, name)).inputs[m], block, atol=1e-5
            )


def describe(folder):
    facts = {
        "manifest": "m.csv",
        "modalities": list(ALL),
        "label": "feeling",
        "split": "fold",
        "id": "key",
    }
    (folder / "dataset.json").write_text(
        json.dumps({**facts, "options": SETTINGS, "name": "feelings"})
    )


@pytest.mark.parametrize("file", [".", "m.csv"])
def test_a_prepared_folder_says_itself_what_it_holds(folder, load, cache, file):
    describe(folder)
    splits = data.load(DataSettings(str(folder / file), cache=cache))
    assert splits.name == "feelings"
    assert splits.digest == load(split="fold").digest
    other = data.load(
        DataSettings(folder / file, label="who", split="fold", modality=ALL[:1], cache=cache)
    )
    assert other.train.modalities == ("sound",)
    assert len(other.train.classes) == 10


def test_a_setting_stands_beside_those_of_the_folder(folder, cache):
    describe(folder)
    specs = data.load(
        DataSettings(folder, options={"sound": {"mels": 10}}, cache=cache)
    ).train.specs
    assert specs["sound"].shape == (1, 10, 21)  # still 0.2 seconds
    assert specs["look"].shape == (3, 8, 8)
    with pytest.raises(ConfigError, match=r"'sound' must be settings by name, found 3"):
        data.load(DataSettings(folder, options={"sound": 3}, cache=cache))


def test_a_prepared_folder_that_is_none(folder, load, cache):
    with pytest.raises(DataError, match=r"dataset\.json"):
        data.load(DataSettings(folder, cache=cache))
    (folder / "dataset.json").write_text("{")
    with pytest.raises(DataError, match=r"dataset\.json: not valid"):
        data.load(DataSettings(folder, cache=cache))
    for wrong in ("[]", '{"modalities": []}', '{"manifest": "m.csv", "modalities": 3}'):
        (folder / "dataset.json").write_text(wrong)
        with pytest.raises(DataError, match=r"dataset\.json: not valid"):
            data.load(DataSettings(folder, cache=cache))
    (folder / "dataset.json").write_text(
        '{"manifest": "m.csv", "modalities": ["a=b"], "options": 3}'
    )
    with pytest.raises(DataError, match=r"dataset\.json: not valid"):
        data.load(DataSettings(folder, cache=cache))
    (folder / "dataset.json").write_text('{"manifest": "gone.csv", "modalities": ["a=b"]}')
    with pytest.raises(DataError, match="no such manifest"):
        data.load(DataSettings(folder, cache=cache))


def test_sources_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match=r"digts: no such file or folder.*did you mean 'digits'"):
        data.load(DataSettings("digts"))
    with pytest.raises(DataError, match="no such file"):
        data.load(DataSettings(tmp_path / "gone.csv"))
    with pytest.raises(ConfigError, match="'dict'"):
        data.load(DataSettings({"x": [1]}))
    with pytest.raises(ConfigError, match="equipoise prepare av-digits"):
        data.load(DataSettings("av-digits"))


def test_a_built_in_set_takes_options_holdout_and_missing():
    splits = data.load(
        DataSettings(
            "synthetic", options={"samples": 200}, holdout=0.2, missing=0.3, missing_test=0.0
        )
    )
    assert sum(map(len, (splits.train, splits.validation, splits.test, splits.holdout))) == 200
    assert 0.5 < np.mean(list(splits.train.present.values())) < 0.9
    assert np.all(list(splits.test.present.values()))
    with pytest.raises(ConfigError, match="did you mean 'samples'"):
        data.load(DataSettings("synthetic", options={"sampels": 3}))


@pytest.mark.parametrize(
    ("row", "cells", "words"),
    [
        (50, {"feeling": "angry"}, ["m.csv row 52", "test", "'angry'", "calm, glad, sad"]),
        (40, {"feeling": "angry"}, ["m.csv row 42", "validation", "'angry'"]),
        (
            4,
            {"clip": "", "picture": "", **{f"f_{i}": "" for i in range(3)}},
            ["m.csv row 6", "every modality"],
        ),
        (4, {"clip": "gone.wav"}, ["m.csv row 6", "'sound'", "gone.wav", "not found"]),
    ],
)
def test_rows_that_cannot_be_used(folder, load, row, cells, words):
    edit(folder, row, **cells)
    with pytest.raises(DataError) as caught:
        load(split="fold")
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_test_row_may_do_without_a_label(folder, load):
    edit(folder, 50, feeling="")
    with pytest.warns(UserWarning, match=r"^m\.csv: 1 test row without a label not measured$"):
        assert load(split="fold").test.label[2] == -1


@pytest.mark.parametrize("split", ["fold", None])
def test_a_training_row_without_a_label_is_left_out(folder, load, split):
    whole = load(split=split)
    edit(folder, 4, feeling="")
    edit(folder, 7, feeling=" ")
    with pytest.warns(UserWarning, match=r"2 rows without a label left out .*\(first: row 6\)$"):
        splits = load(split=split)
    assert len(splits.train.ids) + len(splits.validation.ids) + len(splits.test.ids) == N - 2
    assert (splits.train.label >= 0).all()
    assert splits.train.classes == whole.train.classes


def test_splits_that_cannot_be(folder, load):
    frame = pd.read_csv(folder / "m.csv").astype(object).where(lambda f: f.notna(), None)
    for changed, word in [
        (frame.assign(feeling="sad"), "single class, 'sad'"),
        (frame.assign(fold="test"), "no row is in the train split"),
        (frame.assign(fold="train"), "no row is in the validation split"),
    ]:
        with pytest.raises(DataError, match=word):
            load(changed, split="fold", root=str(folder))
    assert len(load(seed=np.int64(3)).train) > 0
    for seed in (-1, 1.5, None):
        with pytest.raises(ConfigError, match="'seed' must be an integer"):
            load(seed=seed)
    for shares in ({"validation": 0.0}, {"validation": 0.5, "test": 0.5}, {"holdout": 1.0}):
        with pytest.raises(ConfigError, match="data: "):
            load(**shares)


@pytest.fixture
def spoilt(folder):
    """Three bad files: sound and picture of row 4, and the only picture of row 8."""
    (folder / "4.wav").write_bytes(b"")
    (folder / "4.png").write_bytes(b"no picture")
    (folder / "8.png").unlink()
    edit(folder, 8, clip="", **{f"f_{i}": "" for i in range(3)})
    return folder


def test_bad_files_stop_by_default_and_are_all_listed(spoilt, load, cache):
    with pytest.raises(DataError) as caught:
        load(split="fold")
    message = str(caught.value)
    assert "m.csv row 6, modality 'sound'" in message
    assert "4.wav" in message
    assert "2 more" in message
    [path] = Path(cache).glob("problems-m-*.csv")
    assert f"listed in {path}: mend them" in message
    with path.open(newline="", encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    assert [(p["row"], p["id"], p["modality"]) for p in listed] == [
        ("6", "sample 4", "sound"),
        ("6", "sample 4", "look"),
        ("10", "sample 8", "look"),
    ]
    assert listed[2]["file"] == str(spoilt / "8.png")
    assert "not found" in listed[2]["reason"]


@pytest.mark.parametrize("source", ["m.csv", "DataFrame"])
def test_a_list_of_bad_files_goes_when_they_are_mended(spoilt, load, cache, source):
    given = spoilt / "m.csv" if source == "m.csv" else pd.read_csv(spoilt / "m.csv")
    load(given, split="fold", root=str(spoilt), problems="drop")
    assert len(list(Path(cache).glob("problems-*.csv"))) == 1
    for good, bad in (("5.wav", "4.wav"), ("5.png", "4.png"), ("9.png", "8.png")):
        shutil.copy(spoilt / good, spoilt / bad)
    load(given, split="fold", root=str(spoilt), problems="drop")
    assert not list(Path(cache).glob("problems-*.csv"))


def test_manifests_that_share_the_cache_keep_lists_of_their_own(spoilt, load, cache):
    (spoilt / "other").mkdir()
    frame = pd.read_csv(spoilt / "m.csv")
    fewer = frame.replace({"clip": {"4.wav": "5.wav"}})
    fewer.to_csv(spoilt / "other/m.csv", index=False)
    fewer.replace({"picture": {"4.png": "5.png"}}).to_csv(spoilt / "fewest.csv", index=False)
    for source in (spoilt / "m.csv", spoilt / "other/m.csv", spoilt / "fewest.csv", frame):
        load(source, split="fold", root=str(spoilt), problems="drop")
    lists = [
        (path.name.split("-")[1], len(pd.read_csv(path)))
        for path in Path(cache).glob("problems-*.csv")
    ]
    assert sorted(lists) == [("DataFrame", 3), ("fewest", 1), ("m", 2), ("m", 3)]


def test_bad_files_drop_their_rows(spoilt, load):
    splits = load(split="fold", problems="drop")
    assert [int(i.split()[1]) for i in splits.train.ids] == [
        k for k in range(39) if k not in (4, 8)
    ]
    assert [p["row"] for p in splits.problems] == [6, 6, 10]
    check_dataset(splits)


def test_bad_files_make_their_modality_absent(spoilt, load):
    splits = load(split="fold", problems="absent")
    assert [int(i.split()[1]) for i in splits.train.ids] == [k for k in range(39) if k != 8]
    assert [bool(splits.train.present[m][4]) for m in ("sound", "look", "body")] == [
        False,
        False,
        True,
    ]
    assert len(splits.problems) == 3
    check_dataset(splits)


def test_policies_and_settings_that_cannot_be(load):
    with pytest.raises(ConfigError, match="error, drop or absent"):
        load(problems="ignore")
    with pytest.raises(ConfigError, match=r"no modality 'sond'.*did you mean 'sound'"):
        load(options={"sond": {"seconds": 1}})
    with pytest.raises(ConfigError, match="'seconds'"):
        load(options={"sound": {"second": 1}})
    with pytest.raises(ConfigError, match=r"data\.options\.body"):
        load(options={"body": {"length": 3}})


def read_new(splits, source, **given):
    saved = json.loads(json.dumps(splits.preprocessing))
    labelled = given.pop("labelled", True)
    allow_absent = given.pop("allow_absent", False)
    return data.read_table(
        DataSettings(source, **given),
        specs=splits.train.specs,
        classes=splits.train.classes,
        preprocessing=saved,
        labelled=labelled,
        allow_absent=allow_absent,
    )


def test_new_data_are_read_as_the_run_read_its_own(folder, load, cache):
    splits = load(split="fold")
    again = read_new(splits, folder / "m.csv", id="key", cache=cache)
    assert len(again) == N
    assert again.ids[48:] == splits.test.ids
    own, new = everything(splits.test), again.rows(np.arange(48, N))
    assert (own.label == new.label).all()
    for m in splits.train.modalities:
        assert (own.present[m] == new.present[m]).all()
        assert (own.inputs[m] == new.inputs[m]).all()


def test_new_columns_may_stand_in_another_order(folder, load, cache):
    splits = load(split="fold")
    frame = pd.read_csv(folder / "m.csv")[["f_2", "fold", "f_0", "picture", "f_1", "clip"]]
    again = read_new(splits, frame, root=str(folder), cache=cache)
    assert (again.label == -1).all()
    assert (
        again.rows(np.arange(48, N)).inputs["body"] == everything(splits.test).inputs["body"]
    ).all()


def test_new_data_may_lack_modalities(folder, load, cache):
    splits = load(split="fold")
    frame = pd.read_csv(folder / "m.csv")[["clip", "feeling"]]
    with pytest.raises(ConfigError, match=r"no column 'picture' for modality 'look'.*allow_absent"):
        read_new(splits, frame, root=str(folder), cache=cache)
    with pytest.warns(UserWarning, match=r"'picture' for modality 'look'.*absent"):
        again = read_new(splits, frame, root=str(folder), cache=cache, allow_absent=True)
    batch = everything(again)
    assert again.modalities == splits.train.modalities
    assert [batch.counts[m] for m in again.modalities] == [N, 0, 0]
    assert not batch.inputs["look"].any()
    assert (batch.inputs["sound"][48:] == everything(splits.test).inputs["sound"]).all()


def test_new_data_that_do_not_fit(folder, load, cache):
    splits = load(split="fold")
    frame = pd.read_csv(folder / "m.csv")
    with pytest.raises(DataError, match=r"row 7: label 'angry' is in no training row"):
        read_new(
            splits,
            frame.assign(feeling=["sad"] * 7 + ["angry"] * 53),
            root=str(folder),
            cache=cache,
        )
    with pytest.raises(DataError, match="built-in"):
        read_new(data.load(DataSettings("digits")), folder / "m.csv")


def test_array_files_are_vectors_of_the_length_of_the_first(tmp_path, rng, cache):
    arrays = rng.normal(size=(30, 2, 3)).astype(np.float32)
    for k, array in enumerate(arrays):
        np.save(tmp_path / f"{k}.npy", array)
    frame = pd.DataFrame(
        {"a": [f"{k}.npy" for k in range(30)], "x": rng.normal(size=30), "label": list("ab") * 15}
    )
    splits = data.load(
        DataSettings(frame, modality=["a=a", "b=x"], root=str(tmp_path), cache=cache)
    )
    assert splits.train.specs["a"].shape == (6,)
    assert isinstance(splits.train.arrays["a"].store, np.memmap)
    np.save(tmp_path / "3.npy", np.ones(5))
    with pytest.raises(DataError, match=r"row 3.*3\.npy: holds 5 numbers, 6 are expected"):
        data.load(DataSettings(frame, modality=["a=a", "b=x"], root=str(tmp_path), cache=cache))


def test_naming_the_package_imports_nothing_heavy():
    code = (
        "import sys, equipoise.data, equipoise.data.datasets\n"
        "print({'torch', 'pandas', 'sklearn'} & {*sys.modules})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
    with pytest.raises(AttributeError, match="'lood'"):
        _ = data.lood


@pytest.mark.parametrize(
    "given", [{"modality": ["a=x:image"]}, {"split": "fold"}, {"group": "who"}, {"root": "."}]
)
def test_a_built_in_data_set_ignores_nothing_that_is_said_of_columns(given):
    with pytest.raises(ConfigError, match="has its own modalities and splits; leave out"):
        data.load(DataSettings("digits", **given))


def test_a_split_that_bad_files_emptied_says_so(folder, cache):
    for path in folder.glob("*.wav"):
        path.write_bytes(b"no sound")
    settings = DataSettings(
        folder / "m.csv",
        modality=["clip=clip:audio"],
        label="feeling",
        split="fold",
        problems="drop",
        cache=cache,
    )
    with pytest.raises(DataError, match=r"train split; 39 of it were left out, listed in .*\.csv"):
        data.load(settings)


def test_a_modality_that_no_training_row_has_is_said(rng):
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=40),
            "words": [""] * 30 + ["so it is"] * 10,
            "label": list("ab") * 20,
            "split": ["train"] * 30 + ["validation"] * 5 + ["test"] * 5,
        }
    )
    declared = {"modality": ["x=x:vector", "words=words:text"], "split": "split"}
    with pytest.warns(
        UserWarning, match=r"modality 'words' is absent in every training row.*'words'"
    ):
        data.load(DataSettings(frame, **declared))
    frame.loc[0, "words"] = "it is not"
    with warnings.catch_warnings(action="error"):
        data.load(DataSettings(frame, **declared))


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (1_700_000_000 + np.arange(40), "40 different numbers .* become 1 "),
        (2**40 + np.arange(40), "40 different numbers .* become 1 "),
        (1e-45 * np.arange(40), "40 different numbers .* become "),
        (np.arange(40), ""),
        (np.linspace(0, 1, 40), ""),
        (np.full(40, 5.0), ""),
        (np.linspace(-1e30, 1e30, 40), ""),
    ],
)
def test_numbers_that_single_precision_cannot_tell_apart_are_said(numbers, said):
    frame = pd.DataFrame({"x": numbers, "label": list("ab") * 20})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data.load(DataSettings(frame, modality=["x=x:vector"]))
    found = [str(w.message) for w in caught if "single precision" in str(w.message)]
    assert len(found) == bool(said)
    assert all(re.search(said, text) and "column 'x'" in text for text in found)
