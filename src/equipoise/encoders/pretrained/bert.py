"""BERT, for texts.

Devlin et al. BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding.
NAACL 2019.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from transformers import BertConfig, BertModel

from equipoise.encoders.parts.text import masked_mean, text_mask
from equipoise.encoders.pretrained.text import PretrainedText


class Bert(PretrainedText):
    """BERT-base without its pooler. The options are those of `Pretrained`.

    Pooling "cls" (the usual one) takes the last state of the first token, as IGM and BSS do; "mean"
    averages the tokens.
    """

    poolings = ("cls", "mean")
    configuration_class = BertConfig
    network_class = BertModel
    given: ClassVar = {"add_pooling_layer": False}

    def pooled(self, inputs: Tensor) -> Tensor:
        """Token ids (B, L) → (B, d)."""
        mask = text_mask(inputs)
        states: Tensor = self.network(
            input_ids=inputs, attention_mask=mask.long()
        ).last_hidden_state
        return states[:, 0] if self.pooling == "cls" else masked_mean(states, mask)
