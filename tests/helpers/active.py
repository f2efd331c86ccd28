"""Options under which methods that act between epochs do so at once."""

from __future__ import annotations

ACTIVE: list[tuple[str, dict[str, object]]] = [
    ("smv-sample", {"warm_up": 0}),
    ("smv-modality", {"warm_up": 0.25, "alpha": 3.0}),
    ("relearning", {"every": 0.25, "times": 5}),
    ("bss", {"schedule": "curriculum", "grow": 3}),
    ("inforeg", {"smoothing": 1, "threshold": 0.0, "unimodal_weight": 0.3}),
    ("aug", {"every": 0.25, "residual": "sum"}),
    ("mbsd", {"divergence": "true-class", "unimodal_weight": 0.5}),
]
