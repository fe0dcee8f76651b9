"""Headers say what the whole file, decoded, bears out; what is no sound is refused as when it is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from subterfuge.audio import read_audio
from subterfuge.errors import SubterfugeError
from subterfuge.headers import read_header


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_16"),
        ("a.wav", "DOUBLE"),
        ("a.flac", "PCM_24"),
        ("a.aiff", "PCM_S8"),
        ("a.ogg", "VORBIS"),
    ],
)
@pytest.mark.parametrize(("frames", "channels", "sr"), [(2, 1, 8000), (4801, 2, 48000)])
def test_a_header_agrees_with_the_file(
    tmp_path: Path, name: str, subtype: str, frames: int, channels: int, sr: int
) -> None:
    path = tmp_path / name
    soundfile.write(path, np.full((frames, channels), 0.25), sr, subtype=subtype)
    header, file = read_header(path), read_audio(path)
    assert (header.frames, header.channels, header.sample_rate) == (file.frames, file.channels, file.sr)
    assert (header.container, header.subtype) == (file.container, file.subtype)
    assert header.seconds == pytest.approx(frames / sr)


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "cut", "no samples"])
def test_what_is_no_sound_is_refused_alike(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.wav"
    if kind == "folder":
        path.mkdir()
    elif kind in ("cut", "no samples"):
        soundfile.write(path, np.zeros(0 if kind == "no samples" else 1000), 8000)
        if kind == "cut":
            path.write_bytes(path.read_bytes()[:-100])
    elif kind != "missing":
        path.write_bytes(b"" if kind == "empty" else b"RIFF of no kind")
    said = []
    for read in (read_header, read_audio):
        with pytest.raises(SubterfugeError) as error:
            read(path)
        said.append(str(error.value))
    assert said[0] == said[1]
