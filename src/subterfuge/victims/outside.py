"""What victims of other makes have in common: a function, a compiled model, a service over the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.victims.answers import Answer, Meaning, thresholds_for
from subterfuge.victims.card import checked_labels, checked_rate
from subterfuge.victims.victim import Hearing, TorchVictim
from subterfuge.victims.windows import windows_of


class OutsideVictim(TorchVictim):
    """A victim that answers for waveforms by other means than a torch module of ours.

    Subclasses say what it is in ``kind`` and define :meth:`answer`. Clips longer or shorter than its window
    are cut, or followed by silence; see :class:`subterfuge.victims.windows.Windows`.

    Parameters
    ----------
    labels : sequence of str
    sample_rate : int
        In Hz.
    gives : str
        What its numbers are: ``scores``, ``probabilities`` or ``logits``.
    thresholds : float or sequence of float, optional
        Of one that may hear several labels at once: from which number on each of them is heard.
    window, hop : float, optional
        Seconds that it hears at once, and between the beginnings of two windows (by default no overlap).
    name : str

    Raises
    ------
    SubterfugeError
        If one of those cannot be.
    """

    differentiable = False
    kind = ""
    feature_name = "waveform"

    def __init__(
        self,
        *,
        labels: Sequence[str],
        sample_rate: int,
        gives: str = "scores",
        thresholds: float | Sequence[float] | None = None,
        window: float | None = None,
        hop: float | None = None,
        name: str = "",
    ) -> None:
        super().__init__()
        self.labels, self.sample_rate = checked_labels(labels), checked_rate(sample_rate)
        if not self.labels:
            raise SubterfugeError("labels: got none, expected the victim's labels")
        if len(set(self.labels)) != len(self.labels):
            twice = next(label for label in self.labels if self.labels.count(label) > 1)
            raise SubterfugeError(f"labels: got {twice!r} twice, expected each label once")
        self.name = name or self.kind
        self.meaning = Meaning(self.labels, gives, thresholds_for(thresholds, self.labels))
        self.windows = windows_of(window, hop, self.sample_rate)
        said = {"gives": gives, "window": window, "hop": hop}
        self.options: dict[str, Any] = {key: value for key, value in said.items() if value is not None}
        if self.meaning.thresholds:
            self.options["thresholds"] = list(self.meaning.thresholds)

    def answer(self, y: Tensor) -> Answer:
        """What it says of waveforms of the length of its window, shape (batch, samples)."""
        raise NotImplementedError

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        """Scores, prediction and, if asked for and there, probabilities of ``y``, shape (batch, samples)."""
        if self.windows is None:
            return self.meaning.hearing(self.answer(y), pieces=1, probabilities=probabilities)
        cut = self.windows.cut(y)
        return self.meaning.hearing(
            self.answer(cut.flatten(0, 1)), pieces=cut.shape[1], probabilities=probabilities
        )

    def check(self) -> None:
        """Ask it about a second (or a window) of faint noise, and make sure that it answers as it should.

        Raises
        ------
        SubterfugeError
            If it does not.
        """
        self.hear(self.faint_noise(), probabilities=True)

    def faint_noise(self) -> Tensor:
        """A second, or a window, of noise 40 dB below full scale, shape (1, samples)."""
        samples = self.sample_rate if self.windows is None else self.windows.length
        return 0.01 * torch.randn(1, samples, generator=torch.Generator().manual_seed(0))
