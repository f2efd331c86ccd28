"""Progress is a bar on a terminal or in a notebook, and lines elsewhere."""

import io
import sys

import pytest

from equipoise import progress
from equipoise.progress import Bar, say, silence, track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def on_terminal(monkeypatch):
    def install():
        monkeypatch.setattr(sys, "stderr", Terminal())
        monkeypatch.setenv("TERM", "xterm")
        return sys.stderr

    return install  # for the test itself to call, since pytest replaces stderr before it


@pytest.fixture
def shown(monkeypatch):
    """The texts that a notebook's one output shows, one after the other."""
    display = pytest.importorskip("IPython.display")
    texts = []

    class Handle:
        def update(self, page):
            texts.append(page.data)

    def show(page, display_id):
        assert display_id
        texts.append(page.data)
        return Handle()

    monkeypatch.setattr(display, "display", show)
    monkeypatch.setattr(progress, "_in_notebook", lambda: True)
    return texts


def fill(bar):
    for done in range(1, 4):
        bar.update(done, 3, f"<step> {done}", f"step {done} of 3")


def test_lines_where_no_bar_can_be_drawn(capsys):
    with Bar() as bar:
        fill(bar)
    with Bar(lines=False) as bar:
        fill(bar)
    assert capsys.readouterr().err == "step 1 of 3\nstep 2 of 3\nstep 3 of 3\n"


def test_a_terminal_shows_a_bar(on_terminal):
    terminal = on_terminal()
    with Bar() as bar:
        fill(bar)
    assert "3/3" in terminal.getvalue()
    assert "<step> 3" in terminal.getvalue()
    assert "step 1 of 3" not in terminal.getvalue()


def test_a_notebook_shows_one_output_that_changes(shown, capsys):
    with Bar() as bar:
        fill(bar)
    assert len(shown) == 3
    assert 'value="3" max="3"' in shown[-1]
    assert "&lt;step&gt; 3" in shown[-1]
    assert capsys.readouterr().err == ""


def test_silence_holds_inside_its_block_only(on_terminal, shown):
    stream = on_terminal()
    with silence():
        with silence(False), Bar() as bar:
            fill(bar)
        say("nothing")
        assert list(track(range(3), 3, "counting")) == [0, 1, 2]
    assert stream.getvalue() == ""
    assert not shown
    say("a line\x1b")
    assert stream.getvalue() == "a line\\x1b\n"
