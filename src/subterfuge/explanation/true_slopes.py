"""The 25 features with their true gradients, where attacks are given useful ones.

Zero crossings and the rolloff are counts: their true gradient is zero, and a decibel under its floor has
none. A search that climbs is led by stand-ins there; but an explanation that adds gradients up would count
what never happens, and the sum would not be the difference that it explains.
"""

from __future__ import annotations

import torch
from torch import Tensor

from subterfuge.explanation.evidence import Evidence
from subterfuge.features.cepstral import mfcc
from subterfuge.features.mel import mel_basis
from subterfuge.features.stft import window_of
from subterfuge.features.summary import NAMES, librosa25
from subterfuge.victims.svm import SvmVictim

_COUNTS = [NAMES.index("rolloff"), NAMES.index("zcr")]
_MFCC = NAMES.index("mfcc1")
_N_FFT, _MELS, _AMIN, _TOP_DB = 2048, 128, 1e-10, 80.0


def true25(y: Tensor, *, sr: float) -> Tensor:
    """Values of :func:`subterfuge.features.summary.librosa25`, and the gradients that they really have.

    Examples
    --------
    >>> y = 0.1 * torch.randn(1, 4096, generator=torch.Generator().manual_seed(0))
    >>> torch.allclose(true25(y, sr=22050), librosa25(y, sr=22050), rtol=1e-4, atol=1e-3)
    True
    """
    known = librosa25(y, sr=sr)
    held = known.detach()[:, _COUNTS]
    window = window_of("hann", _N_FFT, _N_FFT, y.dtype, y.device)
    spectrum = torch.stft(
        y, _N_FFT, _N_FFT // 4, window=window, center=True, pad_mode="constant", return_complex=True
    )
    energy = mel_basis(sr, _N_FFT, _MELS, 0.0, None, "slaney", y.dtype, y.device) @ (
        spectrum.real.square() + spectrum.imag.square()
    )
    power = 10 * energy.clamp(min=_AMIN).log10()
    power = torch.maximum(power, power.amax((1, 2), keepdim=True) - _TOP_DB)
    cepstra = mfcc(S=power).mean(-1)
    return torch.cat([known[:, : _COUNTS[0]], held, cepstra[:, : len(NAMES) - _MFCC]], 1)


def with_true_slopes(heard: Evidence, y: Tensor) -> Tensor:
    """Evidence in ``y``, shape (batch, samples), with gradients that can be added up; float64, (batch,).

    Of victims that hear the 25 features by :func:`true25`; of others, their own.
    """
    victim = heard.victim
    if isinstance(victim, SvmVictim) and victim.feature_name == "librosa25":
        vectors = true25(y, sr=victim.sample_rate)
        return heard.of(victim.head.hear(vectors, probabilities=heard.unit == "log-odds"))
    return heard(y)
