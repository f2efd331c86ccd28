"""Steps between a store and a batch."""

import random
from collections import Counter

import numpy as np

from equipoise.data.table.steps import TokenIds
from equipoise.data.transforms.text import Words


def test_a_text_is_split_once_and_reads_alike_in_every_epoch():
    texts = [" ".join(random.choices("abcdefgh", k=random.randint(0, 9))) for _ in range(40)]
    tokens = Words(length=6, minimum=1).tokens(list("abcdefg"))
    split = Counter()

    class Counted:
        size = tokens.size

        def __call__(self, chosen):
            split.update(chosen)
            return tokens(chosen)

    step = TokenIds(Counted())
    for _ in range(3):
        order = random.sample(texts, len(texts))
        for start in range(0, len(order), 7):
            batch = order[start : start + 7]
            assert np.array_equal(step(np.array(batch, dtype=object), None), tokens(batch))
    assert split == Counter(set(texts))
