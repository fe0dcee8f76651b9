"""The 25 features as the published experiment took them: librosa's own calls, one clip at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def librosa25_plain(y: NDArray[Any], sr: float = 44100) -> NDArray[np.float64]:
    """Means over time of librosa's RMS, centroid, bandwidth, rolloff, zero crossings and 20 MFCCs.

    All with librosa's defaults at the given rate.

    Parameters
    ----------
    y : array of float, shape (samples,)
        One mono clip in [-1, 1].
    sr : float
        Its sample rate in Hz.

    Returns
    -------
    array of float64, shape (25,)
    """
    import librosa

    y = np.asarray(y)
    feature = librosa.feature
    means = [
        np.mean(feature.rms(y=y)),
        np.mean(feature.spectral_centroid(y=y, sr=sr)),
        np.mean(feature.spectral_bandwidth(y=y, sr=sr)),
        np.mean(feature.spectral_rolloff(y=y, sr=sr)),
        np.mean(feature.zero_crossing_rate(y)),
        *np.mean(feature.mfcc(y=y, sr=sr), axis=1),
    ]
    return np.asarray(means, dtype=np.float64)
