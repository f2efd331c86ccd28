"""Options under which methods that act between epochs do so at once."""

from __future__ import annotations

ACTIVE: list[tuple[str, dict[str, object]]] = [
    ("smv-sample", {"warm_up": 0}),
    ("smv-modality", {"warm_up": 1, "alpha": 3.0}),
    ("relearning", {"every": 1, "times": 5}),
    ("bss", {"schedule": "curriculum", "grow": 3}),
    ("inforeg", {"smoothing": 1, "threshold": 0.0, "unimodal_weight": 0.3}),
    ("aug", {"every": 1, "residual": "sum"}),
    ("mbsd", {"divergence": "true-class", "unimodal_weight": 0.5}),
]
