"""Random numbers per sample: any number of ranks and any order of names see the same ones."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from equipoise.methods.parts.draws import sample_uniform


def draw(seed: int, names: list[str], rows: list[int], rank: int = 0) -> dict[str, torch.Tensor]:
    """The numbers that one rank of several draws, with these rows of the batch on each."""
    runtime = SimpleNamespace(rank=rank, objects=lambda value: rows)
    ctx = SimpleNamespace(rng=torch.Generator().manual_seed(seed), runtime=runtime)

    class Share:
        label = torch.zeros(rows[rank])

        def __len__(self) -> int:
            return rows[rank]

    return sample_uniform(names, Share(), ctx)  # type: ignore[arg-type]


def test_ranks_share_the_numbers_of_one_process(seed: int) -> None:
    whole = draw(seed, ["a", "b"], [11])
    parts = [draw(seed, ["a", "b"], [4, 0, 7], rank) for rank in range(3)]
    for name in whole:
        assert torch.equal(torch.cat([part[name] for part in parts]), whole[name])


def test_names_have_streams_of_their_own(seed: int) -> None:
    forward, backward = draw(seed, ["a", "b"], [9]), draw(seed, ["b", "a"], [9])
    assert all(torch.equal(forward[m], backward[m]) for m in "ab")
    assert not torch.equal(forward["a"], forward["b"])
    assert not torch.equal(draw(seed + 1, ["a"], [9])["a"], forward["a"])


def test_numbers_are_uniform(seed: int) -> None:
    drawn = draw(seed, ["a"], [20_000])["a"]
    assert float(drawn.min()) >= 0
    assert float(drawn.max()) < 1
    shares = torch.histc(drawn, 10, 0, 1) / len(drawn)
    assert float((shares - 0.1).abs().max()) < 6 * 0.3 / 20_000**0.5
