"""A small IRMAS in the real one's layout and names, as folders and as zip archives, made in the test."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile

from subterfuge.corpora.zenodo import Archive

RATE = 8000

TRAINING = {
    "IRMAS-TrainingData/cel/008__[cel][nod][cla]0058__1.wav": (),
    "IRMAS-TrainingData/cel/008__[cel][nod][cla]0058__2.wav": (),
    "IRMAS-TrainingData/cel/[cel][pop_roc]0006__1.wav": (),
    "IRMAS-TrainingData/flu/008__[flu][nod][cla]0393__1.wav": (),
    "IRMAS-TrainingData/flu/[flu][jaz_blu]0423__3.wav": (),
    "IRMAS-TrainingData/gel/001__[gel][dru][pop_roc]0829__1.wav": (),
    "IRMAS-TrainingData/tru/[tru][cla]1954__1.wav": (),
    "IRMAS-TrainingData/tru/[tru][cla]1954__3.wav": (),
    "IRMAS-TrainingData/voi/[voi][pop_roc]2353__3.wav": (),
}

# The real archives' inner folders have no one scheme of names; text files have tabs, blanks and empty lines.
TESTING = {
    "IRMAS-TestingData-Part1/Part1/01 Emily-30.wav": "sax\t\npia\t\n",
    "IRMAS-TestingData-Part1/Part1/01 Emily-7.wav": "sax\n",
    "IRMAS-TestingData-Part1/Part1/01 - Canto das tre\u0302s rac\u0327as-13.wav": "voi\r\n\r\n",
    "IRMAS-TestingData-Part2/IRTestingData-Part2/The Failure-1.wav": " gel \n\ngac",
    "IRMAS-TestingData-Part2/IRTestingData-Part2/01. Flight Time-14.wav": "org\npia\norg\n",
    "IRMAS-TestingData-Part3/Part3/Four Tet - Love Cry-27.wav": "\ufeffgel\n",
}


def sound(name: str, seconds: float = 0.05) -> np.ndarray:
    """Noise of its own for each name, shape (frames, 2)."""
    rng = np.random.default_rng(int.from_bytes(hashlib.md5(name.encode()).digest()[:4], "big"))
    return rng.uniform(-0.5, 0.5, (round(seconds * RATE), 2))


def write(root: Path, files: Mapping[str, str | tuple[()]]) -> Path:
    """The clips, and a text file beside each that has labels."""
    for name, labels in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound(name), RATE, subtype="PCM_16")
        if isinstance(labels, str):
            path.with_suffix(".txt").write_text(labels, encoding="utf-8", newline="")
    return root


def pack(root: Path, folder: str, to: Path) -> Archive:
    """The zip archive of one of the folders, with what macOS adds; its facts."""
    name = f"{folder}.zip"
    with zipfile.ZipFile(to / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((root / folder).rglob("*")):
            archive.write(path, path.relative_to(root))
        archive.writestr(f"{folder}/.DS_Store", "x")
        archive.writestr(f"__MACOSX/{folder}/._a.wav", "x")
    md5 = hashlib.md5((to / name).read_bytes()).hexdigest()
    return Archive(name, md5, "training" if "Training" in name else "testing")


def pack_all(root: Path, to: Path) -> tuple[Archive, ...]:
    """The archives of everything below a folder."""
    return tuple(pack(root, path.name, to) for path in sorted(root.iterdir()) if path.is_dir())
