"""`crema-d`: 7,442 clips of 91 actors who speak twelve English sentences in one of six emotions
(audio, video).

## What to download

The repository `CheyneyComputerScience/CREMA-D`, of which `AudioWAV` (7,442 files, 0.6 GB, 16 kHz
mono) and `VideoFlash` (7,442 files, 2.4 GB, FLV) are read. It is kept in Git LFS: clone it with
`git lfs` installed. The zip that the site offers, or a clone without LFS, holds pointer files of
130 bytes, and prepare says so.

## Licence

Open Database Licence 1.0 for the database, Database Contents Licence 1.0 for the contents. The
authors ask users to fill in a form.

## What prepare expects

```text
CREMA-D/
  AudioWAV/1001_DFA_ANG_XX.wav …
  VideoFlash/1001_DFA_ANG_XX.flv …
```

```bash
equipoise prepare crema-d --root CREMA-D --out data/crema-d
equipoise prepare crema-d --root CREMA-D --split paper --splits OGM-GE/data/CREMAD \\
    --out data/crema-d-paper
```

A clip is named `<actor>_<sentence>_<emotion>_<level>`. The label is the *intended* emotion, as in
all the papers, and not what the crowd of raters heard or saw.

## Splits

* `group` (default): actors are drawn, a fifth for testing and a tenth for validation. No speaker is
  in two splits.
* `random`: clips are drawn by class, a tenth for testing and a tenth for validation.
* `paper`: a published list in `--splits`, either that of OGM-GE (`train.csv` and `test.csv`, lines
  `clip,EMO`) or that of MLA (`my_train_cre.txt` and `my_test_cre.txt`, lines `clip.flv Name`). Both
  hold 6,698 clips for training and 744 for testing, and they are two different random splits: 71
  test clips are common. There is no validation list; a tenth of the training list is drawn by
  class. LFM and MIE report the same counts, but did not publish their lists.

The published lists share all 91 actors between training and testing, so that results on them say
nothing of new speakers.

## Known problems

Ten clips are left out under `group` and `random`. Under `paper` they stay, as in the papers' own
runs:

* `1076_MTI_NEU_XX` (the video is very short and has no sound; the wav is fine), `1076_MTI_SAD_XX`
  (no sound in any format, the video is an error picture), `1064_TIE_SAD_XX` (the video has no
  duration), `1064_IEO_DIS_MD` (the video is a one-minute recording of all emotions). All four are
  in the *training* part of both published lists. A file that cannot be decoded is reported in
  training; `--problems drop` goes on without it.
* Three pairs of wav files are byte for byte the same although they are labelled with different
  emotions: `1006_TIE` HAP and NEU, `1013_WSI` DIS and SAD, `1017_IWW` ANG and FEA. The videos of a
  pair differ.

The wav of `1040_ITH_SAD_XX` is named `1040_ITH_SAD_X.wav`; prepare finds it. Clips last 1.3 to 5 s,
2.5 s
on average: 877 are shorter than 2 s, so that a sampler of one frame per second finds two frames
in them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from equipoise.data.datasets.preparing.counting import Whole
from equipoise.data.datasets.preparing.lists import numbered_lines
from equipoise.data.datasets.preparing.policies import bad_line, published_lists
from equipoise.data.datasets.preparing.writing import (
    Collection,
    Row,
    carve_validation,
    draw_splits,
    need_folder,
    write,
)
from equipoise.errors import DataError

EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
SHARES = {"group": {"validation": 0.1, "test": 0.2}, "random": {"validation": 0.1, "test": 0.1}}
VALIDATION = 0.1  # of the published training list
CLIPS = 7_442
PUBLISHED = {"train": 6698, "test": 744}
LISTS = [
    {"train": "train.csv", "test": "test.csv"},  # OGM-GE
    {"train": "my_train_cre.txt", "test": "my_test_cre.txt"},  # MLA
]
NOTES = [
    "all actors occur in training and in testing: the published split says nothing of new speakers",
    f"validation is drawn from the published training list of {PUBLISHED['train']} clips",
]
TWINS = "wav is the same as that of another emotion"
DIRTY = {
    "1076_MTI_NEU_XX": "video is cut short and silent",
    "1076_MTI_SAD_XX": "no sound, video is an error picture",
    "1064_TIE_SAD_XX": "video has no duration",
    "1064_IEO_DIS_MD": "video is a recording of all emotions",
    **dict.fromkeys(
        ("1006_TIE_HAP_XX", "1006_TIE_NEU_XX", "1013_WSI_DIS_XX", "1013_WSI_SAD_XX"), TWINS
    ),
    **dict.fromkeys(("1017_IWW_ANG_XX", "1017_IWW_FEA_XX"), TWINS),
}
_CLIP = re.compile(
    rf"(?P<actor>1\d{{3}})_[A-Z]{{3}}_(?P<emotion>{'|'.join(EMOTIONS)})_(?:XX?|LO|MD|HI)"
)
_LINE = re.compile(r"(?P<clip>\w+?)(?:\.flv)?[, ](?P<emotion>\w+)")

Files = dict[str, dict[str, str]]
"""{modality: {clip: path}}"""


def prepare(
    out: Path,
    *,
    root: str | Path,
    splits: str | Path | None = None,
    split: str = "group",
    seed: int = 0,
) -> dict[str, Any]:
    """Write `manifest.csv` and `dataset.json` into an existing empty folder.

    Args:
        out: the folder.
        root: the download, with `AudioWAV` and `VideoFlash`.
        splits: folder of the published list that `split="paper"` reads.
        split: "group" (actors held out), "random" (clips held out) or "paper" (a published list).
        seed: of what is drawn.

    Returns:
        What was found, see `writing.write`.

    Raises:
        ConfigError: no such policy, or published lists without `split="paper"` and the reverse.
        DataError: the download or a list is not what is described above.
    """
    lists = published_lists("crema-d", split, ("group", "random", "paper"), splits)
    base = need_folder(root, "give the CREMA-D download with --root")
    files = {
        "audio": _index(base / "AudioWAV", ".wav"),
        "video": _index(base / "VideoFlash", ".flv"),
    }
    modalities = ["audio=audio:audio", "video=video:video"]
    if lists is not None:
        rows = _published(lists, files)
        carve_validation(rows, VALIDATION, seed)
        return write(
            out, Collection("crema-d", modalities, rows, base, published=PUBLISHED, notes=NOTES)
        )
    rows, left_out = _all(files, by_actor=split == "group")
    draw_splits(rows, **SHARES[split], seed=seed)
    whole = Whole(CLIPS, len(DIRTY), f"AudioWAV and VideoFlash should hold {CLIPS:,} files each")
    return write(out, Collection("crema-d", modalities, rows, base, whole=whole, left_out=left_out))


def _index(folder: Path, ending: str) -> dict[str, str]:
    """{clip: path below the download}; one file's level is `X` where its clip's is `XX`."""
    need_folder(folder, "it comes with the CREMA-D download")
    stems = sorted(path.stem for path in folder.glob(f"*{ending}") if _CLIP.fullmatch(path.stem))
    if not stems:
        raise DataError(f"{folder}: no file is named <actor>_<sentence>_<emotion>_<level>{ending}")
    return {_whole(stem): f"{folder.name}/{stem}{ending}" for stem in stems}


def _whole(clip: str) -> str:
    return clip + "X" if clip.endswith("_X") else clip


def _row(clip: str, files: Files, split: str) -> Row:
    return {
        "id": clip,
        "audio": files["audio"].get(clip, f"AudioWAV/{clip}.wav"),
        "video": files["video"].get(clip, f"VideoFlash/{clip}.flv"),
        "label": EMOTIONS[clip.split("_")[2]],
        "split": split,
    }


def _all(files: Files, by_actor: bool) -> tuple[list[Row], list[tuple[str, str]]]:
    """Every clip that is fit for use, and the others with the reason."""
    clips = sorted({*files["audio"], *files["video"]})
    rows = [_row(clip, files, "") for clip in clips if clip not in DIRTY]
    if by_actor:
        rows = [{**row, "group": row["id"].partition("_")[0]} for row in rows]
    return rows, [(clip, DIRTY[clip]) for clip in clips if clip in DIRTY]


def _published(folder: Path, files: Files) -> list[Row]:
    need_folder(folder, "give the folder of the published list with --splits")
    names = next((names for names in LISTS if (folder / names["train"]).exists()), None)
    if names is None:
        raise DataError(
            f"{folder}: neither {' nor '.join(names['train'] for names in LISTS)} is here"
        )
    rows = []
    for split, name in names.items():
        for number, line in numbered_lines(folder / name, f"it belongs to {names['train']}"):
            rows.append(_row(_listed(folder / name, number, line), files, split))
    return rows


def _listed(path: Path, number: int, line: str) -> str:
    """The clip of a line; what the line says of the emotion must agree with the clip's name."""
    match = _LINE.fullmatch(line.strip())
    clip = _CLIP.fullmatch(_whole(match["clip"])) if match else None
    if match is None or clip is None:
        raise bad_line(path, number, line, "'clip,EMO' or 'clip.flv Name'")
    if EMOTIONS.get(match["emotion"], match["emotion"].lower()) != EMOTIONS[clip["emotion"]]:
        raise bad_line(path, number, line, f"{EMOTIONS[clip['emotion']]}, as the clip's name says")
    return clip[0]
