"""A copy of modules to go back to."""

from __future__ import annotations

import torch
from torch import nn

from equipoise.methods.parts.snapshot import Snapshot


def test_goes_back_to_what_was_taken_last(seed: int) -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    other = nn.Linear(2, 2)
    snapshot = Snapshot(module, other)
    states = []
    for _ in range(2):
        with torch.no_grad():
            for parameter in (*module.parameters(), *other.parameters()):
                parameter.normal_()
        module(torch.randn(5, 3))
        states.append(
            {
                k: v.clone()
                for m in (module, other)
                for k, v in m.state_dict(prefix=f"{id(m)}").items()
            }
        )
        if len(states) == 1:
            snapshot.take()
    snapshot.restore()
    now = {k: v for m in (module, other) for k, v in m.state_dict(prefix=f"{id(m)}").items()}
    assert all(torch.equal(now[k], states[0][k]) for k in now)
    assert any(not torch.equal(states[0][k], states[1][k]) for k in now)


def test_only_the_copies_are_saved(seed: int) -> None:
    module = nn.Linear(3, 2)
    first, second = Snapshot(module), Snapshot(nn.Linear(3, 2))
    assert not list(first.parameters())
    second.load_state_dict(first.state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(second.buffers(), module.parameters(), strict=True)
    )
