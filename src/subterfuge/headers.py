"""What is known of a sound file without decoding it: what its header says, and whether all of it is there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import soundfile

from subterfuge.errors import SubterfugeError
from subterfuge.files import why


@dataclass(frozen=True)
class Header:
    """What a file's header says.

    Attributes
    ----------
    frames : int
        Samples a channel (of some MP3 files an estimate).
    sample_rate : int
        In Hz.
    channels : int
    container, subtype : str
        As soundfile names them: ``"WAV"``, ``"PCM_16"``.
    """

    frames: int
    sample_rate: int
    channels: int
    container: str
    subtype: str

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.frames / self.sample_rate


def read_header(path: str | Path) -> Header:
    """Open a sound file, read its header and close it again; about 0.2 ms.

    Raises
    ------
    SubterfugeError
        If the file is missing, a folder, unreadable, empty, not audio, holds no samples, or is shorter
        than its header says (which the header of a WAV, AIFF or OGG shows, but that of a FLAC does not).

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.wav"
    >>> soundfile.write(path, [0.0] * 4000, 8000)
    >>> read_header(path).seconds
    0.5
    """
    path = Path(path)
    head = first_bytes(path, 16)
    try:
        with quiet(path, head), soundfile.SoundFile(os.fspath(path)) as file:
            refuse_cut(path, file.extra_info)
            header = Header(file.frames, file.samplerate, file.channels, file.format, file.subtype)
    except (soundfile.SoundFileError, TypeError) as error:
        raise not_audio(path, error) from None
    if header.frames < 1:
        raise no_samples(path)
    return header


def not_audio(path: Path, error: BaseException) -> SubterfugeError:
    """What to raise where libsndfile can make nothing of a file."""
    return SubterfugeError(
        f"{path}: is not audio that can be read, or is damaged ({reason(error)}), "
        "expected WAV, FLAC, AIFF, OGG or MP3"
    )


def no_samples(path: Path) -> SubterfugeError:
    """What to raise where a file is audio, but of no length."""
    return SubterfugeError(f"{path}: holds no samples (or is cut short), expected at least one")


def first_bytes(path: Path, count: int = 1 << 16) -> bytes:
    """The start of a file, once it is sure that it is one, can be read and is not empty."""
    try:
        if path.is_dir():
            raise SubterfugeError(f"{path}: is a folder, expected an audio file")
        if path.exists() and not path.is_file():
            raise SubterfugeError(f"{path}: is not a regular file, expected an audio file")
        with path.open("rb") as file:
            head = file.read(count)
    except FileNotFoundError:
        raise SubterfugeError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        if isinstance(error, SubterfugeError):
            raise
        raise SubterfugeError(f"{path}: cannot be read ({why(error)})") from None
    if not head:
        raise SubterfugeError(f"{path}: is empty, expected an audio file")
    return head


def refuse_cut(path: Path, log: str) -> None:
    """Refuse a file whose header promises more than there is; libsndfile only mentions it in its log."""
    sizes = re.findall(r"^\s*(?:data|SSND|Data Size|riff)\s*:\s*(\d+) \(should be (\d+)\)", log, re.MULTILINE)
    frames = re.findall(r"frame count (\d+) does not match value from 'ds64' chunk of (\d+)", log)
    if re.search(r"^\s*Ogg ?: (?:Junk after|File ended unexpectedly)", log, re.MULTILINE):
        raise SubterfugeError(f"{path}: is cut short (its last page is not whole), expected all of it")
    for promised, held in sizes + [(b, a) for a, b in frames]:
        # A stream's writer cannot go back to say how long it became, and leaves the largest number.
        if int(held) < int(promised) < 0x7FFFF000:
            raise SubterfugeError(
                f"{path}: is cut short (its header promises {promised}, it holds {held}), expected all of it"
            )


def reason(error: BaseException) -> str:
    """The last part of a library's message, without the path that it repeats."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    text = re.sub(r"^Error opening .*?: (?=[A-Z])", "", lines[0]).removeprefix("Error : ").replace(". ", ": ")
    return "format not recognised" if "not a regular file" in text else why(ValueError(text))


@contextmanager
def quiet(path: Path, head: bytes) -> Iterator[None]:
    """Keep libmpg123's own chatter off standard error while an MP3 (or what is called one) is read."""
    mp3 = path.suffix.lower() == ".mp3" or head[:3] == b"ID3" or (head[0] == 0xFF and head[1:2] >= b"\xe0")
    if not mp3:
        yield
        return
    saved, void = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(void, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(void)
