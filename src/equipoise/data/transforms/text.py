"""Transforms of text into token ids, (length,).

Id 0 is padding, so that encoders need no mask beside the ids.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from equipoise.checks import flag, integer, require
from equipoise.errors import ConfigError
from equipoise.quiet import quiet

PADDING = 0
UNKNOWN = 1
_WORD = re.compile(r"<\w+>|\w+(?:['’]\w+)*|[^\w\s]")


def words_of(text: str) -> list[str]:
    """Split a text into lower-case words, `<placeholders>` and single punctuation marks."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class Words:
    """Words of a vocabulary that is learned from the training rows, so nothing is downloaded.

    Attributes:
        length: number of tokens; a longer text is cut, a shorter one padded.
        minimum: occurrences that a word needs in the training rows; all rarer words have one id.
        size: largest number of words in the vocabulary.
    """

    length: int = 128
    minimum: int = 2
    size: int = 30000
    follows: ClassVar = frozenset({"length"})
    learned: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(
            "text",
            integer("length", self.length, 1),
            integer("minimum", self.minimum, 1),
            integer("size", self.size, 1),
        )

    def learn(self, texts: Iterable[str]) -> list[str]:
        """Learn the vocabulary: the most frequent word first, equally frequent ones by alphabet."""
        counts = Counter(word for text in texts for word in words_of(text))
        known = [word for word, count in counts.items() if count >= self.minimum]
        return sorted(known, key=lambda word: (-counts[word], word))[: self.size]

    def tokens(self, vocabulary: Sequence[str]) -> WordTokens:
        """Make the function that turns texts into ids."""
        return WordTokens(self.length, vocabulary)


class WordTokens:
    """The function that turns texts into ids: from 2 for known words, 1 for every other word.

    Args:
        length: number of ids of a text.
        vocabulary: words, of which number k has id k + 2.
    """

    def __init__(self, length: int, vocabulary: Sequence[str]) -> None:
        self.length = length
        self.ids = {word: number for number, word in enumerate(vocabulary, UNKNOWN + 1)}
        self.size = len(self.ids) + 2

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """int64 (B, length)."""
        block = np.full((len(texts), self.length), PADDING, dtype=np.int64)
        for row, text in zip(block, texts, strict=True):
            found = [self.ids.get(word, UNKNOWN) for word in words_of(text)[: self.length]]
            row[: len(found)] = found
        return block


@dataclass(frozen=True)
class Pieces:
    """Word pieces of a pretrained tokenizer, such as that of BERT or CLIP.

    Attributes:
        tokenizer: a name on the Hugging Face hub, such as bert-base-uncased, or a local folder.
        length: number of tokens; a longer text is cut, a shorter one padded.
        special: add the special tokens ([CLS] and [SEP], or start and end of text).
    """

    tokenizer: str = "bert-base-uncased"
    length: int = 128
    special: bool = True
    follows: ClassVar = frozenset({"length"})
    learned: ClassVar[bool] = False

    def __post_init__(self) -> None:
        named = isinstance(self.tokenizer, str)
        require(
            "text",
            ("tokenizer", named, "a name or a folder", self.tokenizer),
            integer("length", self.length, 1),
            flag("special", self.special),
        )

    def tokens(self, vocabulary: Sequence[str]) -> PieceTokens:
        """Make the function that turns texts into ids."""
        return PieceTokens(self)


class PieceTokens:
    """The function that turns texts into ids of a pretrained tokenizer.

    If the tokenizer's padding has another id than 0, the two ids are swapped.

    Args:
        settings: of the tokenizer.

    Attributes:
        longest: number of tokens that the tokenizer's network reads at most; some tokenizers tell
            a number that is far too large for any network.

    Raises:
        ConfigError: transformers is not installed, or there is no such tokenizer.
    """

    def __init__(self, settings: Pieces) -> None:
        self.settings = settings
        self.tokenizer = load_tokenizer(settings.tokenizer)
        self.size = len(self.tokenizer)
        self.longest = int(self.tokenizer.model_max_length)
        self.swapped = own_padding(self.tokenizer.pad_token_id, self.tokenizer.eos_token_id)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """int64 (B, length)."""
        block = np.full((len(texts), self.settings.length), PADDING, dtype=np.int64)
        coded = self.tokenizer(
            list(texts),
            add_special_tokens=self.settings.special,
            truncation=True,
            max_length=self.settings.length,
        )["input_ids"]
        for row, found in zip(block, coded, strict=True):
            row[: len(found)] = [self.swapped if token == PADDING else token for token in found]
        return block

    def count(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text, before any is cut."""
        coded = self.tokenizer(list(texts), add_special_tokens=self.settings.special)["input_ids"]
        return [len(found) for found in coded]


def own_padding(pad: int | None, end: int | None) -> int:
    """The id that is swapped with 0: the padding of a tokenizer.

    RoBERTa's padding is 1, for example, and its 0 is a real token. A tokenizer without padding, or
    with the end of the text as padding as in CLIP, gives 0, so that nothing is swapped.

    Args:
        pad: id of the padding.
        end: id of the end of a text.
    """
    return PADDING if pad is None or pad == end else pad


def load_tokenizer(name: str) -> Any:
    """Load a fast tokenizer by its name or from a local folder. Code that comes with it never runs.

    Raises:
        ConfigError: transformers is not installed, there is no such tokenizer, or it is damaged.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise ConfigError(
            "text: the tokenizer needs transformers; pip install 'equipoise[transformers]'"
        ) from None
    try:
        # The hub's client logs every attempt; the error below is enough.
        with quiet("huggingface_hub"), quiet("transformers"):
            # Without the word about trust, the library asks on the terminal.
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
            tokenizer(["a word"])  # some damage is met in use only
    except Exception as error:  # a damaged file raises errors of any type, of Rust code too
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(
            f"text: cannot load the tokenizer {name!r} ({lines[0]}); give a name or a folder"
        ) from None
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        # The library makes an empty one where the file of the vocabulary is missing.
        raise ConfigError(
            f"text: the tokenizer {name!r} knows no word; its folder lacks tokenizer.json, or the "
            "file of its vocabulary"
        )
    return tokenizer
