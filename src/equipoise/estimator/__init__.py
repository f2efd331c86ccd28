"""The scikit-learn front door."""

from equipoise.estimator.classifier import EquipoiseClassifier

__all__ = ["EquipoiseClassifier"]
