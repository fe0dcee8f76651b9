"""An attack on a file is a change of its own samples: down-mixing and resampling are part of the victim.

The change that is smallest over all channels of a file, for a victim that hears their mean, is the same in
every channel: a sum of squares with a given mean is least where all are equal. So the search is over one
signal at the file's own rate, and only a resampling stands between it and the victim.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from subterfuge.audio import AudioFile
from subterfuge.resampling import resample as resample
from subterfuge.victims.around import Around
from subterfuge.victims.victim import Hearing, Victim


class AtRate(Around):
    """A victim as it hears files of another rate, or ones that go beyond full scale.

    Parameters
    ----------
    victim : Victim
    sample_rate : int
        Of the waveforms that it is to be given, in Hz.
    gain : float
        What they are multiplied by, so that a search within [-1, 1] may reach beyond it.
    """

    def __init__(self, victim: Victim, sample_rate: int, *, gain: float = 1.0) -> None:
        super().__init__(victim)
        self.sample_rate, self.gain = sample_rate, gain
        # Waveforms that the victim hears at a question, and at a verdict.
        self.cost = int(getattr(victim, "cost", 1))
        self.plain_cost = int(getattr(victim, "plain_cost", self.cost))

    def _there(self, y: Tensor) -> Tensor:
        y = y if self.gain == 1.0 else y * self.gain
        return resample(y, orig_sr=self.sample_rate, target_sr=self.inner.sample_rate)

    def _heard(self, y: Tensor, hear: Callable[[Tensor], Hearing]) -> Hearing:
        return hear(self._there(y))

    @torch.no_grad()
    def probabilities(self, y: Tensor) -> Tensor | None:
        """Reported probabilities, or None, also of a black box that refuses when it is heard with them."""
        return self.inner.probabilities(self._there(y))


class OnLattice(AtRate):
    """A victim that hears each waveform as a file would hold it: every channel rounded to its subtype.

    What an attack finds with it is found of the file itself, and needs no rounding afterwards.

    Parameters
    ----------
    victim : Victim
    file : AudioFile
        The original; the waveforms asked about are taken as the mean of its channels, changed alike.
    gain : float
        See :class:`AtRate`.
    """

    def __init__(self, victim: Victim, file: AudioFile, *, gain: float = 1.0) -> None:
        super().__init__(victim, file.sr, gain=gain)
        self.differentiable, self.guided = False, False
        self.file = file
        self.mono = file.data.float().mean(0) / gain

    def data(self, y: Tensor) -> Tensor:
        """Samples of the file for one waveform, shape (samples,) to (channels, samples)."""
        from subterfuge.attacks.lattice import rounded

        return rounded(self.file, (y.cpu().double() - self.mono.double()) * self.gain)

    def _there(self, y: Tensor) -> Tensor:
        heard = torch.stack([self.data(row).float().mean(0) for row in y]).to(y)
        return resample(heard, orig_sr=self.sample_rate, target_sr=self.inner.sample_rate)


def at_rate(victim: Victim, sample_rate: int, *, gain: float = 1.0) -> AtRate:
    """The victim for files of that rate whose samples, over ``gain``, lie in [-1, 1]."""
    return AtRate(victim, sample_rate, gain=gain)
