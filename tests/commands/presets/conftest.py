"""Miniature copies of the real downloads, in their real layouts and formats."""

import csv
import json
import pickle

import numpy as np
import pytest
import soundfile
from PIL import Image

from equipoise.data.datasets.kinetics_sounds import CLASSES as SOUNDS
from videos import write_video

DOWNLOADS = {}
"""{data set: function of a `Files` that makes the download and returns the flags of `prepare`}."""

FEATURES = "iemocap --features"  # not a data set of its own


def download(name):
    return lambda function: DOWNLOADS.setdefault(name, function)


class Files:
    """Small files below one folder."""

    def __init__(self, root):
        self.root = root
        self.rng = np.random.default_rng()
        self.write_video = write_video

    def at(self, name):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def text(self, name, *lines):
        self.at(name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def sound(self, name, rate=16000, seconds=0.4):
        soundfile.write(self.at(name), 0.1 * self.rng.standard_normal(int(rate * seconds)), rate)

    def video(self, name, frames=12, sound=False):
        noise = 0.1 * self.rng.standard_normal((2, 48000)) if sound else None
        self.write_video(self.at(name), frames=frames, size=(48, 32), sound=noise)

    def picture(self, name, size=(40, 30), mode="RGB"):
        shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
        Image.fromarray(self.rng.integers(0, 256, shape, dtype=np.uint8), mode).save(self.at(name))

    def array(self, name, *shape):
        np.save(self.at(name), self.rng.standard_normal(shape).astype(np.float32))


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


@pytest.fixture
def miniature(files, command):
    """Make a download and prepare it; returns the folder and the content of its dataset.json."""

    def make(name, *more):
        flags = " ".join([*DOWNLOADS[name](files), *more])
        answer = command(f"prepare {name.split()[0]} {flags} --out data/mini")
        assert answer.code == 0, answer.err
        folder = files.root / "data/mini"
        return folder, json.loads((folder / "dataset.json").read_text())

    return make


@pytest.fixture
def tokenizer(files):
    """A folder as `bert-base-uncased` is one, of few word pieces."""
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "so",
        "nice",
        "apple",
        "pie",
        "said",
        "##s",
        "!",
        ".",
    ]
    files.text("tokenizer/vocab.txt", *words)
    files.text("tokenizer/config.json", '{"model_type": "bert"}')
    return files.root / "tokenizer"


@download("crema-d")
def crema_d(files):
    for actor in range(1080, 1086):
        for emotion in ("ANG", "HAP"):
            files.sound(f"crema/AudioWAV/{actor}_TIE_{emotion}_XX.wav")
            files.video(f"crema/VideoFlash/{actor}_TIE_{emotion}_XX.flv")
    return ["--root crema"]


@download("kinetics-sounds")
def kinetics_sounds(files):
    for part, count in (("train", 4), ("val", 2), ("test", 2)):
        lines = ["label,youtube_id,time_start,time_end,split"]
        for k in range(count):
            files.video(
                f"ks/{part}/{part:>9}{k:02d}_000007_000017.mp4".replace(" ", "-"), sound=True
            )
            lines.append(f"{SOUNDS[k % 2]},{part:->9}{k:02d},7,17,{part}")
        files.text(f"ks/annotations/{part}.csv", *lines)
    return ["--root ks"]


@download("vggsound")
def vggsound(files):
    lines = []
    for k in range(8):
        files.video(f"vgg/video/-_vgg_clip{k}_000030.mp4", sound=True)
        lines.append(
            f'-_vgg_clip{k},30,"{("bird chirping, tweeting", "bowling")[k % 2]}",'
            f"{'test' if k > 5 else 'train'}"
        )
    files.text("vgg/vggsound.csv", *lines)
    return ["--root vgg"]


@download("food-101")
def food101(files):
    for split, count in (("train", 4), ("test", 2)):
        with files.at(f"food/texts/{split}_titles.csv").open("w", newline="") as file:
            for label in ("apple_pie", "club_sandwich"):
                for k in range(count):
                    files.picture(f"food/images/{split}/{label}/{label}_{split}{k}.jpg")
                    csv.writer(file).writerow(
                        [f"{label}_{split}{k}.jpg", f"so nice, {label}!", label]
                    )
    return ["--root food", "--validation 2"]


@download("mvsa-single")
def mvsa_single(files):
    lines = ["ID\ttext,image"]
    for k in range(1, 19):
        files.text(f"mvsa/data/{k}.txt", f"so nice {k} #pie")
        files.picture(f"mvsa/data/{k}.jpg")
        lines.append(f"{k}\t" + ",".join(2 * [("positive", "negative")[k % 2]]))
    files.text("mvsa/labelResultAll.txt", *lines)
    return ["--root mvsa"]


def _dialogues(files):
    for session in range(1, 6):
        name, judged, spoken = f"Ses0{session}F_impro01", ["% header", ""], []
        for k, emotion in enumerate(("ang", "exc")):
            turn, start, end = f"{name}_F00{k}", 0.1 + 0.9 * k, 0.8 + 0.9 * k
            judged += [
                f"[{start:.4f} - {end:.4f}]\t{turn}\t{emotion}\t[2.5, 2.5, 2.5]",
                "C-E2:\tNeutral;\t()",
                "",
            ]
            spoken.append(f"{turn} [{start:08.4f}-{end:08.4f}]: I said so.")
            yield session, name, turn
        files.text(f"iemocap/Session{session}/dialog/EmoEvaluation/{name}.txt", *judged)
        files.text(f"iemocap/Session{session}/dialog/transcriptions/{name}.txt", *spoken)
        files.video(f"iemocap/Session{session}/dialog/avi/DivX/{name}.avi", frames=30)


@download("iemocap")
def iemocap(files):
    for session, name, turn in _dialogues(files):
        files.sound(f"iemocap/Session{session}/sentences/wav/{name}/{turn}.wav")
    return ["--root iemocap"]


@download(FEATURES)
def iemocap_features(files):
    for _, _, turn in _dialogues(files):
        files.array(f"features/wav2vec-large-c-UTT/{turn}.npy", 512)
        files.array(f"features/manet_UTT/{turn}/compress_F.npy", 1024)
        files.array(f"features/deberta-large-4-UTT/{turn}.npy", 1024)
    return ["--root iemocap", "--features features"]


@download("sarcasm")
def sarcasm(files):
    parts = {"train": 6, "valid2": 2, "test2": 2}
    posts = {
        part: [[f"{part}{k}", "so nice ! <user>", k % 2] for k in range(n)]
        for part, n in parts.items()
    }
    words = [
        [post[0], "apple", "pie", "red", "like", "nice"] for part in posts.values() for post in part
    ]
    for part, found in posts.items():
        files.text(
            f"sarcasm/text/{part}.txt", *(post + post[2:] * (part != "train") for post in found)
        )
        for post in found:
            files.picture(f"pictures/{post[0]}.jpg")
    files.text("sarcasm/extract/extract_all", *words)
    return ["--root sarcasm"]


@download("twitter2015")
def twitter2015(files):
    for part, count in (("train", 6), ("dev", 2), ("test", 2)):
        rows = [
            f"{k + 1}\t{k % 2}\t{part}{k}.jpg\tso $T$ is nice !\tapple pie" for k in range(count)
        ]
        files.text(
            f"twitter/{part}.tsv", "index\t#1 Label\t#2 ImageID\t#3 String\t#3 String", *rows
        )
        for k in range(count):
            files.picture(f"pictures/{part}{k}.jpg")
    return ["--root twitter"]


@download("nvgesture")
def nvgesture(files):
    for part, subjects in (("train", (1, 2, 3)), ("test", (5,))):
        lines = []
        for subject in subjects:
            for label in (9, 25):
                place = f"Video_data/class_{label:02d}/subject{subject}_r0"
                lines.append(
                    f"path:./{place} depth:sk_depth:3:83 color:sk_color:3:83 "
                    f"duo_left:duo_left:1:94 label:{label} "
                )
                for sensor in ("sk_color", "sk_depth"):
                    files.video(f"nv/{place}/{sensor}.avi", frames=90)
                files.array(f"flow/{part}/{len(lines) - 1}.npy", 16, 24, 2, 80)
        files.text(f"nv/nvgesture_{part}_correct_cvpr2016.lst", *lines)
    return ["--root nv", "--flow flow"]


@download("ucf-101")
def ucf101(files):
    lists = {"train": [], "test": []}
    for label in ("ApplyEyeMakeup", "YoYo"):
        for group in range(1, 6):
            clip = f"v_{label}_g{group:02d}_c01"
            files.video(f"ucf/UCF-101/{label}/{clip}.avi")
            for direction in "uv":
                for frame in range(1, 6):
                    files.picture(
                        f"ucf/tvl1_flow/{direction}/{clip}/frame{frame:06d}.jpg", mode="L"
                    )
            lists["train" if group > 1 else "test"].append(f"{label}/{clip}.avi")
    files.text("ucf/ucfTrainTestlist/classInd.txt", "1 ApplyEyeMakeup", "2 YoYo")
    for part, names in lists.items():
        files.text(
            f"ucf/ucfTrainTestlist/{part}list01.txt", *(n + " 1" * (part == "train") for n in names)
        )
    return ["--root ucf"]


@download("cmu-mosei")
def cmu_mosei(files):
    parts = {}
    for part, count in (("train", 8), ("valid", 4), ("test", 4)):
        sizes = {"text": (50, 300), "audio": (60, 74), "vision": (60, 35)}
        parts[part] = {m: files.rng.standard_normal((count, *size)) for m, size in sizes.items()}
        parts[part]["labels"] = np.resize([-1.5, 2.0], (count, 1, 1))
        parts[part]["id"] = np.array(
            [[f"{part}{k}", "0.5", "1.5"] for k in range(count)], dtype=object
        )
    files.at("mosei_senti_data.pkl").write_bytes(pickle.dumps(parts))
    return ["--root mosei_senti_data.pkl"]


def _recordings(files):
    for speaker in ("george", "jackson", "lucas", "nicolas"):
        for digit in range(2):
            for take in range(2):
                files.sound(f"fsdd/recordings/{digit}_{speaker}_{take}.wav", rate=8000)


@download("fsdd")
def fsdd(files):
    _recordings(files)
    return ["--root fsdd"]


@download("av-digits")
def av_digits(files):
    _recordings(files)
    return ["--fsdd fsdd"]


@download("multiple-features")
def multiple_features(files):
    for view, count in {"pix": 240, "fou": 76, "fac": 216, "zer": 47, "kar": 64, "mor": 6}.items():
        rows = files.rng.integers(0, 99, (40, count)).tolist()
        files.text(f"mfeat/mfeat-{view}", *[" ".join(map(str, row)) for row in rows] * 50)
    return ["--root mfeat"]
