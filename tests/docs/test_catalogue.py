"""The catalogue shows every registered component with all its options, and its commands parse."""

from __future__ import annotations

import inspect
import re
import shlex
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

from equipoise.cli.options import read_settings
from equipoise.cli.parser import parse_command
from equipoise.data.datasets import DATASETS
from equipoise.data.transforms.kinds import TRANSFORMS, choose, make_text, make_transform
from equipoise.encoders import ENCODERS, build_encoder
from equipoise.heads import HEADS
from equipoise.methods import METHODS

DOCS = Path(__file__).parents[2] / "docs"


def commands(page: str) -> list[list[str]]:
    blocks = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("equipoise ")]


@pytest.mark.parametrize("entry", list(METHODS), ids=lambda entry: entry.name)
def test_method(entry, pages):
    page = pages[f"method-{entry.name}.md"]
    assert entry.summary[1:] in page
    assert (entry.memory or "none") in page
    assert all(f"`{option}`" in page for option in entry.parameters())


@pytest.mark.parametrize("entry", [e for e in METHODS if e.paper], ids=lambda entry: entry.name)
def test_the_citation_of_a_method_holds_every_part_of_its_paper(entry, pages):
    cited = re.search(r"@misc\{\w+,\n(.*?)\n\}", pages[f"method-{entry.name}.md"], re.DOTALL)[1]
    cited = dict(re.findall(r"  (\w+) = \{(.*)\},", cited))
    assert (cited["year"], cited["url"]) == (str(entry.year), entry.url)
    authors = cited["author"].replace(" and ", ", ").replace(", others", " et al")
    for part in (authors.split(", ")[0], cited["title"].strip("{}"), cited["howpublished"]):
        assert part in entry.paper


@pytest.mark.parametrize("entry", list(ENCODERS), ids=lambda entry: entry.name)
def test_encoder(entry, pages):
    page = pages[f"encoder-{entry.name}.md"]
    for fact in (
        entry.summary[1:],
        entry.paper,
        entry.inputs,
        *entry.kinds,
        f"{entry.size:,}" if entry.size else "",
    ):
        assert fact in page
    for option in set(entry.parameters()) - {"shape", "vocabulary"}:
        assert f"| `{option}` |" in page
    assert f"equipoise[{entry.needs}]" in page or not entry.needs


@pytest.mark.parametrize("entry", [e for e in ENCODERS if e.size], ids=lambda entry: entry.name)
def test_the_command_of_an_encoder_fits_it(entry, pages):
    """The transform of the command gives samples that the encoder reads (built without memory)."""
    torch = pytest.importorskip("torch")
    (command,) = commands(pages[f"encoder-{entry.name}.md"])
    settings = read_settings(parse_command(command))
    kind, options = settings.data.modality[0].partition(":")[2], settings.data.options.get("m", {})
    if kind in ("vector", "array"):
        shape = entry.shape
    elif kind == "text":
        shape = (make_text("m", options).length,)
    else:
        shape = make_transform("m", kind, options).shape
    with torch.device("meta"):
        built = build_encoder(
            settings.encoder["m"]["name"], {}, shape, 1000 if kind == "text" else None
        )
    assert built.width == entry.width


@pytest.mark.parametrize("entry", list(DATASETS), ids=lambda entry: entry.name)
def test_dataset(entry, pages):
    page, module = pages[f"dataset-{entry.name}.md"], import_module(entry.target.partition(":")[0])
    assert inspect.getdoc(module) in page
    for fact in (entry.summary[1:], entry.paper, entry.url, entry.licence):
        assert fact in page
    if prepare := getattr(module, "prepare", None):
        flags = {f"--{name}" for name in inspect.signature(prepare).parameters} - {"--out"}
        assert all(f"| `{flag}` |" in page for flag in flags)
        for command in commands(page):
            if command[0] == "prepare":
                assert {word for word in command if word.startswith("--")} <= {*flags, "--out"}


def test_modalities_of_a_dataset(pages):
    assert "`audio` (audio), `video` (video)" in pages["dataset-crema-d.md"]
    assert "`rgb` (video), `flow` (flow)" in pages["dataset-ucf-101.md"]


@pytest.mark.parametrize("kind", list(TRANSFORMS))
def test_transforms(kind, pages):
    section = pages["transforms.md"].partition(f"\n## {kind}\n")[2].partition("\n## ")[0]
    for name in TRANSFORMS[kind]:
        row = re.search(rf"\n\| `{name}` \| (.*?) \|", section)
        assert row is not None
        assert row[1] != "–", f"{name} of {kind}: say whose it is"
        target, settings = choose("m", kind, {"transform": name})
        assert all(
            f"`{setting}`" in section for setting in [*settings, *(f.name for f in fields(target))]
        )


def test_shapes_are_those_of_samples(pages):
    for name, frames in (("log-stft", 299), ("ogm-ge", 188)):
        assert make_transform("m", "audio", {"transform": name}).shape == (1, 257, frames)
        assert re.search(rf"\| `{name}` \|.*\(1, 257, {frames}\) \|", pages["transforms.md"])


def test_heads_and_leftovers(pages):
    assert all(f"\n## {entry.name}\n" in pages["heads.md"] for entry in HEADS)
    assert "method-gone.md" not in pages


def test_links_lead_to_pages_and_headings(pages):
    """Pages written by hand link to generated ones, and generated ones link back."""
    own = {path.name: path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")}
    links = [
        link for text in own.values() for link in re.findall(r"\]\(generated/([^)#]+)\)", text)
    ]
    assert links
    assert set(links) <= set(pages)
    for text in pages.values():
        for page, anchor in re.findall(r"\]\(\.\./([^)#]+)#([^)]+)\)", text):
            headings = re.findall(r"^#+ (.*)", own[page], re.MULTILINE)
            assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


def test_all_commands_are_understood(pages):
    found = [command for page in pages.values() for command in commands(page)]
    assert len(found) > len(METHODS.names()) + len(DATASETS.names())
    for command in found:
        parsed = parse_command(command)
        if command[0] == "train":
            read_settings(parsed)
