"""Changes of bytes and of JSON."""

from __future__ import annotations

import copy
import random
from typing import Any

CONTROLS = "\x00\x01\x07\x08\x0b\x0c\x1b\x7f\x85\x9b\u2028\u200b\u202e\ufeff"
ODD_TEXTS = [
    "",
    " ",
    "nan",
    "inf",
    "-1",
    "1e999",
    "null",
    "true",
    "=1+1",
    "@SUM(A1)",
    "<b>bold</b>",
    "a\nb",
    "a\r\nb",
    "\x1b[31mred\x1b[0m",
    "a\x00b",
    "\x9b2J",
    "caf\u00e9",
    "cafe\u0301",
    "\U0001f600",
    "\u202eabc",
    "../../etc/passwd",
    "/dev/zero",
    "/dev/stdin",
    "{u,v}",
    "#t=1,0",
    "x" * 5000,
    "['a', 'b']",
    "b'happy'",
    "1.0",
    "9" * 400,
    "%s%n{0}",
    "\ud800",
]
ODD_VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    10**400,
    0.5,
    -0.5,
    1e-300,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "no",
    "1",
    "auto",
    "x" * 3000,
    [],
    [0],
    [1, 2, 3],
    ["a"],
    [[]],
    {},
    {"a": 1},
    {"name": "x"},
    [None],
]


def change_bytes(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """Change a file, and say how."""
    kinds = ["flip", "flips", "header", "cut", "insert", "zero", "double", "swap", "append", "drop"]
    kind = rng.choice(kinds)
    data = bytearray(content)
    size = len(data)
    at = rng.randrange(max(size, 1))
    length = min(size - at, rng.choice([1, 2, 4, 16, 100, 1000]))
    if not size:
        return rng.randbytes(length + 1), "bytes in an empty file"
    if kind == "flip":
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "flips":
        for _ in range(max(1, size // rng.choice([20, 200, 2000]))):
            data[rng.randrange(size)] = rng.randrange(256)
    elif kind == "header":
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(min(size, 128))] = rng.choice([0, 1, 127, 128, 255, 32])
    elif kind == "cut":
        del data[at:]
    elif kind == "insert":
        data[at:at] = rng.randbytes(length)
    elif kind == "zero":
        data[at : at + length] = bytes(length)
    elif kind == "double":
        data = data + data
    elif kind == "swap":
        other = rng.randrange(size)
        data[at : at + length] = data[other : other + length]
    elif kind == "append":
        data += rng.randbytes(length)
    elif kind == "drop":
        del data[at : at + length]
    return bytes(data), f"{kind} at {at} of {size}, {length} long"


def change_value(rng: random.Random, value: Any) -> tuple[Any, str]:
    """Change one place of nested lists and mappings, and say which."""
    value = copy.deepcopy(value)
    places = list(_places(value, ()))
    if not places:
        new = rng.choice(ODD_VALUES)
        return new, f"all := {new!r:.60}"
    path = rng.choice(places)
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    last = path[-1]
    shown = ".".join(map(str, path))
    kind = rng.choice(["delete", "odd", "odd", "odd", "text", "reverse", "nudge", "rename", "nest"])
    old = holder[last]
    if kind == "delete":
        del holder[last]
    elif kind == "text":
        holder[last] = rng.choice(ODD_TEXTS)
    elif kind == "reverse" and isinstance(old, list) and len(old) > 1:
        holder[last] = old[::-1]
    elif kind == "nudge" and isinstance(old, int | float) and not isinstance(old, bool):
        holder[last] = old + rng.choice([1, -1, 0.5, 1e-3])
    elif kind == "rename" and isinstance(holder, dict):
        holder[f"{last}2"] = holder.pop(last)
    elif kind == "nest":
        holder[last] = rng.choice([[old], {"name": old}, {str(last): old}, [old, old]])
    else:
        kind = "odd"
        holder[last] = rng.choice(ODD_VALUES)
    now = holder.get(last, "gone") if isinstance(holder, dict) else holder
    return value, f"{kind} {shown}: {old!r:.60} -> {now!r:.60}"


def _places(value: Any, path: tuple[Any, ...]) -> Any:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in pairs:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from _places(item, (*path, key))
