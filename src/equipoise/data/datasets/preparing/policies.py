"""Which split policy is asked for, and where the published lists are that one of them reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from equipoise.errors import ConfigError, DataError, invalid


def published_lists(
    owner: str, split: str, offered: Sequence[str], splits: str | Path | None
) -> Path | None:
    """Where the published lists are under `paper`, None under any other policy.

    Args:
        owner: the data set.
        split: the policy asked for.
        offered: the policies there are.
        splits: folder or file of the published lists.

    Raises:
        ConfigError: no such policy, `paper` without lists, or lists that the policy would ignore.
    """
    if split not in offered:
        raise invalid(owner, "split", f"one of {', '.join(offered)}", split)
    if split == "paper" and splits is None:
        raise ConfigError(
            f"{owner}: the lists of --split paper do not come with the download; give them with --splits"
        )
    if split != "paper" and splits is not None:
        raise ConfigError(
            f"{owner}: --splits is read with --split paper only; --split {split} would ignore it"
        )
    return None if splits is None else Path(splits)


def bad_line(path: Path, number: int, line: str, expected: str) -> DataError:
    """The one sentence for a line of a list that cannot be understood."""
    return DataError(f"{path} line {number}: expected {expected}, found {line[:80]!r}")
