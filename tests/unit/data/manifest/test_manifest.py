"""Tables of every format read alike; an error names file and row in one line."""

import csv
import json
import re
import sys

import numpy as np
import pandas as pd
import pytest

from equipoise.data.manifest.declaration import Columns, Declaration
from equipoise.data.manifest.file_part import FilePart
from equipoise.data.manifest.labels import LabelType
from equipoise.data.manifest.manifest import read_manifest
from equipoise.errors import ConfigError, DataError


@pytest.fixture
def rng():
    return np.random.default_rng()


@pytest.fixture
def table(rng):
    """A vector of three columns, a number, a file; row 2 lacks the vector and row 3 the file."""
    numbers = rng.normal(size=(6, 4)).astype(np.float32)
    frame = pd.DataFrame(numbers, columns=["f_0", "f_1", "f_2", "age"])
    frame.loc[2, ["f_0", "f_1", "f_2"]] = np.nan
    frame["clip"] = [None if k == 3 else f"clips/{k}.wav" for k in range(6)]
    frame["label"] = list("abcabc")
    frame["name"] = [f"sample {k}" for k in range(6)]
    frame["part"] = ["train", "train", "TRAIN", "val", "test", "validation"]
    return frame


def columns(*declarations, **named):
    declared = declarations or ("v=f_*", "n=age", "s=clip")
    return Columns([Declaration.parse(text) for text in declared], **named)


def write_csv(frame, path):
    frame.to_csv(path, index=False)


def write_tsv(frame, path):
    frame.to_csv(path, index=False, sep="\t")


def write_jsonl(frame, path):
    path.write_text(
        "\n".join(json.dumps(row) for row in frame.to_dict("records"))
    )  # NaN for missing numbers


def write_parquet(frame, path):
    pytest.importorskip("pyarrow")
    frame.to_parquet(path)


WRITERS = {
    "m.csv": write_csv,
    "m.tsv": write_tsv,
    "m.jsonl": write_jsonl,
    "m.parquet": write_parquet,
}


@pytest.mark.parametrize("name", [*WRITERS, "DataFrame"])
def test_every_format_says_the_same(tmp_path, table, name):
    source = table
    if name in WRITERS:
        source = tmp_path / name
        WRITERS[name](table, source)
    read = read_manifest(
        source, columns(id="name", split="part", group="label"), root=str(tmp_path)
    )
    assert read.ids == [f"sample {k}" for k in range(6)]
    assert read.label == list("abcabc")
    assert list(read.group) == list("abcabc")
    assert list(read.split) == ["train", "train", "train", "validation", "test", "validation"]
    assert [str(d) for d in read.declarations] == [
        "v=f_0,f_1,f_2:vector",
        "n=age:vector",
        "s=clip:audio",
    ]
    np.testing.assert_allclose(
        read.numbers["v"], table[["f_0", "f_1", "f_2"]].to_numpy(), rtol=1e-6
    )
    np.testing.assert_allclose(read.numbers["n"][:, 0], table["age"], rtol=1e-6)
    assert read.files["s"] == [
        None if k == 3 else FilePart(tmp_path / f"clips/{k}.wav") for k in range(6)
    ]


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("1.5", "vector"),
        ("x.npy", "vector"),
        ("x.PNG", "image"),
        ("x.jpeg", "image"),
        ("x.bmp", "image"),
    ]
    + [(f"x.{ending}", "audio") for ending in ("wav", "flac", "ogg", "mp3")],
)
def test_the_kind_is_seen_from_the_cells(cell, kind):
    frame = pd.DataFrame({"c": [None, cell, cell], "label": list("aba")})
    assert read_manifest(frame, columns("m=c")).declarations[0].kind == kind


def test_relative_paths_start_beside_the_manifest_and_absolute_ones_stay(tmp_path):
    (tmp_path / "m.csv").write_text("clip,label\na.wav,x\n/elsewhere/b.wav,y\n")
    files = read_manifest(tmp_path / "m.csv", columns("s=clip")).files["s"]
    assert [str(file) for file in files] == [f"{tmp_path}/a.wav", "/elsewhere/b.wav"]


def test_a_byte_order_mark_and_quoted_cells_are_read(tmp_path):
    text = '\ufeffid,x,label\r\n"one, two",1,"a ""b"""\r\nthree,2,c\r\n'
    (tmp_path / "m.csv").write_text(text, encoding="utf-8", newline="")
    read = read_manifest(tmp_path / "m.csv", columns("v=x", id="id"))
    assert read.ids == ["one, two", "three"]
    assert read.label == ['a "b"', "c"]


def test_whole_labels_stay_whole_beside_an_empty_one():
    frame = pd.DataFrame(
        {"x": [1.0, 2.0, 3.0], "label": [3, None, 12]}
    )  # pandas makes floats of them
    assert read_manifest(frame, columns("v=x")).label == [3, None, 12]


@pytest.mark.parametrize("empty", [None, np.nan, pd.NA, pd.NaT, "", "  "])
def test_whatever_is_empty_is_absent(empty):
    frame = pd.DataFrame({"x": [1.0, 2.0], "clip": ["a.wav", empty], "label": ["a", empty]})
    read = read_manifest(frame, columns("v=x", "s=clip"))
    assert read.files["s"][1] is None
    assert read.label[1] is None


def refused(source, cols, error, *words):
    with pytest.raises(error) as caught:
        read_manifest(source, cols)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_blank_lines_count_as_rows_of_the_file(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("x,label\n1,a\n\n2,b\nmany,c\n\n")
    refused(path, columns("v=x"), DataError, "m.csv row 5", "'many'")
    path = tmp_path / "m.jsonl"
    path.write_text('{"x": 1, "label": "a"}\n\n{"x": "many", "label": "b"}\n')
    refused(path, columns("v=x"), DataError, "m.jsonl row 3", "'many'")


@pytest.mark.parametrize("cells", ["1", "1,a,b"])
def test_a_row_that_does_not_fit_the_header(tmp_path, cells):
    (tmp_path / "m.csv").write_text(f"x,label\n1,a\n{cells}\n")
    refused(tmp_path / "m.csv", columns("v=x"), DataError, "m.csv row 3", "header has 2")


@pytest.mark.parametrize("bad", ["inf", "-Infinity", "1e39", "much", "1,5"])
def test_a_cell_that_is_no_finite_number(table, tmp_path, bad):
    table["f_1"] = table["f_1"].astype(object)
    table.loc[4, "f_1"] = bad
    write_csv(table, tmp_path / "m.csv")
    refused(tmp_path / "m.csv", columns(), DataError, "m.csv row 6", "'f_1'", repr(bad))


def test_infinite_floats_of_a_frame(table):
    table.loc[4, "f_1"] = np.float32("-inf")
    refused(table, columns(), DataError, "DataFrame row 4", "'f_1'")


@pytest.mark.parametrize("hole", ["", "nan", "NaN"])
def test_a_vector_with_a_hole(table, tmp_path, hole):
    table["f_1"] = table["f_1"].astype(object)
    table.loc[4, "f_1"] = hole
    write_csv(table, tmp_path / "m.csv")
    refused(tmp_path / "m.csv", columns(), DataError, "m.csv row 6", "'f_1'", "'v'", "NaN")


def test_columns_that_are_not_there(table):
    refused(table, columns("v=f_9"), ConfigError, "'f_9'", "did you mean 'f_")
    refused(table, columns("v=g_*"), ConfigError, "'g_*'", "'v'")
    refused(table, columns(label="lable"), ConfigError, "'lable'", "did you mean 'label'")
    refused(table, columns(split="fold"), ConfigError, "'fold'")
    refused(table, columns(group="speaker"), ConfigError, "'speaker'")
    refused(table, columns(id="key"), ConfigError, "'key'")


def test_two_columns_of_one_name(table):
    refused(table.rename(columns={"f_1": "age"}), columns(), DataError, "2 columns", "'age'")


def test_ids_splits_and_groups(table):
    twice = table.assign(name=["a", "b", "c", "d", "b", "e"])
    refused(twice, columns(id="name"), DataError, "row 4", "'b'", "row 1")
    refused(
        table.assign(name=["a", "b", None, "d", "e", "f"]),
        columns(id="name"),
        DataError,
        "row 2",
        "id",
    )
    refused(
        table.assign(part="fold 1"),
        columns(split="part"),
        DataError,
        "row 0",
        "'fold 1'",
        "validation",
    )
    refused(
        table.assign(part=["train"] * 5 + [None]),
        columns(split="part"),
        DataError,
        "row 5",
        "split",
    )
    refused(
        table.assign(name=["a"] * 5 + [None]), columns(group="name"), DataError, "row 5", "group"
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("clip:audio", "name=column"),
        ("sound=", "name=column"),
        ("sound=:audio", "name=column"),
        ("sound=clip:adio", "did you mean 'audio'"),
        ("items=clip:audio", "'items'"),
        ("a.b=clip:audio", "'a.b'"),
        ("=clip", "''"),
    ],
)
def test_declarations_that_say_nothing(text, word):
    with pytest.raises(ConfigError, match=re.escape(word)):
        Declaration.parse(text)


@pytest.mark.parametrize("text", ["sound=clip:audio", "v=a,b,c:vector", "v=f_*", "s-1=the clip"])
def test_a_declaration_reads_as_it_was_written(text):
    assert str(Declaration.parse(text)) == text


def test_modalities_are_declared_once_at_least_and_at_most():
    with pytest.raises(ConfigError, match="name=column"):
        Columns([])
    with pytest.raises(ConfigError, match="'v' is declared twice"):
        columns("v=a", "w=b", "v=c")


def test_a_kind_that_cannot_be_seen(table):
    refused(table, columns("m=name"), ConfigError, "'m'", "'sample 0'", "m=name:audio")
    refused(table, columns("m=clip,name:audio"), ConfigError, "'m'", "one column")


def test_files_that_are_no_tables(tmp_path, rng):
    one = columns("v=x")
    refused(tmp_path / "m.csv", one, DataError, "m.csv", "no such manifest")
    for name in ("m.csv", "m.tsv", "m.jsonl"):
        path = tmp_path / name
        path.write_bytes(b"")
        refused(path, one, DataError, name, "no rows")
        path.write_bytes(b"\xff\xfe" + rng.bytes(100))
        refused(path, one, DataError, name, "not readable", "save it as UTF-8")
    (tmp_path / "m.csv").write_text("x,label\n")
    refused(tmp_path / "m.csv", one, DataError, "m.csv", "no rows")
    (tmp_path / "m.jsonl").write_text('{"x": 1, "label": "a"}\n[1, 2]\n')
    refused(tmp_path / "m.jsonl", one, DataError, "m.jsonl row 2", "object")
    (tmp_path / "m.jsonl").write_text('{"x": 1, "label": "a"}\n{"x": 1\n')
    refused(tmp_path / "m.jsonl", one, DataError, "m.jsonl row 2", "JSON")
    (tmp_path / "m.txt").write_text("x,label\n1,a\n")
    refused(tmp_path / "m.txt", one, DataError, "m.txt", ".csv")
    refused(pd.DataFrame({"x": [], "label": []}), one, DataError, "DataFrame", "no rows")


@pytest.mark.parametrize("name", ["m.csv", "m.tsv"])
@pytest.mark.parametrize("cell", ['"hi" he said', '"hi', '"a ""b"" c" d'])
def test_quotes_that_do_not_match(tmp_path, name, cell):
    mark = "\t" if name == "m.tsv" else ","
    rows = [["said", "x", "label"], ["well", "1", "a"], [], [cell, "2", "b"], ["so", "3", "a"]]
    (tmp_path / name).write_text("".join(mark.join(row) + "\n" for row in rows))
    refused(
        tmp_path / name, columns("v=x"), DataError, f"{name} row 4", 'doubled: """hi"" he said"'
    )


def test_cells_may_be_of_any_length(tmp_path):
    limit = csv.field_size_limit()
    text = "word " * 30_000
    (tmp_path / "m.csv").write_text(f"said,label\n{text},a\n")
    assert read_manifest(tmp_path / "m.csv", columns("t=said:text")).texts["t"] == [text.strip()]
    assert csv.field_size_limit() == limit
    (tmp_path / "m.csv").write_text('said,label\n"a,b\n')
    with pytest.raises(DataError):
        read_manifest(tmp_path / "m.csv", columns("t=said:text"))
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("name", "mark", "remedy"),
    [
        ("m.csv", ";", "save it with commas, or tabs as .tsv"),
        ("m.csv", "\t", "save it with commas, or tabs as .tsv"),
        ("m.tsv", ";", "save it with tabs, or with commas as .csv"),
        ("m.tsv", ",", "save it with tabs, or with commas as .csv"),
    ],
)
def test_another_separator(tmp_path, name, mark, remedy):
    (tmp_path / name).write_text(f"x{mark}label\n1,5{mark}a\n2,5{mark}b\n")
    refused(tmp_path / name, columns("v=x"), DataError, name, f"separated by {mark!r}", remedy)


def test_another_encoding(tmp_path):
    (tmp_path / "m.csv").write_text("x,label\n1,fröhlich\n2,sad\n", encoding="cp1252")
    refused(tmp_path / "m.csv", columns("v=x"), DataError, "m.csv", "save it as UTF-8")


def test_parquet_that_cannot_be_read(tmp_path):
    path = tmp_path / "m.parquet"
    path.write_bytes(b"not parquet")
    pytest.importorskip("pyarrow")
    refused(path, columns("v=x"), DataError, "m.parquet", "not readable")


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    (tmp_path / "m.parquet").write_bytes(b"any")
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # import fails
    monkeypatch.setitem(sys.modules, "fastparquet", None)
    refused(
        tmp_path / "m.parquet",
        columns("v=x"),
        DataError,
        "m.parquet",
        "pip install 'equipoise[parquet]'",
    )


def test_a_pattern_never_takes_the_answer_in(rng):
    numbers = pd.DataFrame(rng.normal(size=(6, 3)), columns=["a", "b", "c"])
    told = {
        "label": [0, 1, 2, 0, 1, 2],
        "key": range(6),
        "who": [1, 1, 2, 2, 3, 3],
        "fold": "train",
    }
    read = read_manifest(
        numbers.assign(**told), columns("v=*", id="key", group="who", split="fold")
    )
    assert [list(d.columns) for d in read.declarations] == [["a", "b", "c"]]
    refused(numbers.assign(**told), columns("v=l*"), ConfigError, "'l*'", "'v'")
    with pytest.raises(ConfigError, match="modality 'w': column 'label' is the label"):
        columns("v=a", "w=b,label")


def test_new_data_may_lack_labels_and_modalities(table):
    known = LabelType()
    fewer = table[["age", "clip"]]
    with pytest.raises(ConfigError, match=r"no column 'f_\*' for modality 'v'.*--allow-absent"):
        read_manifest(fewer, columns(), known=known)
    with pytest.warns(UserWarning, match=r"'f_\*' .*absent in every row"):
        read = read_manifest(fewer, columns(), known=known, allow_absent=True)
    assert read.label == [None] * 6
    assert [d.name for d in read.declarations] == ["n", "s"]
    with pytest.raises(ConfigError, match="no modality"):
        read_manifest(table[["name"]], columns(), known=known, allow_absent=True)
    with pytest.raises(ConfigError, match="'f_1'"):  # half a modality is a mistake
        read_manifest(table.drop(columns="f_1"), columns("v=f_0,f_1,f_2", "n=age"), known=known)


@pytest.mark.parametrize("cell", ["[" * 100_000 + "]" * 100_000, "1" * 5000])
def test_json_that_python_cannot_read_is_refused(tmp_path, cell):
    path = tmp_path / "m.jsonl"
    path.write_text('{"x": 1, "label": "a"}\n{"x": ' + cell + ', "label": "b"}\n')
    refused(path, columns("v=x"), DataError, "m.jsonl row 2")


def test_an_integer_too_large_for_a_float_is_refused(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"x": 1, "label": "a"}\n{"x": 1' + "0" * 400 + ', "label": "b"}\n')
    refused(path, columns("v=x"), DataError, "m.jsonl row 2", "not a finite number")
