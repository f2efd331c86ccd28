"""Citations as BibTeX, from the paper that a registry entry names."""

from __future__ import annotations

import re

from equipoise.registry import Entry


def bibtex(entry: Entry) -> str:
    """The paper of an entry, "Surname, Surname. Title. Venue", as `@misc`; "" without a paper.

    Raises:
        ValueError: the paper does not have these three parts.
    """
    if not entry.paper:
        return ""
    parts = re.fullmatch(r"(.+?)\. (.+[^.]?)[.?] ([^.]+(?:\([^)]*\))?)\.?", entry.paper)
    if parts is None:
        raise ValueError(f"{entry.name}: no 'Authors. Title. Venue' in {entry.paper!r}")
    authors, title, venue = parts.groups()
    names = [name for name in re.split(r", | and | et al", authors) if name]
    others = ["others"] if "et al" in authors else []
    key = re.sub(r"\W", "", names[0].split()[-1]).lower()
    word = next(word for word in re.findall(r"[a-z]+", title.lower()) if len(word) > 3)
    fields = {
        "title": f"{{{title}}}",
        "author": " and ".join([*names, *others]),
        "howpublished": venue,
        "year": str(entry.year or ""),
        "url": entry.url,
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key}{entry.year or ''}{word},", *lines, "}"])
