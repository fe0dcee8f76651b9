"""What transformers' feature extractors do to a waveform, done again in torch so that gradients pass.

Each twin takes waveforms of one length, shape (batch, samples), to what the model is given, by name: what the
library's own extractor makes of each row alone. That one is what :func:`plain` runs, and it is the judge.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from subterfuge.features.kaldi import log_fbank

Inputs = dict[str, Tensor]
Twin = Callable[[Tensor], Inputs]

# Samples in one of Kaldi's frames, and between two.
_FRAME, _STEP = 400, 160


def twin(extractor: Any) -> Twin | None:
    """The extractor in torch, or None where it is of a kind that is not known here.

    Known are the raw waveform of wav2vec 2.0, HuBERT, WavLM, SEW, UniSpeech and data2vec, and the log-mel
    spectrograms of the Audio Spectrogram Transformer, of Whisper and of wav2vec-BERT.
    """
    kinds: dict[str, Callable[[Any], Twin]] = {
        "Wav2Vec2FeatureExtractor": lambda one: partial(_waveform, one),
        "ASTFeatureExtractor": _spectrogram_transformer,
        "WhisperFeatureExtractor": _whisper,
        "SeamlessM4TFeatureExtractor": _wav2vec_bert,
    }
    make = kinds.get(type(extractor).__name__)
    return None if make is None else make(extractor)


def least_samples(extractor: Any) -> int:
    """How long a clip must be for its extractor to make numbers of it: a frame, or two to tell a variance."""
    least = {"ASTFeatureExtractor": _FRAME, "SeamlessM4TFeatureExtractor": _FRAME + _STEP}
    return least.get(type(extractor).__name__, 1)


@torch.no_grad()
def plain(extractor: Any, y: Tensor) -> Inputs:
    """What the library's own extractor makes of each row, shape (batch, samples), on its device."""
    rows = [
        extractor(row, sampling_rate=extractor.sampling_rate, return_tensors="pt")
        for row in y.detach().float().cpu().numpy()
    ]
    return {name: torch.cat([row[name] for row in rows]).to(y.device) for name in rows[0]}


def _waveform(extractor: Any, y: Tensor) -> Inputs:
    """The samples, of mean zero and variance one where the model was trained so."""
    if extractor.do_normalize:
        deviation = (y.var(-1, correction=0, keepdim=True) + 1e-7).sqrt()
        y_in = (y - y.mean(-1, keepdim=True)) / deviation
    else:
        y_in = y
    if not extractor.return_attention_mask:
        return {"input_values": y_in}
    return {"input_values": y_in, "attention_mask": torch.ones_like(y_in, dtype=torch.int32)}


def _kaldi(extractor: Any, window: str) -> Callable[[Tensor], Tensor]:
    """Kaldi's filter bank with the bands of an extractor, which keeps no filters where torchaudio is."""
    from transformers.audio_utils import mel_filter_bank, window_function

    rate = extractor.sampling_rate
    filters = mel_filter_bank(
        num_frequency_bins=257,
        num_mel_filters=extractor.num_mel_bins,
        min_frequency=20,
        max_frequency=rate // 2,
        sampling_rate=rate,
        norm=None,
        mel_scale="kaldi",
        triangularize_in_mel_space=True,
    )
    shape = window_function(_FRAME, window, periodic=False)
    return partial(log_fbank, window=torch.from_numpy(shape), filters=torch.from_numpy(filters))


def _spectrogram_transformer(extractor: Any) -> Twin:
    fbank, frames = _kaldi(extractor, "hann"), extractor.max_length

    def inputs(y: Tensor) -> Inputs:
        # No more than is heard is worked out; what is shorter is followed by zeros.
        x = fbank(y[..., : (frames - 1) * _STEP + _FRAME])
        x = torch.nn.functional.pad(x, (0, 0, 0, frames - x.shape[1]))
        if extractor.do_normalize:
            x = (x - extractor.mean) / (2 * extractor.std)
        return {"input_values": x}

    return inputs


def _whisper(extractor: Any) -> Twin:
    filters, samples = torch.from_numpy(extractor.mel_filters), extractor.n_samples

    def inputs(y: Tensor) -> Inputs:
        y = y[..., :samples]
        y = torch.nn.functional.pad(y, (0, samples - y.shape[-1]), value=extractor.padding_value)
        window = torch.hann_window(extractor.n_fft, dtype=y.dtype, device=y.device)
        spectrum = torch.stft(y, extractor.n_fft, extractor.hop_length, window=window, return_complex=True)[
            ..., :-1
        ]
        power = (spectrum.real.square() + spectrum.imag.square()).contiguous()
        x = (filters.to(power).T @ power).clamp(min=1e-10).log10()
        x = torch.maximum(x, x.amax((1, 2), keepdim=True) - 8)
        return {"input_features": (x + 4) / 4}

    return inputs


def _wav2vec_bert(extractor: Any) -> Twin:
    fbank, stride = _kaldi(extractor, "povey"), extractor.stride

    def inputs(y: Tensor) -> Inputs:
        x = fbank(y * 2**15)
        x = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True) + 1e-7).sqrt()
        rows, heard, bands = x.shape
        # Frames are taken in pairs (in threes, ...), after one more of nothing where their number is odd.
        x = torch.nn.functional.pad(x, (0, 0, 0, heard % 2), value=extractor.padding_value)
        whole = x.shape[1] // stride * stride
        mask = torch.arange(whole, device=y.device) < heard
        at = torch.arange(whole, device=y.device) % stride == 1
        given = {"input_features": x[:, :whole].reshape(rows, whole // stride, bands * stride)}
        if extractor.return_attention_mask:
            given["attention_mask"] = mask[at].int().expand(rows, -1)
        return given

    return inputs
