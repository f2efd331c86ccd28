"""The network: an encoder per modality and a head."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from operator import itemgetter
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from equipoise.batch import Batch, Fusion, Output, WhenRead, map_input
from equipoise.errors import ConfigError, TrainingError, suggest
from equipoise.evaluating import evaluating
from equipoise.heads.base import Head
from equipoise.heads.parts.presence import Presence, complete_in

T = TypeVar("T")


def _full(tensor: Tensor) -> Tensor:
    """Convert a tensor from autocast's half precision to float32.

    Losses and statistics are never computed in half precision.
    """
    return tensor.float() if tensor.dtype is torch.bfloat16 else tensor


def _normalisations(encoder: nn.Module) -> list[nn.Module]:
    """The batch normalisation layers of an encoder."""
    return [m for m in encoder.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


class ParameterGroup(NamedTuple):
    """Parameters that belong to one modality alone."""

    encoder: tuple[nn.Parameter, ...]
    head: tuple[nn.Parameter, ...]


class Model(nn.Module):
    """Encoders and a head.

    Args:
        encoders: {modality: module}; each maps (B, …) to (B, width) and has an attribute `width`.
            Of a series with a mask it reads the padded values, unless its attribute `reads_mask` is
            true; then it gets {"values": (B, L, d), "mask": bool (B, L)}.
        head: made for the same modalities in the same order.
        precision: "float32" or "bfloat16". With "bfloat16" encoders and head run in autocast, and
            every tensor of the `Output` is converted to float32.

    Raises:
        ConfigError: encoders and head disagree on the modalities, or two modalities share a
            parameter.
    """

    def __init__(
        self, encoders: Mapping[str, nn.Module], head: Head, precision: str = "float32"
    ) -> None:
        super().__init__()
        if tuple(encoders) != head.modalities:
            raise ConfigError(
                f"the head is made for {head.modalities}, the encoders for {tuple(encoders)}"
            )
        self.encoders = nn.ModuleDict(encoders)
        self.head = head
        self.precision = precision
        # In a list: setting an attribute of a module takes longer than a small layer.
        self._moves = [0]
        # The parameters are partitioned into one group per modality and the shared ones. A
        # parameter in two groups would move when a modality trains that does not own it.
        owners: dict[int, str] = {}
        for modality in encoders:
            for parameter in self.encoders[modality].parameters():
                if owners.setdefault(id(parameter), modality) != modality:
                    raise ConfigError(
                        f"modalities {owners[id(parameter)]!r} and {modality!r} share a parameter"
                    )

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.head.modalities

    def moved(self) -> None:
        """Note that an optimiser has changed the weights: outputs can no longer be completed."""
        self._moves[0] += 1

    def group(self, modality: str) -> ParameterGroup:
        """The parameters of one modality: its encoder and its block of the head.

        Raises:
            ConfigError: unknown modality.
        """
        self._check([modality])
        block = self.head.blocks[modality].parameters() if modality in self.head.blocks else ()
        return ParameterGroup(tuple(self.encoders[modality].parameters()), tuple(block))

    @property
    def shared(self) -> tuple[nn.Parameter, ...]:
        """The head's parameters outside all blocks, which serve every modality.

        Together with `group` of every modality this is each parameter of the model exactly once.
        """
        owned = {id(p) for block in self.head.blocks.values() for p in block.parameters()}
        return tuple(p for p in self.head.parameters() if id(p) not in owned)

    def encode(self, batch: Batch, only: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Encode a batch.

        Args:
            batch: the samples.
            only: modalities to encode; None for all.

        Returns:
            Features {modality: (B, d_m)}, with zeros in the rows that lack the modality. A modality
            without a single present row is left out.
        """
        features = {}
        for modality in self._check(only):
            count = batch.counts[modality]  # on the host, so that no step waits for the device
            if count == 0:
                continue
            with self._autocast(batch.label.device):
                if count > 1:
                    features[modality] = self._encode_present(modality, batch)
                    continue
                # The variance of a single row is zero.
                with evaluating(*_normalisations(self.encoders[modality])):
                    features[modality] = self._encode_present(modality, batch)
        return features

    def _autocast(self, device: torch.device) -> AbstractContextManager[None]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(device.type, torch.bfloat16)

    def _encode_present(self, modality: str, batch: Batch) -> Tensor:
        """Features (B, d_m) of one modality, whose encoder reads the present rows only.

        The zero rows of absent modalities are filler: they must not enter batch normalisation or
        other statistics of an encoder.
        """
        encoder = self.encoders[modality]
        inputs = batch.inputs[modality]
        if isinstance(inputs, Mapping) and "mask" in inputs:
            inputs = inputs if getattr(encoder, "reads_mask", False) else inputs["values"]
        if batch.counts[modality] == len(batch):
            return _full(encoder(inputs))
        rows = batch.present[modality].nonzero(as_tuple=True)[0]
        shown = _full(encoder(map_input(inputs, itemgetter(rows))))
        return shown.new_zeros(len(batch), shown.shape[1]).index_copy(0, rows, shown)

    def forward(self, batch: Batch, only: Iterable[str] | None = None) -> Output:
        """Run the network.

        Args:
            batch: the samples; absent modalities are skipped row by row.
            only: run these modalities as if no other existed: no other encoder runs and no other
                input is read. None for all.

        Returns:
            An `Output` whose features and logits hold the modalities that were run.
        """
        chosen = self._check(only)
        complete = {m for m in chosen if batch.counts[m] == len(batch)}
        return self.read(self.encode(batch, chosen), Presence(batch.present, complete), chosen)

    def read(
        self,
        features: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
        only: Iterable[str] | None = None,
    ) -> Output:
        """Run the head on given features.

        Args:
            features: {modality: (B, d_m)}, as `encode` returns them.
            present: {modality: bool (B,)} of every modality.
            only: modalities to read; the others count as absent in every row. None for all.

        Returns:
            An `Output` whose features and logits hold the modalities that were read. In training,
            logits and weights are computed when they are first read, which must be before the
            optimiser moves.

        Raises:
            TrainingError: by the output, if it is first read later.
        """
        chosen = self._check(only)
        shown = Presence(
            {
                m: present[m] if m in chosen else torch.zeros_like(present[m])
                for m in self.modalities
            },
            complete_in(present) & {*chosen},
        )
        given = {m: features[m] for m in chosen if m in features}
        output: Output = self.head(given, shown)
        device = next(iter(present.values())).device
        moves = self._moves[0]
        graph = torch.is_grad_enabled()

        def computed(compute: Callable[[], T]) -> T:
            """Compute as if `read` had done it, whatever the caller has switched off since."""
            if self._moves[0] != moves:
                raise TrainingError(
                    "logits of a batch were first asked for after the optimiser moved the weights; "
                    "a method reads from an output all that it needs before ctx.update()"
                )
            if self.precision == "float32" and torch.is_grad_enabled() == graph:
                return compute()
            with self._autocast(device), torch.set_grad_enabled(graph):
                return compute()

        def fuse() -> Fusion:
            fused, weights = computed(lambda: (output.fused, output.weights))
            return _full(fused), None if weights is None else _full(weights)

        result = Output(
            {m: given[m] if m in given else self._blank(m, present) for m in chosen},
            WhenRead(chosen, lambda m: _full(computed(lambda: output.logits[m]))),
            fuse,
        )
        if not (self.training and graph):
            # Evaluation mode, and a mode without gradients, end before the output is read.
            tuple(result.logits.values())
            result.fused  # noqa: B018 (reading it computes it)
        return result

    def _blank(self, modality: str, present: Mapping[str, Tensor]) -> Tensor:
        """Features (B, d_m) of a modality that no row has."""
        reference = next(self.parameters())
        return reference.new_zeros(len(present[modality]), self.head.widths[modality])

    def _check(self, only: Iterable[str] | None) -> tuple[str, ...]:
        """The chosen modalities; all of them for None.

        Raises:
            ConfigError: unknown modality.
        """
        if only is None:
            return self.modalities
        chosen = tuple(only)
        for modality in chosen:
            if modality not in self.encoders:
                raise ConfigError(f"no modality {modality!r}{suggest(modality, self.modalities)}")
        return chosen
