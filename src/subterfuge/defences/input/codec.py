"""``mp3``, ``ogg``, ``opus``: through a real encoder and decoder, with a stand-in for the slope."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from subterfuge.defences.input.defence import Undrawn
from subterfuge.resampling import resample
from subterfuge.transforms.mp3 import Mp3, passed
from subterfuge.transforms.transform import Parameters, check_range

_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
# libsndfile's Vorbis encoder keeps what it is given at once on its stack.
_BLOCK = 4096


@dataclass(frozen=True)
class Mp3File(Undrawn):
    """Encoded by LAME at ``kbps`` kbit/s, and decoded.

    Backward, each cell of time and frequency counts by how much of it the decoder gave back (BPDA); so too
    for the other codecs.

    Raises
    ------
    SubterfugeError
        If it is not within 8 to 320 kbit/s.
    """

    kbps: float = 64.0
    name = "mp3"
    adaptive = "straight-through"

    def __post_init__(self) -> None:
        """Check it as soon as it is named."""
        Mp3(self.kbps, self.kbps)

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """Each row a mono file of its own."""
        return Mp3(self.kbps, self.kbps).apply(y, sr=sr, drawn={"kbps": self.kbps})


@dataclass(frozen=True)
class Vorbis(Undrawn):
    """Encoded as Ogg Vorbis at ``quality`` (0 least, 1 best), and decoded.

    Raises
    ------
    SubterfugeError
        If it is not within 0 to 1.
    """

    quality: float = 0.2
    name = "ogg"
    adaptive = "straight-through"

    def __post_init__(self) -> None:
        """Check it as soon as it is named."""
        check_range("ogg (quality)", self.quality, self.quality, 0, 1)

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """Each row a mono file of its own."""
        rate = sr if 8000 <= sr <= 192000 else min(192000, max(8000, sr))
        return _through(y, sr, rate, "VORBIS", 1.0 - self.quality)


@dataclass(frozen=True)
class Opus(Undrawn):
    """Encoded as Opus at about ``kbps`` kbit/s, and decoded, at the next rate that it knows.

    Raises
    ------
    SubterfugeError
        If it is not within 6 to 256 kbit/s.
    """

    kbps: float = 32.0
    name = "opus"
    adaptive = "straight-through"

    def __post_init__(self) -> None:
        """Check it as soon as it is named."""
        check_range("opus (kbit/s)", self.kbps, self.kbps, 6, 256)

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """Each row a mono file of its own."""
        rate = next((one for one in _OPUS_RATES if one >= sr), _OPUS_RATES[-1])
        # libsndfile's scale goes from 256 kbit/s (0) to 6 (1).
        return _through(y, sr, rate, "OPUS", (256.0 - self.kbps) / 250.0)


class _Codec(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, sr: int, rate: int, subtype: str, level: float) -> Tensor:
        rows = [_there_and_back(row, sr, rate, subtype, level) for row in y.detach()]
        out = torch.stack(rows) if rows else y.detach().clone()
        ctx.save_for_backward(y, out)
        return out.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        y, out = ctx.saved_tensors
        return passed(grad, y, out), None, None, None, None


def _through(y: Tensor, sr: int, rate: int, subtype: str, level: float) -> Tensor:
    out: Tensor = _Codec.apply(y, sr, rate, subtype, level)  # type: ignore[no-untyped-call]
    return out


def _there_and_back(y: Tensor, sr: int, rate: int, subtype: str, level: float) -> Tensor:
    """One clip, shape (samples,), as an Ogg file of that rate, and back."""
    import soundfile

    there = resample(y[None].float().cpu(), orig_sr=sr, target_sr=rate)[0].numpy().clip(-1, 1)
    held = io.BytesIO()
    with soundfile.SoundFile(
        held, "w", rate, 1, subtype, format="OGG", compression_level=min(1.0, max(0.0, level))
    ) as file:
        for start in range(0, len(there), _BLOCK):
            file.write(there[start : start + _BLOCK])
    held.seek(0)
    decoded, _ = soundfile.read(held, dtype="float32")
    decoded = np.pad(decoded, (0, max(0, len(there) - len(decoded))))[: len(there)].clip(-1, 1)
    back = resample(torch.from_numpy(np.ascontiguousarray(decoded))[None], orig_sr=rate, target_sr=sr)[0]
    return torch.nn.functional.pad(back, (0, max(0, len(y) - len(back))))[: len(y)].to(y)
