"""An optimiser whose every step a test can repeat: plain SGD, whatever the defaults are."""

from equipoise.settings import OptimiserSettings

PLAIN = {
    "name": "sgd",
    "lr": 0.01,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "warmup": 0.0,
    "schedule": "none",
    "clip": 0.0,
    "average": 0.0,
}


def plain(**options):
    """The settings of plain SGD, but for these options."""
    return OptimiserSettings(**{**PLAIN, **options})
