"""Phases: stretches of epochs in which some modalities train, and the plan that they make up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs.

    Attributes:
        epochs: number of passes over the training table.
        modalities: the modalities that train; None for all.
        selectable: False while a part of the network that predicts has yet to be trained, as in the
            first of two stages. No epoch of such a phase is chosen, and patience does not run out.
    """

    epochs: int
    modalities: tuple[str, ...] | None = None
    selectable: bool = True


@dataclass(frozen=True)
class Plan:
    """The phases of a training: which modalities have trained after any number of its epochs.

    All answers are pure functions of the number of epochs, so that a resumed training finds them
    again without having stored any.

    Attributes:
        phases: in order.
        modalities: those of the model, which all train in a phase that names none.
    """

    phases: tuple[Phase, ...]
    modalities: tuple[str, ...]

    def trained(self, epochs: int) -> dict[str, int]:
        """{modality: epochs that it has trained for} after so many epochs in all.

        Modalities that never train are left out.
        """
        counts: dict[str, int] = {}
        for phase, done in self._progress(epochs):
            for modality in phase.modalities or self.modalities:
                counts[modality] = counts.get(modality, 0) + done
        return counts

    def untrained(self, epochs: int) -> list[str]:
        """The modalities that will train and have not done so after so many epochs."""
        return [modality for modality, count in self.trained(epochs).items() if not count]

    def selectable(self, epochs: int) -> bool:
        """True if the last of so many epochs may be chosen: all that will train has trained."""
        last = [phase.selectable for phase, done in self._progress(epochs) if done][-1:]
        return last == [True] and not self.untrained(epochs)

    def waited(self, best: int, epochs: int) -> int:
        """Epochs that every modality which goes on training has trained for since the best.

        A modality whose phases are over is left out: its count would stand still for ever.

        Args:
            best: number of epochs after which the best network was found.
            epochs: number of epochs until now.
        """
        then = self.trained(best)
        now = self.trained(epochs)
        left = {
            modality
            for phase, done in self._progress(epochs)
            if done < phase.epochs
            for modality in phase.modalities or self.modalities
        }
        return min((now[modality] - then[modality] for modality in left), default=0)

    def _progress(self, epochs: int) -> Iterator[tuple[Phase, int]]:
        """Each phase that has epochs, and how many of these lie in the first so many epochs."""
        for phase in self.phases:
            if phase.epochs > 0:
                done = min(phase.epochs, epochs)
                epochs -= done
                yield phase, done
