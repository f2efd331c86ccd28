"""Control characters of data are escaped wherever they are shown."""

from equipoise.cli.output import print_table
from equipoise.data import media
from equipoise.errors import DataError, format_warning, printable

EVIL = "\x1b]0;owned\x07\x1b[2Ja\r\nb\u202ec\x9b"
SHOWN = r"\x1b]0;owned\x07\x1b[2Ja\r\nb\u202ec\x9b"


def test_control_characters_are_escaped():
    assert printable(EVIL) == SHOWN
    assert printable("\udcff") == r"\udcff"
    for text in ("Zoë 日本 😀 👩‍💻", "a\xa0b", r"C:\x1b", ""):
        assert printable(text) == text
    assert printable("a\nb\tc\x1b", keep="\n\t") == "a\nb\tc\\x1b"


def test_errors_show_them_escaped():
    assert str(DataError(f"{EVIL}: file not found")) == f"{SHOWN}: file not found"


def test_tables_show_them_escaped(capsys):
    print_table([EVIL], [[EVIL]], title=EVIL)
    said = capsys.readouterr().out
    assert said.count(SHOWN) == 3
    assert "\x1b" not in said


def test_warnings_show_them_escaped():
    text = format_warning(UserWarning(EVIL), UserWarning, media.__file__, 1)
    assert text == f"equipoise: warning: {SHOWN}\n"
