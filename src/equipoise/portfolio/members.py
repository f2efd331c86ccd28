"""The portfolio: what `equipoise auto` tries, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NETWORK = "network"
"""The family of members that the engine trains; scikit-learn fits those of all other families."""

NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "balanced": {},
    "joint-uniform": {},
    "mla": {},
    "late": {},
    "qmf": {},
    "joint": {},
}
"""{method: its options}, the most promising first. A method that is not registered is left out."""

WHOLE: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "linear": ("linear", {"scaling": "columns", "C": 30.0}),
    "linear-rows": ("linear", {"scaling": "rows", "C": 30.0}),
    "kernel": ("kernel", {"scaling": "columns", "C": 3.0}),
    "extra-trees": ("extra_trees", {"scaling": "none", "n_estimators": 150}),
    "kernel-rows": ("kernel", {"scaling": "rows", "C": 3.0}),
    "linear-weak": ("linear", {"scaling": "columns", "C": 300.0}),
    "linear-strong": ("linear", {"scaling": "columns", "C": 3.0}),
    "linear-rows-weak": ("linear", {"scaling": "rows", "C": 300.0}),
    "forest": ("forest", {"scaling": "none", "n_estimators": 150, "min_samples_leaf": 2}),
    "kernel-weak": ("kernel", {"scaling": "columns", "C": 30.0}),
    "boosting": ("boosting", {"scaling": "none", "max_iter": 60, "max_leaf_nodes": 15}),
}
"""{name: (family, options)} on all modalities side by side, the most promising first."""

SINGLE = (
    "linear",
    "linear-rows",
    "kernel",
    "extra-trees",
    "kernel-rows",
    "linear-weak",
    "kernel-weak",
)
"""Those that are fitted to each modality alone, too, and averaged over the modalities."""

EARLY = 4
"""Entries of `WHOLE` that are tried before the first network."""


@dataclass(frozen=True)
class Member:
    """One candidate.

    Attributes:
        name: unique, and fit for a file.
        family: decides who fits it.
        views: the modalities that it reads.
        options: of the estimator, or of the method under "method".
        late: it is one of a set of members that are averaged over the modalities; the name of
            that average.
    """

    name: str
    family: str
    views: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    late: str | None = None

    def sees(self, present: Mapping[str, np.ndarray]) -> np.ndarray:
        """bool (N,), True where one of its modalities is present."""
        found: np.ndarray = np.any([present[m] for m in self.views], axis=0)
        return found


def portfolio(modalities: Sequence[str], methods: Sequence[str]) -> list[Member]:
    """All candidates, the most promising first.

    Args:
        modalities: of the data.
        methods: the registered ones.
    """
    views = tuple(modalities)
    networks = [
        Member(f"network-{name}", NETWORK, views, {"method": {"name": name, **options}})
        for name, options in NETWORKS.items()
        if name in methods
    ]
    rounds: list[list[Member]] = []
    for name, (family, options) in WHOLE.items():
        members = []
        if len(views) > 1 and name in SINGLE:
            members += [
                Member(f"{name}-of-{number}", family, (view,), options, f"late-{name}")
                for number, view in enumerate(views)
            ]
        members.append(Member(name, family, views, options))
        rounds.append(members)
    # The first rounds take a moment, and networks most of the time; then they take turns.
    ordered = [member for members in rounds[:EARLY] for member in members]
    for number in range(max(len(rounds) - EARLY, len(networks))):
        ordered += networks[number : number + 1]
        ordered += [member for members in rounds[EARLY + number :][:1] for member in members]
    return ordered
