"""The transforms by name: what is drawn by default, and the strengths that survival is reported at."""

from __future__ import annotations

from collections.abc import Iterable

from subterfuge.errors import SubterfugeError
from subterfuge.names import did_you_mean
from subterfuge.transforms.crop import Crop
from subterfuge.transforms.gain import Gain
from subterfuge.transforms.mp3 import Mp3
from subterfuge.transforms.noise import Noise
from subterfuge.transforms.resample import Resample
from subterfuge.transforms.shift import Shift
from subterfuge.transforms.transform import Transform

TRANSFORMS: dict[str, Transform] = {
    "mp3": Mp3(),
    "resample": Resample(),
    "gain": Gain(),
    "shift": Shift(),
    "noise": Noise(),
    "crop": Crop(),
}

# From mild to strong.
STRENGTHS: dict[str, dict[str, Transform]] = {
    "mp3": {f"{k} kbit/s": Mp3(k, k) for k in (256, 192, 128, 96, 64)},
    "resample": {f"{k} kHz": Resample(1000 * k, 1000 * k) for k in (32, 24, 16, 12, 8)},
    "gain": {f"{db} dB": Gain(db, db) for db in (1, 3, 6, 12)},
    "shift": {f"{ms} ms": Shift(ms / 1000, ms / 1000) for ms in (1, 10, 50, 200)},
    "noise": {f"{db} dB SNR": Noise(db, db) for db in (60, 50, 40, 30, 20)},
    "crop": {f"{percent} %": Crop(percent / 100, percent / 100) for percent in (5, 10, 20, 40)},
}


def named(names: str | Iterable[str]) -> tuple[Transform, ...]:
    """The transforms of those names, each once; ``all`` stands for all there are.

    Parameters
    ----------
    names : str or iterable of str
        Such as ``"mp3,gain"``.

    Raises
    ------
    SubterfugeError
        If there are none, or one is unknown; the message names the nearest.

    Examples
    --------
    >>> [one.name for one in named("gain, mp3")]
    ['gain', 'mp3']
    """
    parts = names.split(",") if isinstance(names, str) else list(names)
    wanted = list(dict.fromkeys(part.strip().casefold() for part in parts if part.strip()))
    if not wanted:
        raise SubterfugeError(f"survive: got nothing, expected some of {', '.join(TRANSFORMS)}, or all")
    if wanted == ["all"]:
        return tuple(TRANSFORMS.values())
    for name in wanted:
        if name not in TRANSFORMS:
            expected = f"expected some of {', '.join(TRANSFORMS)}, or all"
            hint = did_you_mean(name, TRANSFORMS, count=1) or expected
            raise SubterfugeError(f"survive: got {name!r}, {hint}")
    return tuple(TRANSFORMS[name] for name in wanted)
