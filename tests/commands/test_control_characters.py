"""Names and cells with control characters do not steer the terminal of a command."""

import warnings

import pytest

from equipoise.errors import printable


@pytest.mark.parametrize("name", ["evil\x1b[2J.wav", "two\nlines.wav"])
def test_commands_show_them_escaped(command, tmp_path, name):
    rows = [f'"{name}",{number},{"ab"[number % 2]}\x1b[31m' for number in range(12)]
    (tmp_path / "clips.csv").write_text("\n".join(["sound,number,label", *rows, ""]))
    declared = "--modality sound=sound:audio --modality number=number:vector --label label"
    # Not a single sound can be read: nothing is learned of it, and training says so.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "clips.csv: modality 'sound' is absent", UserWarning)
        _shows_them_escaped(command, name, declared)


def _shows_them_escaped(command, name, declared):
    for line in (
        f"prepare clips.csv {declared}",
        f"prepare clips.csv {declared} --problems absent",
        f"doctor clips.csv {declared}",
        "doctor clips.csv",
    ):
        answer = command(line)
        said = answer.out + answer.err
        assert "\x1b" not in said, line
        assert "Traceback" not in said
        if "prepare" in line:
            assert printable(name) in said
