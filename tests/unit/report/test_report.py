"""The report of fabricated runs: what it says, what it escapes, and what it refuses."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.batch import Predictions
from equipoise.cli.output import print_leaderboard
from equipoise.errors import RunError
from equipoise.evaluation.metrics import measure
from equipoise.evaluation.predictions import save_predictions
from equipoise.report import write_report
from equipoise.report.figures import accuracy_by_rate
from equipoise.report.records import featured, read_board, read_runs
from equipoise.report.tables import to_csv, to_latex, to_markdown

ODD = r"""<b>&"%_${x}~^\|</script>"""
LABEL = np.arange(60) % 3


def predictions(names: tuple[str, ...], right: float, classes: tuple[str, ...]) -> Predictions:
    """Fused and modalities are right in this fraction of the samples."""
    wrong = np.arange(60) >= round(60 * right)
    logits = 4 * np.eye(3, dtype=np.float32)[(LABEL + wrong) % 3]
    present = dict.fromkeys(names, np.ones(60, dtype=bool))
    return Predictions(np.arange(60), LABEL, present, dict.fromkeys(names, logits), logits, classes)


def make_run(
    folder: Path,
    label: str,
    seed: int,
    right: float,
    names: tuple[str, ...] = ("a", "b"),
    classes: tuple[str, ...] = ("x", "y", "z"),
) -> Path:
    """A run folder as training leaves it."""
    (folder / "predictions").mkdir(parents=True)
    made = predictions(names, right, classes)
    save_predictions(made, folder / "predictions" / "test.npz")
    epochs = [
        {
            "epoch": e,
            "phase": 0,
            "training": list(names),
            "step": 3 * e,
            "seconds": 0.1,
            "loss": 1.0 / (e + 1),
            "method": {"alpha": 0.5, f"spectrum/{names[0]}": [0.5, 0.7, 1.0]} if e else {},
            "validation": measure(made),
        }
        for e in range(3)
    ]
    (folder / "metrics.jsonl").write_text(
        "\n".join(json.dumps(line) for line in epochs), encoding="utf-8"
    )
    cost = {
        "forward_passes": 2.0,
        "backward_passes": 1.0,
        "seconds": 1.5,
        "peak_memory_mb": 7,
        "parameters": 1234,
    }
    result: dict[str, Any] = {
        "method": "joint",
        "label": label,
        "seed": seed,
        "data": "fabricated",
        "classes": list(classes),
        "modalities": list(names),
        "epochs": 3,
        "best_epoch": 2,
        "validation": measure(made),
        "test": measure(made),
        "contribution": dict.fromkeys(names, 0.25),
        "cost": cost,
        "problems": 0,
        "command": f"equipoise train --method=joint --label={label}",
        "version": "0",
    }
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return folder


def make_bench(
    folder: Path, shares: dict[str, list[float]], names: tuple[str, ...] = ("a", "b")
) -> Path:
    """A comparison: a cell for each label and seed."""
    for label, rights in shares.items():
        for seed, right in enumerate(rights):
            make_run(folder / "cells" / label / f"seed-{seed}", label, seed, right, names)
    return folder


class Page(HTMLParser):
    """Text, tags, and every address a browser would fetch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.rows: list[list[str]] = []
        self._script = self._cell = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._script = tag in ("script", "style")
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._script = False
        self._cell &= tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if not self._script:
            self.text.append(data)
            if self._cell:
                self.rows[-1][-1] += data.strip()

    @property
    def said(self) -> str:
        return "".join(self.text)


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "c")])
@pytest.mark.parametrize("seeds", [1, 3])
def test_every_run_stands_in_page_and_tables(
    tmp_path: Path, names: tuple[str, ...], seeds: int
) -> None:
    shares = {"one": [0.5] * seeds, "two": [0.8] * seeds, "three": [0.7] * seeds}
    index = write_report([make_bench(tmp_path / "bench", shares, names)], tmp_path / "out")
    page = Page(index)
    bodies = [row for row in page.rows if row and row[0] in shares and len(row) > 4]
    assert {row[0] for row in bodies} == set(shares)
    assert {row[1] for row in bodies[:3]} == {str(seeds)}
    for label in shares:
        assert f"--label={label}" in page.said
    spread = " ± 0.0" if seeds > 1 else ""
    markdown = (tmp_path / "out" / "leaderboard.md").read_text(encoding="utf-8")
    for shown, dressed in (("80.0", "**{}**"), ("70.0", "<u>{}</u>"), ("50.0", "{}")):
        assert f"| {dressed.format(shown + spread)} |" in markdown
    with (tmp_path / "out" / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    for label, values in shares.items():
        assert float(rows[label]["fused accuracy mean"]) == pytest.approx(values[0])
        assert rows[label]["fused accuracy std"] == ("0.000000" if seeds > 1 else "")
        assert all(f"{m} accuracy mean" in rows[label] for m in names)
    assert ("single seed" in page.said) == (seeds == 1)


def test_means_and_deviations_are_over_seeds(tmp_path: Path) -> None:
    board = read_board([make_bench(tmp_path, {"one": [0.5, 0.6, 0.7], "two": [0.9, 0.9, 0.6]})])
    cells = {label: row[0] for label, row in board.rows().items()}
    assert cells["one"].text() == "60.0 ± 10.0"
    assert cells["two"].text() == "80.0 ± 17.3"
    assert (cells["one"].place, cells["two"].place) == (2, 1)


def test_calibration_is_best_where_it_is_lowest_and_ties_share_a_place(tmp_path: Path) -> None:
    shares = {"one": [0.95], "three": [0.95], "two": [0.5]}
    board = read_board([make_bench(tmp_path, shares)])
    table = board.rows()
    titles = [column.title for column in board.columns()]
    accuracy, error = map(titles.index, ("fused accuracy", "fused calibration error"))
    places = {label: (row[accuracy].place, row[error].place) for label, row in table.items()}
    assert places == {
        "one": (1, 1),
        "three": (1, 1),
        "two": (2, 2),
    }
    alone = read_board([tmp_path / "cells" / "one" / "seed-0"]).rows()
    assert {cell.place for cell in alone["one"]} == {0}


def test_the_page_needs_no_network(tmp_path: Path) -> None:
    index = write_report(
        [make_bench(tmp_path / "bench", {"one": [0.5], "two": [0.8]})], tmp_path / "out"
    )
    for link in Page(index).links:
        assert link.startswith("#") or (index.parent / link).is_file(), link
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", index.read_text(encoding="utf-8"))


def test_odd_names_are_shown_and_never_become_markup(tmp_path: Path) -> None:
    plain = write_report(
        [make_run(tmp_path / "p", "two", 0, 0.5, ("m", "b"))], tmp_path / "plain", title="plain"
    )
    run = make_run(tmp_path / "q", ODD, 0, 0.5, ("m", "b"), (ODD, "y", "z"))
    odd = write_report([run], tmp_path / "odd", title=ODD)
    assert Page(odd).tags == Page(plain).tags  # the same page but for its texts
    assert Page(odd).said.count(ODD) >= 3


def test_figures_show_odd_names_as_they_are(tmp_path: Path) -> None:
    """Plotly reads a few tags and entities in texts; a name must not be taken for them."""
    run = make_run(tmp_path / "q", "<b>bold</b> &amp; <br>", 0, 0.5)
    content = write_report([run], tmp_path / "out").read_text(encoding="utf-8")
    scripts = "".join(re.findall(r"<script.*?</script>", content, flags=re.DOTALL))
    assert r"\u003cb\u003ebold" not in scripts
    assert r"\u0026lt;b\u0026gt;bold" in scripts or "&lt;b&gt;bold" in scripts


def test_latex_compiles_whatever_the_names(tmp_path: Path) -> None:
    board = read_board([make_run(tmp_path / "q", r"a_b & 50% $x^2$ #1 {y} ~ \cmd", 0, 0.5)])
    row = next(line for line in to_latex(board).splitlines() if "cmd" in line)
    expected = (
        r"a\_b \& 50\% \$x\textasciicircum{}2\$ \#1 \{y\} \textasciitilde{} \textbackslash{}cmd"
    )
    assert row.startswith(expected + " & ")
    assert row.endswith(r" \\")


def test_latex_sets_the_best_in_bold_and_the_second_underlined(tmp_path: Path) -> None:
    board = read_board(
        [make_bench(tmp_path, {"one": [0.5, 0.5], "two": [0.8, 0.8], "three": [0.7, 0.7]})]
    )
    text = to_latex(board)
    for cell in (r"\textbf{80.0 $\pm$ 0.0}", r"\underline{70.0 $\pm$ 0.0}", "& 50.0 $\\pm$ 0.0 &"):
        assert cell in text
    columns = text.splitlines()[0].count("c", text.index("{l"))
    assert all(line.count(" & ") == columns for line in text.splitlines() if " & " in line)


def test_a_bar_in_a_name_does_not_break_markdown(tmp_path: Path) -> None:
    board = read_board([make_run(tmp_path / "q", "a|b", 0, 0.5)])
    lines = to_markdown(board).splitlines()
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
        ("a & b", "a &amp; b"),
        ("[here](https://a.b)", r"\[here\](https://a.b)"),
        ("![x](y)", r"!\[x\](y)"),
        ("`code`", r"\`code\`"),
        ("**bold**", r"\*\*bold\*\*"),
        ("~~gone~~", r"\~\~gone\~\~"),
        ("_leaning_", r"\_leaning\_"),
        ("left_eye", "left_eye"),
        ("a\\|b", r"a\\\|b"),
        ("two\nlines | x", r"two lines \| x"),
        ("\x1b[31mred", r"\\x1b\[31mred"),
    ],
)
def test_a_name_is_a_plain_text_in_markdown(tmp_path: Path, name: str, shown: str) -> None:
    board = read_board([make_run(tmp_path / "q", name, 0, 0.5)])
    assert to_markdown(board).splitlines()[2].startswith(f"| {shown} | ")


def test_csv_reads_back_whatever_the_names(tmp_path: Path) -> None:
    board = read_board([make_run(tmp_path / "q", 'a,"b"\nc', 0, 0.5)])
    assert next(csv.DictReader(to_csv(board).splitlines(keepends=True)))["method"] == 'a,"b"\nc'


def test_failed_cells_are_named_with_their_reason(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", {"one": [0.5], "two": [0.8]})
    failed = bench / "cells" / "two" / "seed-1"
    failed.mkdir()
    (failed / "error.txt").write_text("the loss is nan <here>\n", encoding="utf-8")
    (bench / "cells" / "two" / "seed-2").mkdir()  # never started
    said = Page(write_report([bench], tmp_path / "out")).said
    assert "two, seed 1: the loss is nan <here>" in said


def test_runs_and_comparisons_can_be_reported_together(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", {"one": [0.5, 0.6]})
    groups, _ = read_runs(
        [bench, make_run(tmp_path / "more", "one", 7, 0.7), make_run(tmp_path / "x", "two", 0, 0.7)]
    )
    assert {g.label: [r.result["seed"] for r in g.runs] for g in groups} == {
        "one": [0, 1, 7],
        "two": [0],
    }


def test_methods_with_other_modalities_have_empty_cells(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / "p", "two", 0, 0.5),
        make_run(tmp_path / "q", "three", 0, 0.6, ("a", "b", "c")),
    ]
    board = read_board(runs)
    place = [column.title for column in board.columns()].index("c accuracy")
    assert board.rows()["two"][place].text() == "–"
    assert board.rows()["three"][place].text() == "60.0"
    assert write_report(runs, tmp_path / "out").is_file()


def difference_cell(index: Path, label: str) -> str:
    """The leaderboard's difference of a method from the first one."""
    head, *rows = (row for row in Page(index).rows if row)
    place = next(k for k, title in enumerate(head) if title.startswith("fused, against"))
    return next(row[place] for row in rows if row[0] == label)


def test_the_difference_is_in_points_against_the_first_method(tmp_path: Path) -> None:
    index = write_report(
        [make_bench(tmp_path / "bench", {"one": [0.5], "two": [0.8]})], tmp_path / "out"
    )
    assert difference_cell(index, "one") == "–"
    assert re.fullmatch(r"\+30\.0\[\+\d+\.\d, \+\d+\.\d\]", difference_cell(index, "two"))


def test_figures_show_the_yardstick_and_the_best_of_many_and_tables_show_all(
    tmp_path: Path,
) -> None:
    rights = np.random.default_rng().permutation(60)[:12] / 60
    folder = make_bench(tmp_path, {f"m{k}": [right] for k, right in enumerate(rights)})
    page = Page(write_report([folder], tmp_path / "report"))
    best = sorted(range(1, 12), key=lambda k: -rights[k])[:7]
    drawn = featured(read_runs([folder])[0])
    assert {group.label for group in drawn} == {f"m{k}" for k in (0, *best)}
    assert "Shown are m0 and the 7 methods of highest accuracy on validation, of 12." in page.said
    assert {f"m{k}" for k in range(12)} <= {row[0] for row in page.rows}
    few = Page(
        write_report([folder / "cells" / f"m{k}" / "seed-0" for k in range(8)], tmp_path / "few")
    )
    assert "Shown are" not in few.said


def test_runs_on_other_samples_are_not_paired(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "p", "one", 0, 0.5), make_run(tmp_path / "q", "two", 0, 0.8)]
    other = predictions(("a", "b"), 0.8, ("x", "y", "z"))
    turned = Predictions(
        other.index, (LABEL + 1) % 3, other.present, other.logits, other.fused, other.classes
    )
    save_predictions(turned, runs[1] / "predictions" / "test.npz")
    assert difference_cell(write_report(runs, tmp_path / "out"), "two") == "–"


def test_an_earlier_report_is_replaced_and_anything_else_is_not(tmp_path: Path) -> None:
    run = make_run(tmp_path / "p", "one", 0, 0.5)
    out = tmp_path / "out"
    write_report([run], out, title="first")
    write_report([run], out, title="second")
    assert "second" in Page(out / "index.html").said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "p"]
    mine = tmp_path / "mine"
    mine.mkdir()
    write_report([run], mine)  # an empty folder is free to use
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("keep", encoding="utf-8")
    with pytest.raises(
        RunError, match=r"thesis: holds something other than a report; choose another folder"
    ):
        write_report([run], tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.tex").read_text(encoding="utf-8") == "keep"
    with pytest.raises(RunError, match="chapter"):
        write_report([run], tmp_path / "thesis" / "chapter.tex")


@pytest.mark.parametrize(
    "damage", ["nothing", "no cells", "json", "metrics", "predictions", "gone"]
)
def test_what_cannot_be_read_is_named(tmp_path: Path, damage: str) -> None:
    run = make_run(tmp_path / "p", "one", 0, 0.5)
    if damage == "nothing":
        run = tmp_path / "empty"
        run.mkdir()
    elif damage == "no cells":
        run = tmp_path / "bench"
        (run / "cells").mkdir(parents=True)
    elif damage == "json":
        (run / "result.json").write_text("{", encoding="utf-8")
    elif damage == "metrics":
        (run / "metrics.jsonl").unlink()
    elif damage == "predictions":
        (run / "predictions" / "test.npz").write_bytes(b"PK\x03\x04")
    elif damage == "gone":
        run = tmp_path / "gone"
    with pytest.raises(RunError) as caught:
        write_report([run], tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert damage == "no cells" or run.name in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_run_without_test_samples_reports_validation(tmp_path: Path) -> None:
    run = make_run(tmp_path / "p", "one", 0, 0.5)
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    del result["test"]
    (run / "result.json").write_text(json.dumps(result), encoding="utf-8")
    (run / "predictions" / "test.npz").rename(run / "predictions" / "validation.npz")
    assert "Percent on the validation split" in Page(write_report([run], tmp_path / "out")).said


def test_a_test_split_without_labels_is_reported_as_unknown(tmp_path: Path) -> None:
    run = make_run(tmp_path / "p", "one", 0, 0.5)
    made = predictions(("a", "b"), 0.5, ("x", "y", "z"))
    blind = Predictions(
        made.index, np.full(60, -1), made.present, made.logits, made.fused, made.classes
    )
    save_predictions(blind, run / "predictions" / "test.npz")
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    (run / "result.json").write_text(
        json.dumps({**result, "test": measure(blind), "contribution": {}})
    )
    page = Page(write_report([run], tmp_path / "out"))
    assert next(row for row in page.rows if row and row[0] == "one")[2] == "–"


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "sweep"
    make_bench(folder / "missing-0.1", {"one": [0.5, 0.6], "two": [0.9, 0.8]})
    make_bench(folder / "missing-0.05", {"one": [0.7, 0.7], "two": [0.6, 0.6]})
    return folder


def hide_half(folder: Path) -> None:
    """Half of one of two modalities is absent from what a run was tested on."""
    made = predictions(("a", "b"), 0.5, ("x", "y", "z"))
    present = {"a": np.ones(60, dtype=bool), "b": np.arange(60) < 30}
    measured = measure(
        Predictions(made.index, LABEL, present, made.logits, made.fused, made.classes)
    )
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    (folder / "result.json").write_text(json.dumps({**result, "test": measured}), encoding="utf-8")


def test_methods_are_ranked_at_every_rate_in_ascending_order(sweep: Path, tmp_path: Path) -> None:
    index = write_report([sweep], tmp_path / "out")
    rows = {row[0]: row for row in Page(index).rows}
    assert rows["method"][2:] == ["missing 0.05", "missing 0.1"]
    assert rows["one"][1:] == ["2", "70.0 ± 0.0", "55.0 ± 7.1"]
    assert rows["two"][1:] == ["2", "60.0 ± 0.0", "85.0 ± 7.1"]
    markdown = (tmp_path / "out" / "leaderboard.md").read_text(encoding="utf-8")
    assert "| one | **70.0 ± 0.0** | <u>55.0 ± 7.1</u> |" in markdown
    with (tmp_path / "out" / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        two = next(row for row in csv.DictReader(file) if row["method"] == "two")
    assert float(two["missing 0.1 mean"]) == pytest.approx(0.85)


def test_every_rate_has_a_page_and_all_work_from_disk(sweep: Path, tmp_path: Path) -> None:
    index = write_report([sweep], tmp_path / "out")
    pages = [
        index,
        *(tmp_path / "out" / f"missing-{rate}" / "index.html" for rate in ("0.05", "0.1")),
    ]
    for page in pages:
        for link in Page(page).links:
            assert link.startswith("#") or (page.parent / link).is_file(), link
    assert {f"missing-{rate}/index.html" for rate in ("0.05", "0.1")} <= set(Page(index).links)
    assert "Missing rate 0.05" in Page(pages[1]).said
    assert len(list((tmp_path / "out").rglob("plotly.min.js"))) == 1


def test_the_share_of_absent_cells_is_told(sweep: Path, tmp_path: Path) -> None:
    for cell in (sweep / "missing-0.1").glob("cells/*/*"):
        hide_half(cell)
    page = Page(write_report([sweep], tmp_path / "out"))
    assert next(row for row in page.rows if row[0].startswith("cells absent"))[2:] == [
        "0.0",
        "25.0",
    ]


def test_curves_hold_means_and_deviations(sweep: Path) -> None:
    board = read_board([sweep])
    one, two = accuracy_by_rate(board, ["one", "two"], "fused").data
    assert (list(one.x), list(two.x)) == ([0.05, 0.1], [0.05, 0.1])
    np.testing.assert_allclose(one.y, [70, 55])
    np.testing.assert_allclose(two.y, [60, 85])
    np.testing.assert_allclose(one.error_y.array, [0, 10 / np.sqrt(2)], atol=1e-9)
    assert accuracy_by_rate(board, ["one", "two"], "a").data[0].name == "one"


def test_what_failed_at_a_rate_leaves_a_gap(sweep: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        cell = sweep / "missing-0.1" / "cells" / "two" / f"seed-{seed}"
        (cell / "result.json").unlink()
        (cell / "error.txt").write_text("no memory\n", encoding="utf-8")
    failed = sweep / "missing-0.2" / "cells" / "one" / "seed-0"
    failed.mkdir(parents=True)
    (failed / "error.txt").write_text("the disk is full\n", encoding="utf-8")
    page = Page(write_report([sweep], tmp_path / "out"))
    assert next(row for row in page.rows if row[0] == "two")[2:] == ["60.0 ± 0.0", "–"]
    assert "missing 0.1, two, seed 1: no memory" in page.said
    assert "missing 0.2, one, seed 0: the disk is full" in page.said


def test_sweeps_of_other_methods_share_a_page_and_single_runs_do_not(
    sweep: Path, tmp_path: Path
) -> None:
    make_bench(tmp_path / "more" / "missing-0.1", {"three": [0.4]})
    page = Page(write_report([sweep, tmp_path / "more"], tmp_path / "out"))
    assert next(row for row in page.rows if row[0] == "three")[1:] == ["1", "–", "40.0"]
    with pytest.raises(RunError, match="cannot be reported together"):
        write_report([sweep, make_run(tmp_path / "p", "one", 0, 0.5)], tmp_path / "out")


def test_page_terminal_json_and_pandas_show_the_same_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    shares = {name: list(rng.integers(60, size=3) / 60) for name in ("one", "two", "three")}
    folder = make_bench(tmp_path / "bench", shares)
    board = read_board([folder])
    rows = Page(write_report([folder], tmp_path / "out")).rows
    page = {row[0]: row for row in reversed(rows)}  # the leaderboard comes first
    place = next(row for row in rows if row).index("fused accuracy")
    print_leaderboard(board)
    lines = capsys.readouterr().out.splitlines()
    terminal = {line.split()[0]: line for line in lines if line.strip()}
    frame = board.to_frame()
    for name, rights in shares.items():
        mean, std = np.mean(rights), np.std(rights, ddof=1)
        text = f"{100 * mean:.1f} ± {100 * std:.1f}"
        assert board.score(name).text() == text
        assert page[name][place] == text
        assert terminal[name].count(text) == 4  # fused, both modalities, fused on validation
        assert tuple(frame.loc[name, "fused"]) == pytest.approx((mean, std))
        results = [r for r in board.to_json() if r["label"] == name]
        assert [r["test"]["fused"]["accuracy"] for r in results] == pytest.approx(rights)


def test_pandas_has_a_row_for_each_method_and_rate(sweep: Path) -> None:
    frame = read_board([sweep]).to_frame()
    assert list(frame.index) == [("one", 0.05), ("two", 0.05), ("one", 0.1), ("two", 0.1)]
    assert frame.loc[("one", 0.1), ("a", "mean")] == pytest.approx(0.55)
    assert frame.loc[("one", 0.05), ("fused", "std")] == pytest.approx(0)
