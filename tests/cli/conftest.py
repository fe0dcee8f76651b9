"""Small victims for the command line: SVCs that tell four synthetic timbres."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from small_band import LABELS, RATE, Answer, Command, sound

from subterfuge.cli.main import run
from subterfuge.victims.plain import librosa25_plain
from subterfuge.victims.store import save_victim


@pytest.fixture(scope="session")
def victims(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two victims: ``band``, with probabilities, and ``mute``, without."""
    folder = tmp_path_factory.mktemp("victims")
    x = [librosa25_plain(sound(label, seed=s)[:, 0], sr=RATE) for label in LABELS for s in range(12)]
    y = np.repeat(np.arange(len(LABELS)), 12)
    for name, probability in (("band", True), ("mute", False)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn's farewell to the probabilities of an SVC
            model = make_pipeline(StandardScaler(), SVC(probability=probability, random_state=0)).fit(x, y)
        save_victim(model, labels=LABELS, sample_rate=RATE, out=folder / name)
    return folder


@pytest.fixture
def command(
    tmp_path: Path, victims: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """Run a command line in this process, in an empty folder that has ``victims/band`` and ``mute``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "victims").symlink_to(victims)

    def call(*arguments: object) -> Answer:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    yield call


@pytest.fixture
def flute(tmp_path: Path) -> Path:
    """A clip of the flute, half a second, 16 bit."""
    path = tmp_path / "flute.wav"
    soundfile.write(path, sound("flu", seed=100), RATE, subtype="PCM_16")
    return path
