"""Errors that a user can cause.

Each message says in one line what is wrong, where, and how to mend it.
"""

from __future__ import annotations

import difflib
import unicodedata
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

_SHOWN = 80  # characters of a value in a message
_LONGEST_WORD = 400  # characters of a word in a message, such as a path
_LONGEST_LINE = 1500  # characters of a message
_UNSEEN = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories of control characters, halves of characters, and ends of lines."""
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text behind them."""


def printable(text: str, keep: str = "") -> str:
    """Escape control characters, so that a name or cell of the data cannot steer a terminal.

    Args:
        text: of any origin.
        keep: control characters that stay, such as a newline.
    """
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if character not in keep
        and (unicodedata.category(character) in _UNSEEN or character in _BIDIRECTIONAL)
        else character
        for character in text
    )


def shortened(line: str) -> str:
    """Cut the middle of long words and of a long line: they quote a whole cell or file."""
    words = [_without_middle(word, _LONGEST_WORD) for word in line.split(" ")]
    return _without_middle(" ".join(words), _LONGEST_LINE)


def _without_middle(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most // 4) :]}"


class EquipoiseError(Exception):
    """Base of every error that a user can mend.

    The command line prints it as one line and exits with `exit_code`.
    """

    exit_code = 1

    def __str__(self) -> str:
        return shortened(printable(super().__str__()))


class DataError(EquipoiseError):
    """A file, row, column or value of the user's data is unusable."""


class ConfigError(EquipoiseError, ValueError):
    """An option, name or value is wrong."""

    exit_code = 2


class RunError(EquipoiseError):
    """A run folder or checkpoint cannot be used as asked."""


class TrainingError(EquipoiseError):
    """Training cannot go on, for example because the loss is not finite."""


SIGNS = "EQUIPOISE_RANKS"
"""The environment variable of a rank that names the folder of the ranks' signs of life. It is here
because the command line reads it without PyTorch."""


class LostRankError(TrainingError):
    """Another rank of a distributed training no longer answers."""

    exit_code = 75


class Interrupted(EquipoiseError):
    """A signal stopped the run after a checkpoint was written."""

    exit_code = 130


def shown(value: object) -> str:
    """A value as a message shows it: in one line, and at most about 80 characters long."""
    try:
        text = repr(value)
    except ValueError:  # Python does not write integers of more than 4,300 digits
        return "an integer of thousands of digits"
    except RecursionError:
        return "a value that is nested too deeply to be shown"
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def suggest(name: object, known: Iterable[str], meant: Mapping[str, str] | None = None) -> str:
    """A hint for a misspelt name, such as "; did you mean 'mla'?".

    Args:
        name: as the user wrote it; it may be no text at all.
        known: the names that there are.
        meant: {usual name: known name} of names that are near in meaning and not in letters.

    Returns:
        The nearest known names, or all of them where none is near.
    """
    names = sorted(known)
    text = str(name)
    plain = text.lstrip("-").replace("-", "_").lower()
    near = [known_name for usual, known_name in (meant or {}).items() if usual == plain]
    near = near or difflib.get_close_matches(text, names, n=3, cutoff=0.5)
    if near:
        return "; did you mean " + " or ".join(repr(n) for n in near) + "?"
    return "; known: " + ", ".join(names) if names else ""


def unknown(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """Make the error for a name that is not registered."""
    return ConfigError(f"unknown {kind} {name!r}{suggest(name, known)}")


def invalid(owner: str, parameter: str, expectation: str, found: object) -> ConfigError:
    """Make the error for a bad parameter: owner, parameter, expectation and the value found."""
    return ConfigError(f"{owner}: {parameter!r} must be {expectation}, found {shown(found)}")


_usual_format = warnings.formatwarning


def format_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """Format a warning: ours are for the user of a command, without a line of code."""
    if Path(filename).is_relative_to(Path(__file__).parent):
        return f"equipoise: warning: {printable(str(message))}\n"
    return _usual_format(message, category, filename, lineno, line)
