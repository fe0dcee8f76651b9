"""Audio files: reading and writing any rate, channel count and subtype exactly, and the PCM lattice.

A file in memory is ``(channels, frames)``, its integers divided by their full scale, so that what is
read is in [-1, 1] (files of floats may go beyond and keep what they hold). float32 holds 8, 16 and
24-bit samples exactly; 32-bit integers and doubles are kept in float64.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.files import replacing
from subterfuge.headers import first_bytes, no_samples, not_audio, quiet, reason, refuse_cut

# What is written again exactly as it was: these subtypes in these containers. All else (MP3, Vorbis,
# Opus, mu-law, ADPCM, ...) would be changed once more by encoding it again, so it goes to FLAC.
_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
_FLOATS = {"FLOAT": torch.float32, "DOUBLE": torch.float64}
# The first of each is what a file is given that has none of them.
_EXTENSIONS = {
    "WAV": (".wav", ".wave"),
    "WAVEX": (".wav", ".wave"),
    "RF64": (".wav", ".wave", ".rf64"),
    "W64": (".w64",),
    "AIFF": (".aiff", ".aif", ".aifc"),
    "FLAC": (".flac",),
    "CAF": (".caf",),
    "AU": (".au", ".snd"),
}
_BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class AudioFile:
    """What a file holds, and all that is needed to write another like it.

    Attributes
    ----------
    path : Path
        Where it was read from.
    data : Tensor, shape (channels, frames)
        In [-1, 1] (floats may go beyond): float64 for PCM_32 and DOUBLE, else float32; exact.
    sr : int
        Sample rate in Hz.
    container, subtype, endian : str
        As soundfile names them: ``"WAV"``, ``"PCM_16"``, ``"FILE"``.
    """

    path: Path
    data: Tensor
    sr: int
    container: str
    subtype: str
    endian: str = "FILE"

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.data.shape[0]

    @property
    def frames(self) -> int:
        """Samples a channel."""
        return self.data.shape[1]

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.frames / self.sr

    @property
    def lossy(self) -> bool:
        """Whether writing it again in its own encoding would change it (MP3, OGG, mu-law, ...)."""
        return not (self.container in _EXTENSIONS and (self.subtype in _BITS or self.subtype in _FLOATS))

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest sample that a file like it may hold.

        The lattice's own for integers; for floats [-1, 1], widened to what the file already holds.
        """
        low, high = lattice_bounds(self.subtype)
        if self.subtype in _BITS:
            return low, high
        peak = float(self.data.abs().max())
        return min(low, -peak), max(high, peak)


def read_audio(path: str | Path) -> AudioFile:
    """Read a file exactly as it is: no resampling, no down-mixing, no rounding.

    Parameters
    ----------
    path : str or Path
        WAV (also extensible, RF64, W64), FLAC, AIFF, CAF, AU, OGG (Vorbis, Opus) or MP3.

    Raises
    ------
    SubterfugeError
        If the file is missing, a folder, unreadable, empty, not audio, cut short, damaged, without
        samples, or holds NaN or infinite ones.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.wav"
    >>> _ = save_audio(path, torch.tensor([[0.0, 0.5, -1.0]]), sr=8000, container="WAV", subtype="PCM_16")
    >>> read_audio(path).data
    tensor([[ 0.0000,  0.5000, -1.0000]])
    """
    path = Path(path)
    head = first_bytes(path)
    try:
        with quiet(path, head), soundfile.SoundFile(os.fspath(path)) as file:
            refuse_cut(path, file.extra_info)
            double = file.subtype in ("PCM_32", "DOUBLE")
            samples = file.read(dtype="float64" if double else "float32", always_2d=True)
            promised, sr, endian = file.frames, file.samplerate, file.endian
            container, subtype = file.format, file.subtype
    except MemoryError:
        raise SubterfugeError(f"{path}: does not fit in memory, expected a shorter file") from None
    except (soundfile.SoundFileError, TypeError) as error:
        raise not_audio(path, error) from None
    if samples.size == 0:
        raise no_samples(path)
    # An MP3 without a Xing header knows its length by estimate only.
    if len(samples) < promised and not (subtype.startswith("MPEG") and not re.search(b"Xing|Info", head)):
        raise SubterfugeError(
            f"{path}: is cut short ({len(samples)} of {promised} frames), expected all of it"
        )
    if not np.isfinite(samples).all():
        raise SubterfugeError(f"{path}: holds NaN or infinite samples, expected finite ones")
    data = torch.from_numpy(np.ascontiguousarray(samples.T))
    return AudioFile(path, data, int(sr), container, subtype, endian)


def load_plain(path: str | Path, sr: int) -> Tensor:
    """The plain path that a verdict is given on: ``librosa.load(path, sr=sr)``, nothing of ours between.

    Parameters
    ----------
    path : str or Path
    sr : int
        The victim's sample rate in Hz; librosa averages the channels and resamples by soxr (HQ).

    Returns
    -------
    y : Tensor of float32, shape (1, samples)

    Raises
    ------
    SubterfugeError
        If the file cannot be read, or holds no samples at that rate.
    """
    import librosa

    path = Path(path)
    head = first_bytes(path)
    try:
        with quiet(path, head), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of another way to read it, which will fail too
            y, _ = librosa.load(os.fspath(path), sr=sr)
    except MemoryError:
        raise SubterfugeError(f"{path}: does not fit in memory, expected a shorter file") from None
    except Exception as error:  # whatever librosa's backends raise, the file is what is wrong
        raise SubterfugeError(f"{path}: is not audio that librosa can read ({reason(error)})") from None
    if y.size == 0:
        raise SubterfugeError(f"{path}: holds no samples at {sr} Hz, expected at least one")
    return torch.from_numpy(np.ascontiguousarray(y, dtype=np.float32))[None]


def save_audio(
    path: str | Path, data: Tensor, *, sr: int, container: str, subtype: str, endian: str = "FILE"
) -> Path:
    """Write samples exactly, whole or not at all, and read them back before they take the place of ``path``.

    Parameters
    ----------
    path : str or Path
    data : Tensor, shape (channels, frames)
        On the subtype's lattice (:func:`to_lattice`).
    sr : int
        Sample rate in Hz.
    container, subtype, endian : str
        As soundfile names them; the subtype one of PCM_S8, PCM_U8, PCM_16, PCM_24, PCM_32, FLOAT, DOUBLE.

    Raises
    ------
    SubterfugeError
        If the samples are off the lattice or not finite, the container cannot hold them, or the file
        cannot be written.
    """
    path = Path(path)
    if data.ndim != 2 or data.numel() == 0:
        raise SubterfugeError(
            f"{path}: got samples of shape {tuple(data.shape)}, expected (channels, frames)"
        )
    data = data.detach().cpu()
    _refuse_off_lattice(path, data, subtype)
    with replacing(path) as part:
        try:
            _write(part, data, sr, container, subtype, endian)
            same = _holds(part, data, subtype)
        except (soundfile.SoundFileError, AssertionError, ValueError, TypeError) as error:
            raise SubterfugeError(
                f"{path}: cannot be written as {container} {subtype}, {data.shape[0]} channels, {sr} Hz "
                f"({reason(error)})"
            ) from None
        if not same:
            raise SubterfugeError(f"{path}: cannot be written whole (is the disk full?)")
    return path


def write_audio(path: str | Path, data: Tensor, like: AudioFile) -> Path:
    """Write a file with the rate, channels, length, subtype and container of another; never over it.

    Parameters
    ----------
    path : str or Path
    data : Tensor, shape (channels, frames)
        On the lattice of ``like`` (of ``lossless(like)`` where ``like`` is lossy).
    like : AudioFile

    Raises
    ------
    SubterfugeError
        If ``path`` is the file that ``like`` was read from, the shapes differ, or as :func:`save_audio`.
    """
    path = Path(path)
    if same_file(path, like.path):
        raise SubterfugeError(f"{path}: is the input itself, expected another place to write to")
    if data.shape != like.data.shape:
        raise SubterfugeError(
            f"{path}: got samples of shape {tuple(data.shape)}, expected {tuple(like.data.shape)} "
            f"as in {like.path.name}"
        )
    container, subtype = _written_as(like)
    endian = like.endian if container == like.container else "FILE"
    return save_audio(path, data, sr=like.sr, container=container, subtype=subtype, endian=endian)


def lossless(file: AudioFile) -> AudioFile:
    """The file as it can be written: itself, or where it is lossy its samples as 24-bit FLAC ones.

    Beyond full scale (which a decoded MP3 may go) they are clipped, as any player would. More than
    8 channels, which FLAC cannot hold, make it a WAV.
    """
    if not file.lossy:
        return file
    container, subtype = _written_as(file)
    return replace(
        file, data=to_lattice(file.data, subtype), container=container, subtype=subtype, endian="FILE"
    )


def lossless_note(file: AudioFile) -> str | None:
    """One line that says why a lossy file's result has another container; None where it has not."""
    if not file.lossy:
        return None
    container, subtype = _written_as(file)
    low, high = lattice_bounds(subtype)
    beyond = int(((file.data < low) | (file.data > high)).sum())
    clipped = f", {beyond:,} samples beyond full scale clipped" if beyond else ""
    return (
        f"{file.path.name}: is {_encoding(file)}, which would change the result once more, "
        f"so it is written as {_BITS[subtype]}-bit {container}{clipped}"
    )


def output_for(file: AudioFile, out_dir: str | Path, tag: str) -> Path:
    """Where the result of an attack on ``file`` goes: ``<out_dir>/<stem>-to-<tag>.<extension>``.

    The extension is the input's own where that fits its container (``.flac`` where it is lossy);
    characters of the tag that file names had better not hold become ``_``.

    Examples
    --------
    >>> mp3 = AudioFile(Path("a/flute.mp3"), torch.zeros(1, 9), 44100, "MP3", "MPEG_LAYER_III")
    >>> output_for(mp3, "out", "tru").as_posix()
    'out/flute-to-tru.flac'
    """
    container, _ = _written_as(file)
    own, usual = file.path.suffix, _EXTENSIONS[container]
    extension = own if own.lower() in usual else usual[0]
    safe = re.sub(r"[^\w.+-]", "_", tag)
    return Path(out_dir) / f"{file.path.stem}-to-{safe}{extension}"


def same_file(a: str | Path, b: str | Path) -> bool:
    """Whether two paths lead to the same file, by links too, whether or not it exists."""
    a, b = Path(a), Path(b)
    try:
        return a.samefile(b)
    except OSError:
        return a.resolve() == b.resolve()


def lattice_step(subtype: str) -> float | None:
    """Distance between neighbouring samples of an integer subtype; None where samples are floats.

    Examples
    --------
    >>> lattice_step("PCM_16") == 2**-15, lattice_step("FLOAT")
    (True, None)
    """
    return 2.0 ** (1 - _BITS[subtype]) if subtype in _BITS else None


def lattice_bounds(subtype: str) -> tuple[float, float]:
    """Least and greatest sample: [-1, 1 - step] for integers, [-1, 1] for floats (by convention only)."""
    step = lattice_step(subtype)
    return -1.0, 1.0 if step is None else 1.0 - step


def to_lattice(x: Tensor, subtype: str) -> Tensor:
    """The nearest samples that a subtype can hold, clipped to its range; floats are not clipped.

    Parameters
    ----------
    x : Tensor
        Any shape, finite; full scale is 1.
    subtype : str
        PCM_S8, PCM_U8, PCM_16, PCM_24, PCM_32, FLOAT or DOUBLE.

    Returns
    -------
    Tensor
        Shape of ``x``; float64 for PCM_32 and DOUBLE, else float32; exactly what is read back.

    Raises
    ------
    SubterfugeError
        If a sample is NaN or infinite, or the subtype has no exact samples.
    """
    if not bool(torch.isfinite(x).all()):
        raise SubterfugeError("audio: the samples hold NaN or infinite values, expected finite ones")
    if subtype in _FLOATS:
        return x.to(_FLOATS[subtype])
    if subtype not in _BITS:
        raise SubterfugeError(
            f"audio: got subtype {subtype!r}, expected one of {', '.join([*_BITS, *_FLOATS])}"
        )
    scale = 2.0 ** (_BITS[subtype] - 1)
    # A power of two scales without rounding, so float32 will do, but for the upper end of 32 bits.
    wide = x.double() if _BITS[subtype] == 32 else x if x.dtype == torch.float64 else x.float()
    integers = (wide * scale).round_().clamp_(-scale, scale - 1)
    return integers.div_(scale).to(torch.float64 if _BITS[subtype] == 32 else torch.float32)


def _refuse_off_lattice(path: Path, data: Tensor, subtype: str) -> None:
    for block in torch.split(data, _BLOCK, dim=1):
        nearest = to_lattice(block, subtype)
        if not torch.equal(nearest.double(), block.double()):
            raise SubterfugeError(f"{path}: the samples are not {subtype} ones, expected to_lattice of them")


def _as_stored(data: Tensor, subtype: str) -> Iterator[np.ndarray]:
    """Samples as soundfile takes and gives them without rounding, in blocks of (frames, channels)."""
    for block in torch.split(data, _BLOCK, dim=1):
        frames = block.T.contiguous()
        if subtype in _FLOATS:
            yield frames.to(_FLOATS[subtype]).numpy()
        else:  # left-aligned in 32 bits, whatever the subtype: libsndfile then only shifts
            yield (frames.double() * 2.0**31).to(torch.int32).numpy()


def _write(path: Path, data: Tensor, sr: int, container: str, subtype: str, endian: str) -> None:
    channels, frames = data.shape
    name = os.fspath(path)
    with soundfile.SoundFile(name, "w", int(sr), channels, subtype, endian, container) as file:
        for block in _as_stored(data, subtype):
            file.write(block)
    if container == "AIFF" and channels == 1 and _BITS.get(subtype) == 8 and frames % 2:
        _uncount_padding(path, frames)


def _uncount_padding(path: Path, frames: int) -> None:
    """Put an AIFF's length right: of an odd number of bytes libsndfile counts the padding byte as sound."""
    with path.open("r+b") as file:
        head = file.read(512)
        for chunk, offset, value in ((b"COMM", 10, frames), (b"SSND", 4, frames + 8)):
            file.seek(head.index(chunk) + offset)
            file.write(value.to_bytes(4, "big"))


def _holds(path: Path, data: Tensor, subtype: str) -> bool:
    """Whether a file holds just these samples: a full disk is not always reported when writing."""
    with soundfile.SoundFile(os.fspath(path)) as file:
        return file.frames == data.shape[1] and all(
            np.array_equal(file.read(len(block), dtype=block.dtype.name, always_2d=True), block)
            for block in _as_stored(data, subtype)
        )


def _written_as(file: AudioFile) -> tuple[str, str]:
    """Container and subtype of the files written for this one."""
    if not file.lossy:
        return file.container, file.subtype
    # 24 bits hold a decoded MP3 or OGG with an error 40 dB under what 16 bits would leave.
    flac = file.channels <= 8 and (file.sr <= 65535 or (file.sr <= 655350 and file.sr % 10 == 0))
    return ("FLAC" if flac else "WAV"), "PCM_24"


def _encoding(file: AudioFile) -> str:
    if file.container in ("MP3", "OGG"):
        return file.container
    return f"{file.container} {file.subtype}"
