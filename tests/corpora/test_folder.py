"""A folder of class folders, read as a corpus."""

from __future__ import annotations

import pytest

from subterfuge.corpora import folder
from subterfuge.errors import SubterfugeError


def test_labels_recordings_and_what_is_passed_over(tmp_path):
    for name in (
        "vio/b__2.WAV",
        "vio/b__1.wav",
        "cel/b__1.flac",
        "cel/solo.mp3",
        "cel/notes.txt",
        "stray.wav",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    corpus = folder.read(tmp_path)
    assert corpus.labels == ("cel", "vio")
    assert [(clip.path.name, clip.label, clip.recording) for clip in corpus.clips] == [
        ("b__1.flac", "cel", "cel/b"),
        ("solo.mp3", "cel", "cel/solo"),
        ("b__1.wav", "vio", "vio/b"),
        ("b__2.WAV", "vio", "vio/b"),
    ]


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(SubterfugeError, match="no such folder"):
        folder.read(tmp_path / "none")
    with pytest.raises(SubterfugeError, match="one folder a class"):
        folder.read(tmp_path)
