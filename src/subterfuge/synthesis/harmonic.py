"""``harmonic``: one instrument that plays a phrase: a harmonic tone and filtered noise, smooth in time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from subterfuge.synthesis.phrase import Phrase, analysed, drawn_phrase
from subterfuge.synthesis.sound import Sound, knob
from subterfuge.synthesis.tone import tone

# Samples a frame at 44.1 kHz; partials; bands of noise; points a second that levels may turn at.
_HOP, PARTIALS, BANDS, _POINTS = 256, 48, 32, 12.0
# How far the pitch may leave what is played, in octaves; what roughness in time costs.
_BEND, _ROUGH = 1.0, 0.02


def harmonic(*, samples: int, sr: int, generator: torch.Generator, start: Tensor | None = None) -> Sound:
    """A tone of 48 partials and noise in 32 bands, after Engel et al. (2020), its notes drawn or taken over.

    What may move: the pitch (about the notes, by up to an octave, and its vibrato), the loudness, the levels
    of the partials among each other and those of the noise's bands; all of them smooth in time, about twelve
    points a second, and rough courses cost. Partials over half the sample rate are silent.

    Parameters
    ----------
    samples, sr : int
    generator : torch.Generator
        Draws the notes and the noise.
    start : Tensor, shape (1, samples), optional
        A clip whose pitch, loudness and spectrum it begins with.

    Returns
    -------
    Sound

    References
    ----------
    Engel, Hantrakul, Gu and Roberts, "DDSP: Differentiable digital signal processing", ICLR 2020.
    """
    hop = max(32, round(_HOP * sr / 44100))
    frames = -(-samples // hop)
    if start is None:
        phrase = drawn_phrase(frames, frames * hop / sr, generator=generator)
    else:
        phrase = analysed(start, sr=sr, hop=hop, frames=frames, partials=PARTIALS, bands=BANDS)
    points = max(3, 1 + math.ceil(_POINTS * samples / sr))
    spread = smooth(frames + 1, points)
    gather = torch.linalg.pinv(spread)

    pitch = knob(torch.zeros(1), 0.01)
    bend = knob(torch.zeros(points), 0.01)
    loud = knob(gather @ phrase.loudness, 0.04)
    timbre = knob(gather @ phrase.timbre(PARTIALS), 0.06)
    breath = knob(gather @ phrase.breath(BANDS), 0.06)
    hiss = Hiss(frames * hop, sr, generator)

    def render() -> Tensor:
        octaves = _BEND * torch.tanh(pitch.value) + 0.2 * torch.tanh(spread @ bend.value)
        f0 = phrase.f0 * 2**octaves
        shares = torch.log_softmax(spread @ timbre.value, 1)
        levels = (shares + (spread @ loud.value)[:, None]).exp() * audible(f0, PARTIALS, sr)
        y = tone(phase_of(f0, hop, sr), levels) + hiss((spread @ breath.value).exp(), hop)
        return y[None, :samples]

    def toll() -> Tensor:
        courses = (loud.value[:, None], timbre.value, breath.value, 10 * bend.value[:, None])
        return _ROUGH * sum((one.diff(dim=0).diff(dim=0).square().mean() for one in courses), torch.zeros(()))

    return Sound((pitch, bend, loud, timbre, breath), render, toll=toll)


def smooth(frames: int, points: int) -> Tensor:
    """From values at evenly spaced points to all frames, along cubic B-splines; shape (frames, points).

    Examples
    --------
    >>> weights = smooth(9, 4)
    >>> bool(torch.allclose(weights.sum(1), torch.ones(9)))
    True
    """
    at = torch.linspace(0, points - 1, frames)[:, None]
    apart = (at - torch.arange(points)[None]).abs()
    near = 2 / 3 - apart.square() + apart**3 / 2
    far = (2 - apart).clamp(min=0) ** 3 / 6
    weights = torch.where(apart < 1, near, far)
    return weights / weights.sum(1, keepdim=True)


def phase_of(f0: Tensor, hop: int, sr: int) -> Tensor:
    """Phase in radians within one turn, shape (frames * hop,), of a pitch at the frames' ends, in Hz."""
    up = torch.arange(hop, dtype=torch.float64) / hop
    wide = f0.double()
    each = wide[:-1, None] + (wide[1:] - wide[:-1])[:, None] * up
    turns = (each.reshape(-1) / sr).cumsum(0)
    return (2 * math.pi * (turns - turns.detach().floor())).to(f0.dtype)


def audible(f0: Tensor, partials: int, sr: int) -> Tensor:
    """One for partials well below half the sample rate, fading to zero there; shape (frames, partials)."""
    high = f0.detach()[:, None] * torch.arange(1, partials + 1) / (sr / 2)
    return ((0.98 - high) / 0.05).clamp(0, 1)


class Hiss:
    """White noise, the same at every call, that a course of band levels is put on."""

    def __init__(self, samples: int, sr: int, generator: torch.Generator) -> None:
        self.n_fft = 1024 if sr >= 32000 else 512
        self.window = torch.hann_window(self.n_fft)
        self.samples = samples
        self.step = self.n_fft // 4
        noise = torch.randn(1, max(samples, self.n_fft), generator=generator)
        self.cells = torch.stft(
            noise, self.n_fft, self.step, window=self.window, pad_mode="constant", return_complex=True
        )
        self.bands = band_shapes(self.n_fft, sr, BANDS)

    def __call__(self, levels: Tensor, hop: int) -> Tensor:
        """Noise whose root mean square in each band is about that; levels (frames + 1, bands)."""
        frames = self.cells.shape[2]
        course = torch.nn.functional.interpolate(
            levels.mT[None], size=frames, mode="linear", align_corners=True
        )[0]
        shaped = self.cells * (self.bands @ course)
        y = torch.istft(shaped, self.n_fft, self.step, window=self.window, length=self.samples)
        return y[0]


def band_shapes(n_fft: int, sr: int, bands: int) -> Tensor:
    """Triangles of equal width on the mel scale, up to half the rate, that sum to one; (bins, bands).

    Examples
    --------
    >>> shapes = band_shapes(64, 8000, 6)
    >>> bool(torch.allclose(shapes.sum(1), torch.ones(33)))
    True
    """
    mel = torch.log1p(torch.linspace(0, sr / 2, n_fft // 2 + 1) / 700)
    at = mel / mel[-1] * (bands - 1)
    return (1 - (at[:, None] - torch.arange(bands)[None]).abs()).clamp(min=0)


__all__ = ["Hiss", "Phrase", "audible", "band_shapes", "harmonic", "phase_of", "smooth"]
