"""Balanced multimodal classification: train every modality, not only the easiest one."""

from __future__ import annotations

__version__ = "0.1.0"
