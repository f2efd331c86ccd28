"""Encoders, by name. A new one is one file and one entry here.

Listing the entries imports neither an encoder nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from equipoise.errors import ConfigError
from equipoise.registry import EncoderEntry, Registry

ENCODERS = Registry(
    "encoder",
    [
        EncoderEntry(
            "residual_mlp",
            "equipoise.encoders.residual_mlp:ResidualMLP",
            "fully connected layers with dropout beside a linear map, for vectors",
            kinds=("vector", "tabular", "array", "image", "audio"),
            inputs="any shape, flattened",
            shape=(512,),
            width=128,
            size=147_712,
        ),
        EncoderEntry(
            "mlp",
            "equipoise.encoders.mlp:MLP",
            "fully connected layers, for vectors",
            kinds=("vector", "tabular", "array", "image", "audio"),
            inputs="any shape, flattened",
            shape=(512,),
            width=128,
            size=98_688,
        ),
        EncoderEntry(
            "small_cnn",
            "equipoise.encoders.small_cnn:SmallCNN",
            "a few convolutions, for small images, spectrograms and frames, and for few samples",
            kinds=("image", "audio", "video"),
            inputs="(channels, height, width), or (frames, channels, height, width)",
            shape=(3, 32, 32),
            width=128,
            size=40_320,
        ),
        EncoderEntry(
            "resnet",
            "equipoise.encoders.resnet:ResNet",
            "residual network of depth 18, 34 or 50, for images, spectrograms and frames",
            paper="He et al. Deep Residual Learning for Image Recognition. CVPR 2016",
            year=2016,
            url="https://arxiv.org/abs/1512.03385",
            kinds=("image", "audio", "video"),
            inputs="(channels, height, width), or (frames, channels, height, width)",
            shape=(3, 224, 224),
            width=512,
            size=11_176_512,
        ),
        EncoderEntry(
            "textcnn",
            "equipoise.encoders.textcnn:TextCNN",
            "convolutions over words and their maxima, for texts",
            paper="Kim. Convolutional Neural Networks for Sentence Classification. EMNLP 2014",
            year=2014,
            url="https://arxiv.org/abs/1408.5882",
            kinds=("text",),
            inputs="token ids (length,)",
            shape=(56,),
            vocabulary=18_765,
            width=300,
            size=5_989_800,
        ),
        EncoderEntry(
            "gru",
            "equipoise.encoders.gru:GRU",
            "one recurrent layer, for texts and sequences of vectors",
            paper="Cho et al. Learning Phrase Representations using RNN Encoder–Decoder for "
            "Statistical Machine Translation. EMNLP 2014",
            year=2014,
            url="https://arxiv.org/abs/1406.1078",
            kinds=("text", "array"),
            inputs="token ids (length,), or vectors (length, d)",
            shape=(50, 300),
            width=128,
            size=165_120,
        ),
        EncoderEntry(
            "sequence_transformer",
            "equipoise.encoders.sequence_transformer:SequenceTransformer",
            "two transformer layers, for sequences of vectors such as those of CMU-MOSEI",
            paper="Xu et al. BalanceBenchmark: A Survey for Multimodal Imbalance Learning. 2025",
            year=2025,
            url="https://arxiv.org/abs/2502.10816",
            kinds=("array",),
            inputs="vectors (length, d)",
            shape=(50, 300),
            width=1024,
            size=17_106_944,
        ),
        EncoderEntry(
            "bert",
            "equipoise.encoders.pretrained.bert:Bert",
            "BERT-base, for texts; pretrained weights, frozen or with adapters",
            paper="Devlin et al. BERT: Pre-training of Deep Bidirectional Transformers for "
            "Language Understanding. NAACL 2019",
            year=2019,
            url="https://arxiv.org/abs/1810.04805",
            kinds=("text",),
            inputs="token ids (length,)",
            shape=(128,),
            vocabulary=30_522,
            width=768,
            size=108_891_648,
            needs="transformers",
            pretrained=True,
        ),
        EncoderEntry(
            "vit",
            "equipoise.encoders.pretrained.vit:ViT",
            "vision transformer ViT-B/16, for images and frames; pretrained weights, frozen or "
            "with adapters",
            paper="Dosovitskiy et al. An Image is Worth 16x16 Words: Transformers for Image "
            "Recognition at Scale. ICLR 2021",
            year=2021,
            url="https://arxiv.org/abs/2010.11929",
            kinds=("image", "video"),
            inputs="(channels, size, size), or (frames, channels, size, size)",
            shape=(3, 224, 224),
            width=768,
            size=85_798_656,
            needs="transformers",
            pretrained=True,
        ),
        EncoderEntry(
            "ast",
            "equipoise.encoders.pretrained.ast:AST",
            "audio spectrogram transformer, for filter banks; pretrained weights, frozen or with "
            "adapters",
            paper="Gong et al. AST: Audio Spectrogram Transformer. Interspeech 2021",
            year=2021,
            url="https://arxiv.org/abs/2104.01778",
            kinds=("audio",),
            inputs="filter banks (1, mels, frames)",
            shape=(1, 128, 1024),
            width=768,
            size=86_187_264,
            needs="transformers",
            pretrained=True,
        ),
        EncoderEntry(
            "clip-image",
            "equipoise.encoders.pretrained.clip:CLIPImage",
            "image half of CLIP ViT-B/32, for images and frames; pretrained weights, frozen or "
            "with adapters",
            paper="Radford et al. Learning Transferable Visual Models From Natural Language "
            "Supervision. ICML 2021",
            year=2021,
            url="https://arxiv.org/abs/2103.00020",
            kinds=("image", "video"),
            inputs="(channels, size, size), or (frames, channels, size, size)",
            shape=(3, 224, 224),
            width=512,
            size=87_849_216,
            needs="transformers",
            pretrained=True,
        ),
        EncoderEntry(
            "clip-text",
            "equipoise.encoders.pretrained.clip:CLIPText",
            "text half of CLIP ViT-B/32, for texts; pretrained weights, frozen or with adapters",
            paper="Radford et al. Learning Transferable Visual Models From Natural Language "
            "Supervision. ICML 2021",
            year=2021,
            url="https://arxiv.org/abs/2103.00020",
            kinds=("text",),
            inputs="token ids (length,), the largest of which ends the text",
            shape=(77,),
            vocabulary=49_408,
            width=512,
            size=63_428_096,
            needs="transformers",
            pretrained=True,
        ),
        EncoderEntry(
            "hf",
            "equipoise.encoders.pretrained.hf:HuggingFace",
            "any network of the transformers library, by hub name, folder or configuration",
            kinds=("text", "image", "video", "audio", "array"),
            inputs="token ids (length,), waveforms (samples,), (channels, height, width), or "
            "frames of it",
            needs="transformers",
            pretrained=True,
        ),
        EncoderEntry(
            "m3ae",
            "equipoise.encoders.m3ae:M3AE",
            "transformer of the multimodal masked autoencoder, for images or texts",
            paper="Geng et al. Multimodal Masked Autoencoders Learn Transferable Representations. "
            "2022",
            year=2022,
            url="https://arxiv.org/abs/2205.14204",
            code="https://github.com/young-geng/m3ae_public",
            licence="Apache-2.0",
            kinds=("image", "video", "text"),
            inputs="(channels, height, width) with sides multiples of 16, frames of it, or token "
            "ids (length,)",
            shape=(3, 256, 256),
            width=768,
            size=85_648_128,
            pretrained=True,
        ),
        EncoderEntry(
            "cav-mae",
            "equipoise.encoders.cav_mae:CAVMAE",
            "audio or visual branch of the contrastive audio-visual masked autoencoder",
            paper="Gong et al. Contrastive Audio-Visual Masked Autoencoder. ICLR 2023",
            year=2023,
            url="https://arxiv.org/abs/2210.07839",
            code="https://github.com/YuanGongND/cav-mae",
            kinds=("audio", "image", "video"),
            inputs="(1, mels, frames) of a log-mel spectrogram, (3, height, width), or frames of "
            "it",
            shape=(1, 128, 1024),
            width=768,
            size=85_721_088,
            pretrained=True,
        ),
        EncoderEntry(
            "i3d",
            "equipoise.encoders.i3d:I3D",
            "Inception-v1 inflated to three dimensions, for RGB, flow or depth clips",
            paper="Carreira and Zisserman. Quo Vadis, Action Recognition? A New Model and the "
            "Kinetics Dataset. CVPR 2017",
            year=2017,
            url="https://arxiv.org/abs/1705.07750",
            code="https://github.com/piergiaj/pytorch-i3d",
            licence="Apache-2.0",
            kinds=("video",),
            inputs="(frames, channels, height, width)",
            shape=(64, 3, 224, 224),
            width=1024,
            size=12_287_264,
            pretrained=True,
        ),
    ],
    entry=EncoderEntry,
)
"""The entries of all encoders, known before any encoder is imported."""

SMALL = 96
"""Largest side, in pixels, of a map for which a few convolutions are enough.

Of a spectrogram it is the number of bands; a few convolutions read any number of frames.
"""


ENOUGH = 5000
"""Training samples from which a ResNet may learn more from large maps than a few convolutions do.

Its 11 million parameters, drawn at random, learn a smaller number by heart.
"""


def default_encoder(kind: str, shape: tuple[int, ...], rows: int | None = None) -> str:
    """Name the encoder that a modality gets when the user names none.

    Args:
        kind: of the modality.
        shape: of one sample.
        rows: number of training samples; None for an unknown one, which counts as few.
    """
    if kind in ("text", "array") and len(shape) < 3:
        return "gru"
    if len(shape) in (3, 4):
        return "resnet" if large(kind, shape) and (rows or 0) >= ENOUGH else "small_cnn"
    return "residual_mlp"


def large(kind: str, shape: tuple[int, ...]) -> bool:
    """True for maps, or frames of them, that have more to see than a few convolutions do."""
    if len(shape) < 3:
        return False
    side = shape[1] if kind == "audio" and len(shape) == 3 else max(shape[-2:])
    return side > SMALL


def can_read(name: str, kind: str) -> bool:
    """Whether an encoder reads modalities of a kind; one that is imported may read any.

    Raises:
        ConfigError: an unknown name.
    """
    return name.startswith("import:") or kind in cast(EncoderEntry, ENCODERS[name]).kinds


def build_encoder(
    name: str, options: Mapping[str, object], shape: tuple[int, ...], vocabulary: int | None = None
) -> Any:
    """Build an encoder for samples of one shape.

    Args:
        name: a registered one, or `import:package.module.Class` for any `nn.Module`.
        options: of the encoder, from the user.
        shape: of one sample.
        vocabulary: number of token ids of a text; None for any other modality.

    Raises:
        ConfigError: an unknown name, option or value, or an encoder that cannot read the modality.
    """
    if name.startswith("import:"):
        # Imported here because listing encoders must not import torch.
        from equipoise.encoders.imported import build_imported

        return build_imported(name, options, shape, vocabulary)
    given: dict[str, object] = {"shape": shape}
    if "vocabulary" in _parameters(name):
        given["vocabulary"] = vocabulary
    elif vocabulary is not None:
        raise ConfigError(f"encoder {name!r} does not read text")
    return ENCODERS.build(name, options, **given)


def _parameters(name: str) -> Mapping[str, object]:
    """The parameters of an encoder's constructor.

    Raises:
        ConfigError: the library it is built on is not installed.
    """
    entry = cast(EncoderEntry, ENCODERS[name])
    try:
        return entry.parameters()
    except ImportError as error:
        if not entry.needs:
            raise
        raise ConfigError(
            f"encoder {name!r} needs {error.name}, which is not installed; "
            f"pip install 'equipoise[{entry.needs}]'"
        ) from None


def starts_unlike_published(name: str, options: Mapping[str, object]) -> bool:
    """True for an encoder that is used with pretrained weights and starts from random ones.

    It was published with weights, or the settings leave a place for them. A network of a shape of
    its own, as an option `config` describes it, has none to take.

    Args:
        name: of the encoder.
        options: that the settings give.
    """
    if name not in ENCODERS or "config" in options or options.get("weights") is not None:
        return False
    entry = ENCODERS[name]
    assert isinstance(entry, EncoderEntry)
    return "weights" in options or entry.pretrained
