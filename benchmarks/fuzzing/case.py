"""One input of the fuzz command: the commands that read it, and the judgement of what they did."""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from equipoise.cli import main
from equipoise.errors import EquipoiseError

RIGHT = "right"
ONE_LINE = "one line"
TRACEBACK = "traceback"
HANG = "hang"
WRONG = "wrong"
OUTCOMES = (RIGHT, ONE_LINE, TRACEBACK, HANG, WRONG)

LONGEST = 2000
"""Characters of an error message; a longer one quotes a whole cell or file."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_LIBRARY_WARNING = re.compile(r"^(?!equipoise).*\b\w*Warning: ", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """The judgement of one input.

    Attributes:
        kind: one of `OUTCOMES`.
        text: the message, or what is wrong.
        detail: the whole traceback or output.
        description: of the input.
    """

    kind: str
    text: str = ""
    detail: str = ""
    description: str = ""


@dataclass
class Answer:
    """What one command did.

    Attributes:
        code: exit code.
        out: standard output.
        err: standard error.
        noise: what libraries wrote past Python, to the descriptors themselves.
    """

    code: int
    out: str
    err: str
    noise: str


Oracle = Callable[[Sequence[Answer]], str]
"""From the answers of all commands, which all ended with 0, to what is wrong; "" for nothing."""


def nothing_wrong(answers: Sequence[Answer]) -> str:
    """The oracle that accepts any success."""
    return ""


@dataclass
class Case:
    """One input.

    Attributes:
        description: what was changed.
        commands: command lines, run in order until one fails, inside the folder of the input.
        oracle: judges the success of all of them.
        call: a call of the Python interface, instead of commands; returns what is wrong.
        must_not_exist: files that a failed command must not leave behind.
        must_name: a text, such as the name of a file, that an error message must hold.
        refused: True if the input must be refused.
        accepted: True if the input must be accepted.
    """

    description: str
    commands: list[list[str]] = field(default_factory=list)
    oracle: Oracle = nothing_wrong
    call: Callable[[], str] | None = None
    must_not_exist: tuple[str, ...] = ()
    must_name: str = ""
    refused: bool = False
    accepted: bool = False


class Wrong(Exception):
    """Something that an oracle found wrong."""


def judge(case: Case) -> Outcome:
    """Run an input in the current folder."""
    try:
        return _call(case) if case.call is not None else _run(case)
    except Wrong as error:
        return Outcome(WRONG, str(error), description=case.description)


def _call(case: Case) -> Outcome:
    assert case.call is not None
    try:
        wrong = case.call()
    except (EquipoiseError, OSError) as error:
        return _judge_refusal(case, f"{error}", "")
    except Exception as error:
        return _traceback(case, error)
    return _judge_success(case, wrong, "")


def _run(case: Case) -> Outcome:
    answers: list[Answer] = []
    for line in case.commands:
        try:
            answer = run_command(line)
        except Exception as error:
            return _traceback(case, error, line)
        answers.append(answer)
        shown = f"$ equipoise {' '.join(line)}\n{answer.out}{answer.err}{answer.noise}"
        _check_terminal(answer, shown)
        if answer.code:
            return _judge_failure(case, answer, shown)
    return _judge_success(case, case.oracle(answers), shown)


def run_command(line: list[str]) -> Answer:
    """Run a command in this process, and catch what it and its libraries write."""
    out = io.StringIO()
    err = io.StringIO()
    kept = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as noise:
        try:
            os.dup2(noise.fileno(), 1)
            os.dup2(noise.fileno(), 2)
            with redirect_stdout(out), redirect_stderr(err):
                code = main(line)
        finally:
            for descriptor, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, descriptor)
                os.close(copy)
        noise.seek(0)
        written = noise.read().decode("utf-8", "replace")
    return Answer(code, out.getvalue(), err.getvalue(), written)


def _check_terminal(answer: Answer, shown: str) -> None:
    if answer.noise:
        raise Wrong(f"a library wrote to the terminal: {answer.noise[:300]!r}")
    text = answer.out + answer.err
    if found := _LIBRARY_WARNING.search(text):
        raise Wrong(f"a library warned on the terminal: {found[0][:300]!r}")
    if found := _CONTROL.search(text):
        near = text[max(0, found.start() - 60) : found.end() + 60]
        raise Wrong(f"a control character reached the terminal: {near!r}")


def _judge_failure(case: Case, answer: Answer, shown: str) -> Outcome:
    lines = answer.err.splitlines()
    errors = [line for line in lines if _is_error(line)]
    if not lines or not _is_error(lines[-1]) or len(errors) != 1:
        raise Wrong(f"exit code {answer.code} without exactly one last line of error: {shown!r}")
    return _judge_refusal(case, lines[-1], shown)


def _is_error(line: str) -> bool:
    return line.startswith("equipoise: ") and not line.startswith("equipoise: warning: ")


def _judge_refusal(case: Case, message: str, shown: str) -> Outcome:
    if case.accepted:
        raise Wrong(f"a good input is refused: {message[:500]}")
    if "\n" in message or _CONTROL.search(message):
        raise Wrong(f"a message of several lines or with control characters: {message[:300]!r}")
    if len(message) > LONGEST:
        raise Wrong(f"a message of {len(message)} characters: {message[:200]}…")
    if case.must_name and case.must_name not in message:
        raise Wrong(f"the message does not name {case.must_name!r}: {message[:500]}")
    left = [name for name in case.must_not_exist if Path(name).exists()]
    left += [str(path) for path in Path().rglob("*.tmp")]
    if left:
        raise Wrong(f"half-written files are left: {', '.join(left)} ({message[:200]})")
    return Outcome(ONE_LINE, message, shown, case.description)


def _judge_success(case: Case, wrong: str, shown: str) -> Outcome:
    if wrong:
        return Outcome(WRONG, wrong, shown, case.description)
    if case.refused:
        return Outcome(WRONG, "an input that must be refused is accepted", shown, case.description)
    if left := [str(path) for path in Path().rglob("*.tmp")]:
        return Outcome(WRONG, f"temporary files are left: {left}", shown, case.description)
    return Outcome(RIGHT, "", shown, case.description)


def _traceback(case: Case, error: Exception, line: Sequence[str] = ()) -> Outcome:
    own = [f for f in traceback.extract_tb(error.__traceback__) if "/equipoise/" in f.filename]
    place = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "?"
    words = " ".join(str(error).split())[:200]
    text = f"{type(error).__name__} at {place}: {words}"
    detail = f"$ equipoise {' '.join(line)}\n" + "".join(traceback.format_exception(error))
    print(detail, file=sys.stderr)
    return Outcome(TRACEBACK, text, detail, case.description)
