"""The progress of one training."""

from __future__ import annotations

from typing import Any

from equipoise.progress import Bar, say
from equipoise.runs.callbacks import Callback


class TrainingProgress(Callback):
    """A callback that shows how long the training is, what it reads, and then every epoch."""

    def __init__(self) -> None:
        self.epochs = 0
        self.bar = Bar()

    def __enter__(self) -> TrainingProgress:
        self.bar.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.__exit__(*error)

    def on_start(self, facts: dict[str, Any]) -> None:
        self.epochs = facts["epochs"]
        say(f"training: {facts['training']}")
        for modality, text in facts["inputs"].items():
            say(f"{modality}: {text}")

    def on_epoch(self, line: dict[str, Any]) -> None:
        done = line["epoch"] + 1
        total = max(done, self.epochs)
        text = _describe(line)
        self.bar.update(done, total, text, f"epoch {done}/{total}  {text}  {line['seconds']:.1f} s")

    def on_end(self, result: dict[str, Any]) -> None:
        if result["epochs"] < self.epochs:
            say(
                f"stopped early after epoch {result['epochs']} of {self.epochs}; "
                f"epoch {result['best_epoch'] + 1} is the best on validation and is kept"
            )


def _describe(line: dict[str, Any]) -> str:
    validation = line["validation"]
    parts = [f"fused {validation['fused']['accuracy']:.3f}"]
    parts += [
        f"{name} {metrics['accuracy']:.3f}"
        for name, metrics in validation["modalities"].items()
        if metrics["accuracy"] is not None
    ]
    loss = "" if line["loss"] is None else f"loss {line['loss']:.3f}  "
    return loss + "validation " + "  ".join(parts)
