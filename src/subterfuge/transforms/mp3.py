"""``mp3``: through a real encoder and decoder, with a stand-in for the slope that they do not have."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subterfuge.resampling import resample
from subterfuge.transforms.transform import Parameters, between, check_range

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
# Least and greatest bit rate, in kbit/s, from that sample rate up (MPEG 2.5, 2 and 1).
_BIT_RATES = {8000: (8, 64), 16000: (8, 160), 32000: (32, 320)}
# What LAME and the decoder put before the sound, where no header says so that it would be taken away.
_DELAY = 1105
_WINDOW = 1024


@dataclass(frozen=True)
class Mp3:
    """Encoded by LAME at a constant bit rate between ``low`` and ``high`` kbit/s, and decoded.

    Raises
    ------
    SubterfugeError
        If that is no range within 8 to 320 kbit/s.
    """

    low: float = 96.0
    high: float = 192.0
    name = "mp3"

    def __post_init__(self) -> None:
        """Check the range as soon as it is named."""
        check_range("mp3 (kbit/s)", self.low, self.high, 8, 320)

    def draw(self, generator: torch.Generator) -> dict[str, float]:
        """``kbps``: bits a second, in thousands; the encoder takes the nearest that it knows."""
        return {"kbps": between(self.low, self.high, generator)}

    def apply(self, y: Tensor, *, sr: int, drawn: Parameters) -> Tensor:
        """Each row a mono file of its own.

        Backward, each cell of time and frequency counts by how much of it the decoder gave back: the
        backward pass that Athalye et al. (2018) put in the place of one that is missing, made a little truer.
        """
        out: Tensor = _Codec.apply(y, sr, float(drawn["kbps"]))  # type: ignore[no-untyped-call]
        return out


class _Codec(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, sr: int, kbps: float) -> Tensor:
        out = torch.stack([_there_and_back(row[None], sr, kbps)[0] for row in y.detach()]) if len(y) else y
        ctx.save_for_backward(y, out)
        return out.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        y, out = ctx.saved_tensors
        return passed(grad, y, out), None, None


def mp3_rate(sr: int) -> int:
    """The sample rate that an MP3 of such a file has: its own, or the next above that there is.

    Examples
    --------
    >>> mp3_rate(44100), mp3_rate(18000), mp3_rate(96000)
    (44100, 22050, 48000)
    """
    return next((rate for rate in RATES if rate >= sr), RATES[-1])


def encode(data: NDArray[np.float32], *, sr: int, kbps: float) -> bytes:
    """An MP3 file, of samples of shape (frames, one or two channels) at one of :data:`RATES`."""
    import soundfile

    low, high = next(limits for least, limits in reversed(_BIT_RATES.items()) if sr >= least)
    # libsndfile's scale goes from the greatest bit rate (0) to the least (1, which it refuses).
    level = min(0.9999, max(0.0, (high - kbps) / (high - low)))
    held = io.BytesIO()
    with soundfile.SoundFile(
        held, "w", sr, data.shape[1], "MPEG_LAYER_III", format="MP3",
        compression_level=level, bitrate_mode="CONSTANT",
    ) as file:  # fmt: skip
        file.write(np.clip(data, -1, 1))
    return held.getvalue()


def decode(held: bytes, frames: int) -> NDArray[np.float32]:
    """Samples of an MP3 file, shape (frames, channels), without what the encoder put before them.

    Files of low bit rates have no room for the header that tells a decoder how much that is.
    """
    import soundfile

    y, _ = soundfile.read(io.BytesIO(held), dtype="float32", always_2d=True)
    if len(y) >= frames + _DELAY:
        y = y[_DELAY:]
    y = np.pad(y, ((0, max(0, frames - len(y))), (0, 0)))[:frames].clip(-1, 1)
    return np.ascontiguousarray(y, dtype=np.float32)


def _there_and_back(y: Tensor, sr: int, kbps: float) -> Tensor:
    """One file, shape (channels, samples) and back."""
    rate = mp3_rate(sr)
    there = resample(y.float().cpu(), orig_sr=sr, target_sr=rate)
    frames = there.shape[1]
    decoded = torch.from_numpy(decode(encode(there.numpy().T, sr=rate, kbps=kbps), frames).T.copy())
    back = resample(decoded, orig_sr=rate, target_sr=sr)
    back = torch.nn.functional.pad(back, (0, max(0, y.shape[1] - back.shape[1])))
    return back[:, : y.shape[1]].to(y)


def passed(grad: Tensor, y: Tensor, out: Tensor) -> Tensor:
    """The gradient, cell by cell times the share that passed the codec: a symmetric map."""
    if not len(y) or y.shape[1] < _WINDOW:
        return grad
    window = torch.hann_window(_WINDOW, dtype=y.dtype, device=y.device)

    def cells(x: Tensor) -> Tensor:
        return torch.stft(
            x, _WINDOW, _WINDOW // 2, window=window.sqrt(), pad_mode="constant", return_complex=True
        )

    before, after = cells(y).abs(), cells(out).abs()
    share = (after / before.clamp(min=1e-12)).clamp(max=1.0)
    back = torch.istft(cells(grad) * share, _WINDOW, _WINDOW // 2, window=window.sqrt(), length=y.shape[1])
    return back
