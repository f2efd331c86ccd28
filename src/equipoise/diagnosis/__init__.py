"""Diagnosis of a data set before anything is trained: its content and its defects."""

from equipoise.diagnosis.diagnose import diagnose

__all__ = ["diagnose"]
