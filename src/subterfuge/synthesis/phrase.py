"""What an imagined instrument plays at first: notes that are drawn, or those of a clip."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Steps of a scale of five, in semitones, that notes are drawn from.
_SCALE = (-5, -3, 0, 2, 4, 7, 9)
# Lowest and highest key note, in Hz; seconds a note.
_LOW, _HIGH, _SHORT, _LONG = 110.0, 520.0, 0.35, 0.9
# Root mean square of the tone; levels that are taken for nothing, in nepers.
_LOUD, _NOTHING = 0.08, -11.0


@dataclass(frozen=True, eq=False)
class Phrase:
    """A course of pitch and level, frame by frame, and where known of the spectrum.

    Attributes
    ----------
    f0 : Tensor, shape (frames + 1,)
        In Hz.
    loudness : Tensor, shape (frames + 1,)
        Logarithm of the sum of the partials' levels.
    partials : Tensor, shape (frames + 1, partials), or None
        Logarithm of their levels among each other.
    noise : Tensor, shape (frames + 1, bands), or None
        Logarithm of the noise's level in each band.
    """

    f0: Tensor
    loudness: Tensor
    partials: Tensor | None = None
    noise: Tensor | None = None

    def timbre(self, partials: int) -> Tensor:
        """Logarithm of the partials' levels, falling by 6 dB an octave where nothing is known of them."""
        if self.partials is not None:
            return self.partials
        return -torch.arange(1.0, partials + 1).log().expand(len(self.f0), partials)

    def breath(self, bands: int) -> Tensor:
        """Logarithm of the noise's levels, faint where nothing is known of it."""
        if self.noise is not None:
            return self.noise
        return torch.full((len(self.f0), bands), -8.0)


def drawn_phrase(frames: int, seconds: float, *, generator: torch.Generator) -> Phrase:
    """Notes of a scale of five about a key note between 110 and 520 Hz, each struck and dying away a little.

    Examples
    --------
    >>> phrase = drawn_phrase(100, 1.0, generator=torch.Generator().manual_seed(0))
    >>> bool((phrase.f0 > 80).all() and (phrase.f0 < 900).all()), len(phrase.loudness)
    (True, 101)
    """

    def draw(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    key = _LOW * (_HIGH / _LOW) ** draw(0, 1)
    f0 = torch.empty(frames + 1)
    loudness = torch.empty(frames + 1)
    at = 0
    while at <= frames:
        length = max(2, round(draw(_SHORT, _LONG) / seconds * frames))
        step = _SCALE[int(torch.randint(len(_SCALE), (), generator=generator))]
        note = slice(at, min(at + length, frames + 1))
        count = note.stop - note.start
        f0[note] = key * 2 ** (step / 12)
        past = torch.arange(count) * (seconds / frames)
        loudness[note] = -2 * (-past / 0.02).exp() - 0.8 * past
        at += length
    loudness += float(torch.log(torch.tensor(2 * _LOUD)))
    return Phrase(f0, loudness)


def analysed(start: Tensor, *, sr: int, hop: int, frames: int, partials: int, bands: int) -> Phrase:
    """The pitch of a clip (by YIN: de Cheveigné and Kawahara 2002), its loudness, partials and noise.

    Parameters
    ----------
    start : Tensor, shape (1, samples)
    sr, hop, frames, partials, bands : int

    References
    ----------
    de Cheveigné and Kawahara, "YIN, a fundamental frequency estimator for speech and music", JASA 111, 2002.
    """
    import librosa

    from subterfuge.synthesis.harmonic import band_shapes

    n_fft = 4096 if sr >= 32000 else 2048
    y = torch.nn.functional.pad(start[0], (0, max(0, frames * hop - start.shape[1])))
    found = librosa.yin(
        y.numpy(), fmin=60.0, fmax=min(1500.0, sr / 8), sr=sr, frame_length=n_fft, hop_length=hop
    )
    f0 = torch.from_numpy(found).float()
    f0 = _steady(f0)[: frames + 1]
    f0 = torch.nn.functional.pad(f0[None], (0, frames + 1 - len(f0)), mode="replicate")[0]
    window = torch.hann_window(n_fft)
    cells = torch.stft(y, n_fft, hop, window=window, pad_mode="constant", return_complex=True).abs()
    cells = cells.mT[: frames + 1] * (2 / window.sum())
    width = sr / n_fft
    at = f0[:, None] * torch.arange(1, partials + 1) / width
    inside = at < cells.shape[1] - 2
    low = at.clamp(max=cells.shape[1] - 3).long()
    # A partial is spread over a few bins: the largest of them is its level.
    level = torch.stack([cells.gather(1, (low + k).clamp(min=0)) for k in (-1, 0, 1, 2)]).amax(0)
    level = (level * inside).clamp(min=1e-6)
    shapes = band_shapes(n_fft, sr, bands)
    # The quieter half of a band's bins is what lies between the partials.
    power = torch.minimum(cells, cells.median(1, keepdim=True).values * 2).square()
    noise = (power @ (shapes / shapes.sum(0))).sqrt() * (window.sum() / 2 / window.square().sum().sqrt())
    return Phrase(
        f0,
        level.sum(1).log().clamp(min=_NOTHING),
        (level / level.sum(1, keepdim=True)).log().clamp(min=_NOTHING),
        noise.clamp(min=1e-5).log(),
    )


def _steady(f0: Tensor, width: int = 9) -> Tensor:
    """The median of some frames about each: single frames in which an octave was misjudged do not count."""
    padded = torch.nn.functional.pad(f0[None], (width // 2, width // 2), mode="replicate")[0]
    return padded.unfold(0, width, 1).median(1).values
