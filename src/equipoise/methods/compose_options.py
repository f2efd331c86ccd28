"""What Compose's options must be."""

from __future__ import annotations

from equipoise.checks import (
    choice,
    false_unless,
    flag,
    inside,
    not_negative,
    only_where,
    optional,
    positive,
    require,
    whole,
)
from equipoise.methods.compose_objective import ALIGNMENTS
from equipoise.methods.orthogonal_memory import ORDERS, alpha_rule
from equipoise.methods.schedules import SCHEDULES, VALUED

LOSS = {"joint": "fused", "step": "separate", "phase": "separate"}
"""{schedule: the loss unless told otherwise}"""

TURNS = tuple(LOSS)
LOSSES = ("fused", "separate")
PROJECTIONS = ("none", "orthogonal", "flat")
FLATNESS = ("none", "sam")


def check_options(
    *,
    schedule: str,
    loss: str | None,
    projection: str,
    flatness: str,
    alignment: str,
    cycles: int | None,
    projection_alpha: float | str | None,
    projection_order: str | None,
    normalize_projection: bool,
    tau: float | None,
    statistic_batch: int | None,
    rho: float | None,
    alpha: str | None,
    alpha_value: float | None,
    temperature: float | None,
) -> None:
    """Raises ConfigError for a value that cannot be, or an option that has no effect beside the others."""
    orthogonal = "'projection' is orthogonal", projection == "orthogonal"
    require(
        "Compose",
        choice("schedule", schedule, TURNS),
        choice("projection", projection, PROJECTIONS),
        choice("flatness", flatness, FLATNESS),
        choice("alignment", alignment, ALIGNMENTS),
        flag("normalize_projection", normalize_projection),
        *only_where("'schedule' is phase", schedule == "phase", cycles=cycles),
        *only_where(*orthogonal, projection_alpha=projection_alpha, projection_order=projection_order),
        false_unless("normalize_projection", normalize_projection, *orthogonal),
        *only_where("'projection' is flat", projection == "flat", tau=tau, statistic_batch=statistic_batch),
        *only_where("'flatness' is sam", flatness == "sam", rho=rho),
        *only_where("'alignment' is infonce or js", alignment != "none", alpha=alpha),
        *only_where("'alignment' is infonce", alignment == "infonce", temperature=temperature),
        *optional(choice("alpha", alpha, SCHEDULES)),
        *only_where("'alpha' is constant or stepwise", alpha in VALUED, alpha_value=alpha_value),
        *optional(choice("loss", loss, LOSSES)),
        ("loss", schedule == "joint" or loss != "fused", "separate where modalities train in turn", loss),
        *optional(whole("cycles", cycles, 1)),
        *([] if projection_alpha is None else [alpha_rule("projection_alpha", projection_alpha)]),
        *optional(choice("projection_order", projection_order, ORDERS)),
        *optional(not_negative("tau", tau)),
        *optional(whole("statistic_batch", statistic_batch, 1)),
        *optional(not_negative("rho", rho)),
        *optional(inside("alpha_value", alpha_value, "[0, 1]")),
        *optional(positive("temperature", temperature)),
    )
