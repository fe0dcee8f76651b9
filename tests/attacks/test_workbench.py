"""A file in, a file out: every claim judged again here, by librosa and scikit-learn, from what is on disk."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from subterfuge import attack_file
from subterfuge.attacks import workbench
from subterfuge.attacks.record import Record
from subterfuge.audibility.compare import compare_files
from subterfuge.audibility.metrics import Audibility, measure_audibility, verdict
from subterfuge.criteria import Targeted, Untargeted
from subterfuge.errors import SubterfugeError
from subterfuge.victims.plain import librosa25_plain
from subterfuge.victims.svm import SvmVictim
from subterfuge.victims.victim import Hearing

RATE = 22050
LABELS = ("dull", "hollow", "bright")
PARTIALS = {"dull": (1, 0.1), "hollow": (1, 0, 0.7, 0, 0.4), "bright": (0.4, 1, 1, 1)}


def sound(label: str, *, seed: int, sr: int = RATE, channels: int = 1, seconds: float = 0.4) -> np.ndarray:
    """A note of that timbre, shape (frames, channels), peak 0.5."""
    rng = np.random.default_rng(seed)
    t, f0 = np.arange(round(seconds * RATE)) / RATE, rng.uniform(250, 600)
    notes = []
    for channel in range(channels):
        y = sum(a * np.sin(2 * np.pi * f0 * k * t + channel) for k, a in enumerate(PARTIALS[label], 1))
        y = y + rng.normal(0, 0.02, len(t))
        if sr != RATE:  # so that another rate sounds the same
            y = librosa.resample(y, orig_sr=RATE, target_sr=sr)
        notes.append(0.5 * y / np.abs(y).max())
    return np.stack(notes, 1)


@pytest.fixture(scope="module")
def victim() -> SvmVictim:
    x = [librosa25_plain(sound(label, seed=s)[:, 0], sr=RATE) for label in LABELS for s in range(10)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's farewell to the probabilities of an SVC
        model = make_pipeline(StandardScaler(), SVC(probability=True, random_state=0))
        model.fit(x, np.repeat(np.arange(len(LABELS)), 10))
    return SvmVictim(model, labels=LABELS, sample_rate=RATE)


def write(path: Path, y: np.ndarray, *, sr: int = RATE, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, y, sr, subtype=subtype)
    return path


def judged(path: str | Path, victim: SvmVictim) -> tuple[str, np.ndarray]:
    """Label and probabilities, by librosa and scikit-learn alone."""
    y, _ = librosa.load(path, sr=RATE)
    vector = librosa25_plain(y, sr=RATE)[None]
    return LABELS[victim.model.predict(vector)[0]], victim.model.predict_proba(vector)[0]


def samples(path: str | Path) -> np.ndarray:
    return np.asarray(soundfile.read(path, dtype="float64", always_2d=True)[0])


def run(path: Path, victim: Any, criterion: Any, **options: Any) -> Record:
    """An attack of 60 steps, into a folder beside the file; what holds of every record is checked."""
    out = path.parent / "out"
    out.mkdir(exist_ok=True)
    before = path.read_bytes()
    record = attack_file(path, victim=victim, criterion=criterion, out=out, **({"steps": 60} | options))
    assert path.read_bytes() == before, "the input was changed"
    written = Path(record.output)
    assert written.parent == out
    held = json.loads(
        written.with_suffix(".json").read_text(encoding="utf-8"),
        parse_constant=lambda word: pytest.fail(f"{word} is not JSON"),
    )
    assert list(held) == [field.name for field in fields(Record)]
    for name, value in held.items():
        if name != "snr_db":
            assert value == getattr(record, name)
    assert held["snr_db"] == (record.snr_db if math.isfinite(record.snr_db) else None)
    a, b = soundfile.info(path), soundfile.info(written)
    assert (a.samplerate, a.channels, a.frames) == (b.samplerate, b.channels, b.frames)
    assert not list(out.glob(".*")), "temporary files were left"
    return record


@pytest.mark.parametrize(
    ("sr", "channels", "subtype"),
    [(RATE, 1, "PCM_16"), (44100, 2, "PCM_16"), (18000, 1, "PCM_24"), (48000, 2, "FLOAT")],
)
def test_claims_are_what_the_file_on_disk_is_heard_as(
    victim: SvmVictim, tmp_path: Path, sr: int, channels: int, subtype: str
) -> None:
    path = write(tmp_path / "a.wav", sound("dull", seed=50, sr=sr, channels=channels), sr=sr, subtype=subtype)
    first = judged(path, victim)[0]
    wanted = "bright" if first != "bright" else "dull"
    record = run(path, victim, Targeted(wanted), victim_name="band", seed=3, attack="ddn")
    assert record.success
    assert Path(record.output).name == f"a-to-{wanted}.wav"
    assert soundfile.info(record.output).subtype == subtype
    for file, label, probabilities in (
        (record.input, record.predicted_before, record.probabilities_before),
        (record.output, record.predicted_after, record.probabilities_after),
    ):
        heard, reported = judged(file, victim)
        assert label == heard
        assert probabilities == dict(zip(LABELS, reported.tolist(), strict=True))
    assert (record.predicted_before, record.predicted_after, record.target) == (first, wanted, wanted)
    x, y = samples(record.input), samples(record.output)
    snr = 10 * math.log10((x**2).sum() / ((y - x) ** 2).sum())
    assert record.snr_db == pytest.approx(snr, abs=1e-6) and snr > 10
    assert (record.victim, record.attack, record.seed) == ("band", "ddn", 3)
    assert record.notes == [] and record.seconds > 0
    # Sixty steps, the two verdicts, and at least one look at the rounded samples.
    assert 60 < record.queries["forward"] < 120
    assert 0 < record.queries["backward"] <= record.queries["forward"]


def test_the_default_attack_is_masked_and_its_own_steps_are_kept(victim: SvmVictim, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", sound("dull", seed=51))
    record = run(path, victim, Targeted("bright"), steps=None, budget=90)
    assert record.success and record.attack == "masked"
    assert judged(record.output, victim)[0] == "bright"
    assert 90 < record.queries["forward"] < 130


class Liar(SvmVictim):
    """Hears whatever is wanted of it, but for the plain path."""

    def hear(self, y: torch.Tensor, **asked: bool) -> Hearing:
        hearing = super().hear(y, **asked)
        return Hearing(
            hearing.scores, torch.full_like(hearing.predicted, 2), hearing.probabilities, hearing.guide
        )


def test_no_success_is_claimed_on_the_search_s_word(victim: SvmVictim, tmp_path: Path) -> None:
    liar = Liar(victim.model, labels=LABELS, sample_rate=RATE)
    path = write(tmp_path / "a.wav", sound("dull", seed=52))
    record = run(path, liar, Targeted("bright"), steps=4)
    assert not record.success
    assert record.predicted_after == judged(record.output, victim)[0] == "dull"


@pytest.mark.parametrize("after", [3, 40])
def test_ctrl_c_keeps_the_best_attempt(victim: SvmVictim, tmp_path: Path, after: int) -> None:
    path = write(tmp_path / "a.wav", sound("dull", seed=53))
    said: list[str] = []

    def report(text: str) -> None:
        said.append(text)
        if len(said) == after:
            raise KeyboardInterrupt

    record = run(path, victim, Targeted("bright"), steps=100000, attack="minimal", report=report)
    assert len(said) == after
    assert [note.startswith("interrupted") for note in record.notes] == [True]
    assert record.success == (judged(record.output, victim)[0] == "bright") == (after == 40)
    assert not np.array_equal(samples(path), samples(record.output)), "the input is no attempt"


def test_progress_is_told_in_words(victim: SvmVictim, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", sound("dull", seed=53))
    said: list[str] = []
    record = run(path, victim, Targeted("bright"), attack="minimal", report=said.append)
    assert all(re.fullmatch(r"[\d,]+ queries(, best SNR -?[\d.]+ dB)?", text) for text in said)
    assert said[0] == "1 queries" and said[-1].startswith(f"{len(said)} queries, best SNR ")
    # What the file says of itself in the end is what was promised, but for the lattice.
    promised = float(said[-1].split("SNR ")[1].split()[0])
    assert record.snr_db == pytest.approx(promised, abs=0.5)


@pytest.mark.parametrize("peak", [0.9, 2.5])
def test_floats_may_lie_beyond_full_scale(victim: SvmVictim, tmp_path: Path, peak: float) -> None:
    y = sound("dull", seed=54, sr=44100, channels=2)
    y[4000:4003] = [[peak, -peak], [peak, peak], [-peak, peak]]
    path = write(tmp_path / "a.wav", y, sr=44100, subtype="FLOAT")
    assert judged(path, victim)[0] == "dull"
    record = run(path, victim, Targeted("bright"))
    assert record.success and judged(record.output, victim)[0] == "bright"
    changed = samples(record.output)
    assert np.abs(changed).max() <= max(1.0, peak) + 1e-6
    if peak > 1:
        assert np.abs(changed).max() > 0.95 * peak, "the clip was turned down or clipped"
    assert record.snr_db > 10


@pytest.mark.parametrize("sr", [RATE, 44100])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_U8", "FLOAT"])
def test_each_channel_is_changed_alike(victim: SvmVictim, tmp_path: Path, sr: int, subtype: str) -> None:
    path = write(tmp_path / "a.wav", sound("dull", seed=55, sr=sr, channels=2), sr=sr, subtype=subtype)
    record = run(path, victim, Targeted("bright"))
    change = samples(record.output) - samples(path)
    apart = np.abs(change[:, 0] - change[:, 1]).max()
    step = {"PCM_16": 2.0**-15, "PCM_24": 2.0**-23, "PCM_U8": 2.0**-7, "FLOAT": 1e-7}[subtype]
    assert np.abs(change).max() > 0
    assert apart <= step * (1 + 1e-9)


def test_silence(victim: SvmVictim, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.zeros((8000, 2)))
    heard = judged(path, victim)[0]
    for wanted in LABELS:
        record = run(path, victim, Targeted(wanted), steps=200)
        assert record.predicted_before == heard
        assert record.success == (judged(record.output, victim)[0] == wanted)
        assert record.snr_db == (math.inf if wanted == heard else -math.inf)


@pytest.mark.parametrize("frames", [1, 2, 17])
@pytest.mark.parametrize("sr", [RATE, 44100])
def test_next_to_no_samples(victim: SvmVictim, tmp_path: Path, sr: int, frames: int) -> None:
    path = write(tmp_path / "a.wav", np.full((frames, 1), 0.25), sr=sr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa's, of clips shorter than a window
        record = run(path, victim, Untargeted(), steps=20)
        assert record.success == (judged(record.output, victim)[0] != record.predicted_before)


def test_an_mp3_comes_back_as_flac(victim: SvmVictim, tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, sound("dull", seed=56, sr=44100), 44100, format="MP3")
    record = run(path, victim, Targeted("bright"))
    info = soundfile.info(record.output)
    assert (Path(record.output).name, info.format, info.subtype) == ("a-to-bright.flac", "FLAC", "PCM_24")
    assert len(record.notes) == 1 and record.notes[0].startswith("a.mp3: is MP3")
    assert record.success and judged(record.output, victim)[0] == "bright"
    x, y = samples(path), samples(record.output)
    assert record.snr_db == pytest.approx(10 * math.log10((x**2).sum() / ((y - x) ** 2).sum()), abs=0.01)


def test_the_same_seed_gives_the_same_bytes(victim: SvmVictim, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", sound("hollow", seed=57))
    outs = []
    for _ in range(2):
        torch.manual_seed(len(outs))  # nothing is drawn from the global generator
        record = run(path, victim, Targeted("bright"), seed=11)
        outs.append((Path(record.output).read_bytes(), record.queries, record.snr_db))
        assert record.seed == 11
    assert outs[0] == outs[1]


def test_a_file_heard_as_wanted_is_left_as_it_is(victim: SvmVictim, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", sound("dull", seed=58, channels=2))
    record = run(path, victim, Targeted("dull"))
    assert record.success and record.predicted_before == record.predicted_after == "dull"
    assert np.array_equal(samples(path), samples(record.output))
    assert record.queries == {"forward": 2, "backward": 0}
    assert record.snr_db == math.inf and record.notes == []


def test_a_confidence_not_yet_reached_is_worked_for(victim: SvmVictim, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", sound("dull", seed=59))
    record = run(path, victim, Targeted("bright", confidence=0.6), steps=150)
    heard, probabilities = judged(record.output, victim)
    assert record.success and heard == "bright" and probabilities[LABELS.index("bright")] >= 0.6
    plain = run(path, victim, Targeted("bright"), steps=150)
    assert plain.snr_db > record.snr_db


def test_away(victim: SvmVictim, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", sound("dull", seed=60))
    record = run(path, victim, Untargeted())
    assert (record.target, Path(record.output).name) == ("not-dull", "a-to-away.wav")
    assert record.success and judged(record.output, victim)[0] != "dull"


def test_failure_is_a_status_with_the_nearest_attempt(victim: SvmVictim, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", sound("dull", seed=61))
    record = run(path, victim, Targeted("bright"), budget=4)
    assert not record.success
    assert record.predicted_after == judged(record.output, victim)[0]
    assert not np.array_equal(samples(path), samples(record.output))
    assert record.queries["forward"] == 6  # the budget and the two verdicts


def test_bad_input_writes_nothing(victim: SvmVictim, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", sound("dull", seed=62))
    out = tmp_path / "out"
    out.mkdir()
    for wrong, message in (
        ({"attack": "minimum"}, "did you mean minimal"),
        ({"criterion": Targeted("brass")}, "unknown label"),
        ({"steps": 1}, "steps: got 1"),
        ({"budget": 0}, "budget: got 0"),
        ({"path": tmp_path / "none.wav"}, "no such file"),
    ):
        options: dict[str, Any] = {"path": path, "criterion": Targeted("bright"), "out": out, **wrong}
        with pytest.raises(SubterfugeError, match=message):
            attack_file(options.pop("path"), victim=victim, **options)
    assert not list(out.iterdir())
    with pytest.raises(SubterfugeError, match=r"a\.wav"):
        attack_file(path, victim=victim, criterion=Targeted("dull"), out=path / "under-a-file")
    with pytest.raises(SubterfugeError, match="unknown label"):
        attack_file(path, victim=victim, criterion=Targeted("brass"), out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_audibility_is_that_of_the_files_on_disk(victim: SvmVictim, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", sound("dull", seed=63, channels=2))
    record = run(path, victim, Targeted("bright"), level=80.0)
    again = compare_files(path, record.output, level=80.0).audibility
    assert record.audibility == again.as_json()
    assert record.audibility["level_db"] == 80 and record.audibility["visqol"] is None
    assert record.audibility["snr_db"] == pytest.approx(record.snr_db, abs=1e-9)
    assert record.audibility["verdict"] == verdict(again)


def test_ctrl_c_while_audibility_is_measured_keeps_the_file_and_its_record(
    victim: SvmVictim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*clips: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(workbench, "measure_audibility", pressed)
    path = write(tmp_path / "a.wav", sound("dull", seed=64))
    record = run(path, victim, Targeted("bright"))
    assert record.success and record.audibility == {}
    assert record.notes == ["interrupted: how audible the change is was not measured"]


def test_visqol_is_asked_if_wanted_and_known_to_be_missing_before_the_search(
    victim: SvmVictim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def measured(*clips: Any, visqol: bool, **options: Any) -> Audibility:
        asked.append(visqol)
        return measure_audibility(*clips, **options)

    monkeypatch.setattr(workbench, "measure_audibility", measured)
    path = write(tmp_path / "a.wav", sound("dull", seed=65))
    if importlib.util.find_spec("visqol") is not None:
        said: list[str] = []
        run(path, victim, Targeted("bright"), visqol=True, report=said.append)
        assert asked == [True] and "measuring Zimtohrli distance" in said
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SubterfugeError, match=r"visqol: is not installed, .*\[visqol\]"):
        attack_file(path, victim=victim, criterion=Targeted("bright"), out=tmp_path / "new", visqol=True)
    with pytest.raises(SubterfugeError, match="level: got -3"):
        attack_file(path, victim=victim, criterion=Targeted("bright"), out=tmp_path / "new", level=-3.0)
    assert not (tmp_path / "new").exists()


def test_a_missing_folder_is_made(victim: SvmVictim, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", sound("dull", seed=62))
    record = attack_file(path, victim=victim, criterion=Targeted("dull"), out=tmp_path / "new" / "folder")
    assert Path(record.output) == tmp_path / "new" / "folder" / "a-to-dull.wav" and record.success


def test_the_embedded_victim_on_an_embedded_clip(tmp_path: Path) -> None:
    """The first thing that a new user does, cut short: 44.1 kHz, eleven labels."""
    from subterfuge import load_victim
    from subterfuge.corpora.embedded import clips

    victim = load_victim("orchestra-svc")
    clip = next(clip for clip in clips() if clip.label == "flu")
    record = attack_file(clip.path, victim=victim, criterion=Targeted("tru"), out=tmp_path, steps=100)
    assert record.predicted_before == "flu"
    y, _ = librosa.load(record.output, sr=victim.sample_rate)
    heard = victim.model.predict(librosa25_plain(y, victim.sample_rate)[None])
    assert record.success and heard.tolist() == ["tru"]
    # The smallest change is some 50 dB below the clip, and as far above what it masks as 30 dB.
    assert record.snr_db > 12 and record.audibility["nmr_worst_db"] < 20
