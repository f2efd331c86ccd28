"""What a data set holds and what is wrong with it, before anything is trained."""

from equipoise.diagnosis.diagnose import diagnose

__all__ = ["diagnose"]
