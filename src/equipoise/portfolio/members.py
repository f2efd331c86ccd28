"""The portfolio: what `equipoise auto` tries, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NETWORK = "network"
"""The family of members that the engine trains; scikit-learn fits those of all other families."""

NETWORKS: Mapping[str, tuple[int, Mapping[str, Any]]] = {
    "balanced": (1, {}),
    "joint-uniform": (2, {}),
    "mla": (2, {}),
    "late": (3, {}),
    "qmf": (3, {}),
    "joint": (3, {}),
}
"""{method: (wave, its options)}, the most promising first. A method that is not registered is left
out."""

WHOLE: Mapping[str, tuple[int, str, Mapping[str, Any]]] = {
    "linear": (0, "linear", {"scaling": "columns", "C": 30.0}),
    "linear-rows": (0, "linear", {"scaling": "rows", "C": 30.0}),
    "kernel": (0, "kernel", {"scaling": "columns", "C": 3.0}),
    "linear-weak": (0, "linear", {"scaling": "columns", "C": 300.0}),
    "kernel-weak": (0, "kernel", {"scaling": "columns", "C": 100.0}),
    "linear-rows-weak": (0, "linear", {"scaling": "rows", "C": 300.0}),
    "kernel-rows": (0, "kernel", {"scaling": "rows", "C": 3.0}),
    "extra-trees": (1, "extra_trees", {"scaling": "none", "n_estimators": 100}),
    "linear-strong": (2, "linear", {"scaling": "columns", "C": 3.0}),
    "linear-rows-strong": (2, "linear", {"scaling": "rows", "C": 3.0}),
    "kernel-rows-weak": (2, "kernel", {"scaling": "rows", "C": 30.0}),
    "forest": (2, "forest", {"scaling": "none", "n_estimators": 100, "min_samples_leaf": 2}),
    "boosting": (3, "boosting", {"scaling": "none", "max_iter": 60, "max_leaf_nodes": 15}),
}
"""{name: (wave, family, options)} on all modalities side by side; where they are several, a member
of each kind reads each of them alone, too. The cheap ones come first, in every time limit."""

ONLY_WHOLE = ("boosting",)
"""Those that are too slow to be fitted to each modality."""


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
        wave: members of a later wave wait for those of an earlier one.
    """

    name: str
    family: str
    views: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    late: str | None = None
    wave: int = 0

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
    members: list[Member] = []
    for name, (wave, family, options) in WHOLE.items():
        if len(views) > 1 and name not in ONLY_WHOLE:
            members += [
                Member(f"{name}-of-{number}", family, (view,), options, f"late-{name}", wave)
                for number, view in enumerate(views)
            ]
        members.append(Member(name, family, views, options, wave=wave))
    networks = [
        Member(f"network-{name}", NETWORK, views, {"method": {"name": name, **options}}, wave=wave)
        for name, (wave, options) in NETWORKS.items()
        if name in methods
    ]
    return sorted([*networks, *members], key=lambda member: member.wave)
