"""A page per encoder, and the table of them all."""

from __future__ import annotations

from equipoise.data.transforms.kinds import TRANSFORMS
from equipoise.encoders import ENCODERS
from equipoise.registry import EncoderEntry

from .markdown import bash, explained, facts, origin, page, prose, sentence, shown, table, toctree

GIVEN = ("shape", "vocabulary")
"""Arguments that follow from the data."""


def pages() -> dict[str, str]:
    """{file: Markdown}"""
    entries = [entry for entry in ENCODERS if isinstance(entry, EncoderEntry)]
    return {
        "encoders.md": _index(entries),
        **{f"encoder-{entry.name}.md": _page(entry) for entry in entries},
    }


def _index(entries: list[EncoderEntry]) -> str:
    rows = [
        (
            f"[{e.name}](encoder-{e.name}.md)",
            e.summary,
            ", ".join(e.kinds),
            _count(e.width),
            _count(e.size),
        )
        for e in entries
    ]
    return page(
        "# Encoders",
        "An encoder turns a sample of one modality into a feature vector. A modality gets an "
        "encoder that fits its kind and shape. You can choose another one by name:",
        bash(
            "equipoise train --data data/crema-d --method mla --encoder.video resnet "
            "--encoder.video.depth 34",
        ),
        "The width of the feature and the number of parameters are those at default options, for a "
        "sample of the shape on the encoder's page. A class of your own can be an "
        "[encoder, too](../own-data.md#encoders).",
        table(["encoder", "summary", "kinds", "width", "parameters"], rows),
        toctree(f"encoder-{e.name}" for e in entries),
    )


def _page(entry: EncoderEntry) -> str:
    cls = entry.load()
    meaning = explained(cls)
    options = [(f"`{p.name}`", shown(p.default), meaning[p.name]) for p in _options(entry)]
    return page(
        f"# {entry.name}",
        sentence(entry.summary),
        facts(
            [
                *origin(entry),
                ("weights and code", entry.code and f"<{entry.code}>"),
                ("licence of that code", entry.licence),
                ("kinds of modality", ", ".join(entry.kinds)),
                ("one sample", entry.inputs),
                ("width of the feature", entry.width and f"{entry.width:,}"),
                ("parameters", entry.size and f"{entry.size:,}, {_sized(entry)}"),
                ("installed by", entry.needs and f"`pip install 'equipoise[{entry.needs}]'`"),
            ]
        ),
        prose(cls),
        "## Options",
        table(["option", "default", "meaning"], options),
        "## Try it",
        f"For a modality `m` of kind {entry.kinds[0]} in your own table:",
        bash(_command(entry)),
    )


def _command(entry: EncoderEntry) -> str:
    kind = entry.kinds[0]
    words = [
        f"equipoise train --data table.csv --method mla --modality m=column:{kind} "
        f"--encoder.m {entry.name}"
    ]
    if not entry.width:
        words.append("--encoder.m.weights NAME_OR_FOLDER")
    if entry.vocabulary:
        words.append(f"--data.options.m.length {entry.shape[0]}")
    own = _own_transform(entry)
    if own:
        words.append(f"--data.options.m.transform {own}")
    return " ".join(words)


def _own_transform(entry: EncoderEntry) -> str:
    """The transform named after the encoder or its family, as `clip` for `clip-image`, or ""."""
    family = (entry.name, entry.name.partition("-")[0])
    return next((name for name in family if name in TRANSFORMS[entry.kinds[0]]), "")


def _options(entry: EncoderEntry) -> list:
    return [p for p in entry.parameters().values() if p.name not in GIVEN]


def _sized(entry: EncoderEntry) -> str:
    """The samples for which the number of parameters holds."""
    words = f" of {entry.vocabulary:,} token ids" if entry.vocabulary else ""
    return f"for samples of shape {entry.shape}{words}"


def _count(number: int) -> str:
    return f"{number:,}" if number else "its own"
