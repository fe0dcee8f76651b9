"""What may become of a sound on its way, drawn at every step, and the panel that finds are tried on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from subterfuge.transforms.gain import Gain
from subterfuge.transforms.mp3 import Mp3
from subterfuge.transforms.noise import Noise
from subterfuge.transforms.resample import Resample
from subterfuge.transforms.shift import Shift
from subterfuge.transforms.transform import Frozen, Transform, freeze

# How often each is drawn, beside what it costs the label; encoding takes as long as all the rest of a step.
_OFTEN = {"gain": 3.0, "shift": 2.0, "noise": 2.0, "resample": 2.0, "mp3": 0.5}

# What a transform that costs nothing is drawn by; how fast what each costs is learnt.
_ALWAYS, _HEED = 0.15, 0.3


def usual(sr: int) -> tuple[Transform, ...]:
    """What a sound at ``sr`` Hz is to survive: gain, shift, noise, half the rate and back, an MP3."""
    return (Gain(0, 6), Shift(0, 0.05), Noise(30, 60), Resample(sr // 2, sr // 2), Mp3(128, 192))


class Drawer:
    """Draws one transform a step, with its parameters; those that cost the label most, most often."""

    def __init__(self, transforms: Sequence[Transform], generator: torch.Generator) -> None:
        self.transforms, self.generator = tuple(transforms), generator
        self._often = torch.tensor([_OFTEN.get(one.name, 1.0) for one in transforms])
        self._need = torch.ones(len(self.transforms))
        self._last = 0

    def draw(self) -> Frozen:
        """One of the transforms, frozen."""
        weights = self._often * (_ALWAYS + self._need)
        self._last = int(torch.multinomial(weights, 1, generator=self.generator))
        return freeze(self.transforms[self._last], self.generator)

    def heed(self, p: float) -> None:
        """Be told the label's probability after the transform that was drawn last."""
        self._need[self._last] += _HEED * (1 - p - self._need[self._last])


def panel(sr: int) -> dict[str, Frozen]:
    """What is done to every sound that is found, by its name in the report; the same each time.

    Examples
    --------
    >>> list(panel(44100))[:3]
    ['gain -6 dB', 'gain +6 dB', 'shift 20 ms']
    """
    half = sr // 2
    return {
        "gain -6 dB": Frozen(Gain(6, 6), {"db": -6.0}),
        "gain +6 dB": Frozen(Gain(6, 6), {"db": 6.0}),
        "shift 20 ms": Frozen(Shift(0.02, 0.02), {"seconds": 0.02}),
        f"resample {half / 1000:g} kHz": Frozen(Resample(half, half), {"sr": float(half)}),
        "noise 40 dB": Frozen(Noise(40, 40), {"snr_db": 40.0, "seed": 11.0}),
        "mp3 128 kbit/s": Frozen(Mp3(128, 128), {"kbps": 128.0}),
    }


def changed(y: Tensor, variant: Frozen, *, sr: int) -> Tensor:
    """The sound after a variant, at its own length."""
    out = variant(y, sr=sr)
    return torch.nn.functional.pad(out, (0, max(0, y.shape[1] - out.shape[1])))[:, : y.shape[1]]
