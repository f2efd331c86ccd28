"""Media: seed files of many formats, changed in bytes, in name and in the window asked for."""

from __future__ import annotations

import contextlib
import io
import random
import wave
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fuzzing.case import Answer, Case, run_command
from fuzzing.mutations import change_bytes
from fuzzing.part import PARTS, Part, Room

KINDS = {
    "wav": "audio",
    "flac": "audio",
    "ogg": "audio",
    "mp3": "audio",
    "aiff": "audio",
    "au": "audio",
    "m4a": "audio",
    "mp4": "video",
    "avi": "video",
    "mkv": "video",
    "webm": "video",
    "png": "image",
    "jpg": "image",
    "tiff": "image",
    "gif": "image",
    "webp": "image",
    "bmp": "image",
    "npy": "array",
    "npz": "array",
    "txt": "text",
}
OPTIONS = {
    "audio": ["--data.options.m.seconds", "0.2"],
    "video": ["--data.options.m.size", "16"],
    "image": ["--data.options.m.size", "16"],
}
GOOD = 10


def prepare(room: Room) -> None:
    """Write the seed files, and decode the good rows of each kind into a shared cache."""
    folder = room / "media"
    folder.mkdir()
    rng = np.random.default_rng(0)
    _write_sounds(folder, rng)
    _write_pictures(folder, rng)
    _write_videos(folder, rng)
    _write_arrays(folder, rng)
    good = {"audio": "16.wav", "image": "rgb.png", "video": "mpeg4.avi", "array": "plain.npy"}
    for kind, name in good.items():
        content = (folder / name).read_bytes()
        for number in range(GOOD):
            (folder / f"good-{kind}-{number}{Path(name).suffix}").write_bytes(content)
        answer = run_command(_line(room, kind, "prepare", []))
        if answer.code:
            raise SystemExit(f"fuzz: the good files of {kind} failed: {answer.err}")


def _line(room: Room, kind: str, command: str, cells: Sequence[str]) -> list[str]:
    """A command that reads good files and these cells; the manifest is written to the folder."""
    good = [str(path) for path in sorted((room / "media").glob(f"good-{kind}-*"))]
    rows = [*good, *cells]
    text = "file,label\n" + "".join(f'"{cell}",{"ab"[k % 2]}\n' for k, cell in enumerate(rows))
    Path("clips.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    return [command, "clips.csv", "--modality", f"m=file:{kind}", *OPTIONS.get(kind, [])]


def make(rng: random.Random, room: Room, number: int) -> Case:
    seeds = sorted(p for p in (room / "media").iterdir() if not p.name.startswith("good-"))
    seed = seeds[number % len(seeds)]
    if number < len(seeds):  # each seed file as it is
        return _case(rng, room, seed, seed.read_bytes(), "unchanged", seed.suffix, accepted=True)
    kind = rng.choices(
        ["bytes", "window", "ending", "special", "join", "name"], [70, 12, 8, 4, 4, 2]
    )[0]
    content = seed.read_bytes()
    if kind == "bytes":
        text = ""
        for _ in range(rng.choice([1, 1, 2, 5])):
            content, how = change_bytes(rng, content)
            text = f"{text} {how};"
        return _case(rng, room, seed, content, text, seed.suffix)
    if kind == "window":
        return _window(rng, room, seed)
    if kind == "ending":
        ending = "." + rng.choice(list(KINDS))
        return _case(rng, room, seed, content, f"called {ending}", ending)
    if kind == "join":
        other = rng.choice(seeds)
        cut = rng.randrange(len(content))
        content = content[:cut] + other.read_bytes()[rng.randrange(64) :]
        return _case(rng, room, seed, content, f"joined with {other.name} at {cut}", seed.suffix)
    if kind == "name":
        return _name(rng, room, seed)
    return _special(rng, room, seed)


def _case(
    rng: random.Random,
    room: Room,
    seed: Path,
    content: bytes,
    text: str,
    ending: str,
    accepted: bool = False,
) -> Case:
    """Read one file beside good ones."""
    path = Path(f"file{ending}")
    path.write_bytes(content)
    media = KINDS[ending[1:]]
    text = f"{seed.name} {text}"
    if media == "text":
        return _text(rng, path, text)
    accepted = accepted and seed.suffix != ".npz"
    return _read(rng, room, media, str(path), path, text, accepted)


def _read(
    rng: random.Random,
    room: Room,
    media: str,
    cell: str,
    path: Path | None,
    text: str,
    accepted: bool = False,
) -> Case:
    """Read a cell under one of the policies, or examine it."""
    reference = _reference(path) if path is not None else _no_reference
    policy = rng.choices(["error", "drop", "absent", "doctor"], [5, 2, 1, 1])[0]
    if policy == "doctor":
        line = _line(room, media, "doctor", [cell])
        return Case(f"doctor: {text}", [[*line, "--json"]], _reported(reference, accepted))
    line = [*_line(room, media, "prepare", [cell]), "--problems", policy]
    oracle = _judged(reference, policy, accepted)
    name = "" if path is None or policy != "error" else path.name
    good = accepted or policy == "drop"
    return Case(f"{policy}: {text}", [line], oracle, must_name=name, accepted=good)


def _judged(
    reference: Callable[[], bool], policy: str, accepted: bool
) -> Callable[[Sequence[Answer]], str]:
    def oracle(answers: Sequence[Answer]) -> str:
        bad = "0 problems" not in answers[-1].err.splitlines()[-1]
        if bad and policy == "error":
            return "a problem is counted, but nothing stopped"
        if bad and accepted:
            return f"a good file is a problem: {answers[-1].out[-400:]}"
        return "" if bad or reference() else "decoded, though the reference library refuses it"

    return oracle


def _reported(reference: Callable[[], bool], accepted: bool) -> Callable[[Sequence[Answer]], str]:
    import json

    def oracle(answers: Sequence[Answer]) -> str:
        bad = json.loads(answers[-1].out)["problems"]
        if bad and accepted:
            return f"a good file is a problem: {bad}"
        return "" if bad or reference() else "decoded, though the reference library refuses it"

    return oracle


def _no_reference() -> bool:
    return True


def _reference(path: Path) -> Callable[[], bool]:
    """Whether the library that everybody uses reads the file."""

    def reads() -> bool:
        ending = path.suffix
        try:
            if KINDS[ending[1:]] == "image":
                with Image.open(path) as image:
                    image.load()
            elif ending in (".wav", ".flac", ".ogg", ".aiff", ".au"):
                import soundfile

                return len(soundfile.read(path)[0]) > 0
            elif ending == ".npy":
                return bool(np.isfinite(np.load(path, allow_pickle=False).astype(float)).all())
        except Exception:
            return False
        return True

    return reads


def _window(rng: random.Random, room: Room, seed: Path) -> Case:
    numbers = ["0", "1", "3", "0.05", "0.1", "0.2", "5", "1e3", "-1", "9" * 400, "0.0000001", "१"]
    numbers += ["1" * 5000, "nan", "inf", "4294967296", "9223372036854775808", "0x1", "1_0", ""]
    a = rng.choice(numbers)
    b = rng.choice(numbers)
    written = rng.choice([f"#t={a},{b}", f"#{a}:{b}", f"#{a}", f"#t={a}", f"#t={a},{b}#0", "#"])
    path = Path(f"file{seed.suffix}")
    path.write_bytes(seed.read_bytes())
    media = KINDS[seed.suffix[1:]]
    if media == "text":
        media = "array"
    text = f"{seed.name}{written:.60}"
    return _read(rng, room, media, f"{path}{written}", None, text)


def _name(rng: random.Random, room: Room, seed: Path) -> Case:
    names = ["a\x1b[31m", "a\nb", "ü", "a" * 300, "..", "", "{u,v}", "a#b", "a\x00", "%s", "\udcff"]
    cell = rng.choice(names) + rng.choice(["", seed.suffix, "/", f"/x{seed.suffix}"])
    media = KINDS[seed.suffix[1:]]
    media = "image" if media == "text" else media
    with contextlib.suppress(OSError, ValueError):  # a name that no file can have
        Path(cell).write_bytes(seed.read_bytes())
    return _read(rng, room, media, cell.replace('"', ""), None, f"named {cell!r:.60}")


def _special(rng: random.Random, room: Room, seed: Path) -> Case:
    """Files that are no files: pipes, devices, loops, folders, sparse and huge ones."""
    import os

    media = rng.choice(["audio", "image", "video", "array"])
    ending = {"audio": ".wav", "image": ".png", "video": ".mp4", "array": ".npy"}[media]
    path = Path(f"file{ending}")
    kind = rng.choice(
        ["pipe", "zero", "loop", "folder", "dangling", "sparse", "bomb", "eps", "full", "tty"]
    )
    if kind == "pipe":
        os.mkfifo(path)
    elif kind in ("zero", "full", "tty"):
        path.symlink_to(f"/dev/{kind}")
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "folder":
        path.mkdir()
        if media == "video" and rng.random() < 0.5:
            (path / "1.png").write_bytes(b"no picture")
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "sparse":
        with path.open("wb") as file:
            file.write(seed.read_bytes()[:100])
            file.truncate(2**33)
    elif kind == "bomb":
        path.write_bytes(_bomb(media))
    elif kind == "eps":
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    case = _read(rng, room, media, str(path), path if kind != "zero" else None, f"{kind} {media}")
    case.must_name = ""
    return case


def _bomb(media: str) -> bytes:
    """A small file that says it is huge."""
    import struct
    import zlib

    if media == "array":
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999,), }"
        header += b" " * (117 - len(header)) + b"\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    if media == "audio":
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
        return b"RIFF\xff\xff\xff\x7fWAVE" + form + b"data\xf0\xff\xff\x7f"
    size = struct.pack(">II", 60000, 60000) + b"\x08\x00\x00\x00\x00"
    chunks = [(b"IHDR", size), (b"IDAT", zlib.compress(bytes(10**6))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def _text(rng: random.Random, path: Path, text: str) -> Case:
    """A text file whose content is in the cells of a manifest."""
    words = path.read_bytes().decode("utf-8", "surrogateescape").replace('"', "'")
    rows = [f'"{"yes no"[k % 3 :]}",{"ab"[k % 2]}\n' for k in range(GOOD)]
    content = "words,label\n" + "".join(rows) + f'"{words}",a\n'
    Path("clips.csv").write_bytes(content.encode("utf-8", "surrogateescape"))
    line = ["prepare", "clips.csv", "--modality", "m=words:text"]
    return Case(f"text: {text}", [[*line, "--problems", rng.choice(["error", "drop"])]])


def _write_sounds(folder: Path, rng: np.random.Generator) -> None:
    import av
    import soundfile

    time = np.arange(4000) / 8000
    tone = (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    stereo = np.stack([tone, 0.5 * tone], axis=1)
    for name, subtype in {"16": "PCM_16", "8": "PCM_U8", "24": "PCM_24", "f": "FLOAT"}.items():
        soundfile.write(folder / f"{name}.wav", stereo, 8000, subtype=subtype)
    soundfile.write(folder / "ulaw.wav", tone, 8000, subtype="ULAW")
    soundfile.write(folder / "gsm.wav", tone, 8000, subtype="GSM610")
    soundfile.write(folder / "a.flac", stereo, 8000)
    soundfile.write(folder / "a.ogg", stereo, 8000)
    soundfile.write(folder / "a.aiff", stereo, 8000)
    soundfile.write(folder / "a.au", stereo, 8000)
    soundfile.write(folder / "a.mp3", stereo, 8000)
    with av.open(str(folder / "a.m4a"), "w", format="mp4") as container:
        _mux_tone(container, av, container.add_stream("aac", rate=8000, layout="mono"), tone)
    with wave.open(str(folder / "stdlib.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((tone * 32767).astype("<i2").tobytes())


def _mux_tone(container: Any, av: Any, stream: Any, tone: np.ndarray) -> None:
    for at in range(0, len(tone), 1024):
        part = np.ascontiguousarray(tone[None, at : at + 1024])
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
        frame.rate = 8000
        frame.pts = at
        frame.time_base = Fraction(1, 8000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _write_pictures(folder: Path, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    picture.save(folder / "rgb.png")
    picture.convert("P").save(folder / "palette.png")
    picture.convert("LA").save(folder / "grey-alpha.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 16).save(folder / "16.png")
    picture.save(folder / "rgb.jpg", quality=90)
    picture.save(folder / "progressive.jpg", progressive=True)
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(folder / "turned.jpg", exif=exif)
    picture.save(folder / "rgb.tiff")
    picture.save(folder / "lzw.tiff", compression="tiff_lzw")
    picture.save(folder / "deflate.tiff", compression="tiff_deflate")
    picture.save(folder / "still.gif")
    picture.save(folder / "moving.gif", save_all=True, append_images=[picture.rotate(90)])
    picture.save(folder / "a.webp")
    picture.save(folder / "lossless.webp", lossless=True)
    picture.save(folder / "a.bmp")


def _write_videos(folder: Path, rng: np.random.Generator) -> None:
    import av

    codecs = {"h264.mp4": "libx264", "mpeg4.avi": "mpeg4", "h264.mkv": "libx264"}
    codecs["vp9.webm"] = "libvpx-vp9"
    for name, codec in codecs.items():
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
            for number in range(6):
                frame = np.full((24, 32, 3), 40 * number, dtype=np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))


def _write_arrays(folder: Path, rng: np.random.Generator) -> None:
    values = rng.normal(size=(8, 3))
    np.save(folder / "plain.npy", values.astype(np.float32))
    np.save(folder / "integers.npy", rng.integers(0, 9, (8, 3)))
    np.save(folder / "fortran.npy", np.asfortranarray(values))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=values)
    (folder / "several.npz").write_bytes(buffer.getvalue())
    (folder / "words.txt").write_text("it was a café, yes\n" * 5, encoding="utf-8")


PARTS["media"] = Part(prepare, make, 33)
