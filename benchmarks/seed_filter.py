"""The filter that the seed's denoise classifier was fitted behind: ``noisereduce`` itself as the judge.

The seed called ``noisereduce.reduce_noise(y=y, sr=sr)``, which the defence ``denoise``
(:class:`subterfuge.defences.input.reduced.Reduced`) repeats with the slope it has. That is not the gate of
``noisereduce.torchgate``, which :class:`subterfuge.defences.input.gate.Gate` is equal to: a cell has to be
three times the mean of its band, not 2.3 times, and that mean moves over two seconds, not over twenty frames.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

import common
from subterfuge.defences.defended import Defended
from subterfuge.victims.victim import Hearing


def reduced(y: np.ndarray, **options: Any) -> np.ndarray:
    """What ``noisereduce`` leaves of a waveform, with its defaults but for the options."""
    from noisereduce import reduce_noise

    return np.asarray(reduce_noise(y=y, sr=common.SAMPLE_RATE, **options), dtype=np.float32)


class Behind(Defended):
    """A victim behind the seed's filter: gradients through ``denoise``, verdicts by ``noisereduce``."""

    @torch.no_grad()
    def verdict(self, y: Tensor) -> Hearing:
        """The inner victim's plain path, on what ``noisereduce`` lets through."""
        return self.inner.verdict(torch.stack([torch.from_numpy(reduced(row.numpy())) for row in y]))
