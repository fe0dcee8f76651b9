"""A victim measured on a corpus: by hand, in windows, with what is missing, cut short, in parallel."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from subterfuge.corpora.corpus import Clip, Corpus, Skipped
from subterfuge.defences.detection.detector import Detector
from subterfuge.defences.detection.guarded import Guarded
from subterfuge.errors import SubterfugeError
from subterfuge.report.measured import evaluation_notes
from subterfuge.training.codec import from_json, to_json
from subterfuge.training.evaluate import Evaluation, evaluate
from subterfuge.victims.victim import Hearing, TorchVictim

RATE = 8000
TONES = {"cel": 200.0, "flu": 800.0, "tru": 2000.0}


class Tones(TorchVictim):
    """Hears which of three tones holds most of the energy; its probabilities are their shares of it."""

    labels = tuple(TONES)
    sample_rate = RATE
    name = "tones"

    def __init__(self, *, telling: bool = True) -> None:
        super().__init__()
        self.telling = telling

    def hear(self, y: torch.Tensor, *, probabilities: bool = False) -> Hearing:
        power = torch.fft.rfft(y).abs() ** 2
        at = [round(f * y.shape[1] / RATE) for f in TONES.values()]
        held = torch.stack([power[:, max(0, i - 2) : i + 3].sum(1) for i in at], 1) + 1e-12
        p = held / held.sum(1, keepdim=True)
        return Hearing(p, p.argmax(1), p if probabilities and self.telling else None)


def tone(*labels: str | None, seconds: float = 1.0) -> np.ndarray:
    """One tone after the other, each a second; None is silence."""
    t = np.arange(round(seconds * RATE)) / RATE
    parts = [0 * t if label is None else 0.5 * np.sin(2 * np.pi * TONES[label] * t) for label in labels]
    return np.concatenate(parts)


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Clip]:
    def make(sound: np.ndarray, label: str, *others: str, recording: str | None = None) -> Clip:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.wav"
        soundfile.write(path, sound, RATE, subtype="FLOAT")
        return Clip(path, label, recording or path.stem, others)

    return make


def corpus(*clips: Clip, kind: str = "folder", skipped: tuple[Skipped, ...] = ()) -> Corpus:
    return Corpus("tunes", tuple(sorted({x for one in clips for x in one.labels})), clips, skipped, kind)


def test_single_labels_by_hand(clip, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    clips = [
        clip(tone("cel"), "cel"),
        clip(tone("flu"), "Cello"),  # by its full name; heard wrongly
        clip(tone("flu"), "flute"),
        clip(tone("tru"), "flu"),  # heard as what this corpus does not have
        clip(tone("cel"), "tuba"),
        clip(tone("cel"), "tub"),
        Clip(broken, "flu", "broken"),
    ]
    gone = Skipped(Path("gone.wav"), "is missing")
    done = evaluate(Tones(), corpus(*clips, skipped=(gone,)), command="x")
    assert (done.victim, done.corpus, done.kind) == ("tones", "tunes", "folder")
    assert (done.clips, done.of, done.known, done.partial) == (4, 5, ("cel", "flu"), False)
    assert done.unknown == {"tub": 1, "tuba": 1}
    assert done.skipped[0] == gone and done.skipped[1].path == broken and len(done.skipped) == 2
    assert "cannot be" in done.skipped[1].why or "not audio" in done.skipped[1].why
    assert done.single.confusion == ((1, 1, 0), (0, 1, 1), (0, 0, 0))
    assert done.single.accuracy.value == pytest.approx(2 / 4)
    # Among cello and flute alone, a trumpet's tone is heard as whichever of the two it has more of.
    assert done.restricted.value in (2 / 4, 3 / 4)
    assert done.excerpts is None and done.window is None and done.votes is False
    assert done.single.calibration_error is not None
    assert to_json(from_json(Evaluation, to_json(done))) == to_json(done)


def test_only_other_answers_give_way(clip):
    # Half trumpet, a third flute: heard as trumpet; where that is not allowed, as flute.
    sound = tone("tru") + 0.6 * tone("flu") + 0.3 * tone("cel")
    done = evaluate(Tones(), corpus(clip(sound, "flu"), clip(tone("cel"), "cel")))
    assert done.single.accuracy.value == 1 / 2 and done.restricted.value == 1.0
    whole = evaluate(Tones(), corpus(*(clip(tone(x), x) for x in TONES)))
    assert whole.restricted is None and whole.single.accuracy.value == 1


def test_a_victim_without_probabilities(clip):
    done = evaluate(Tones(telling=False), corpus(*(clip(tone(x), x) for x in TONES)))
    assert done.single.accuracy.value == 1 and done.single.reliability == ()


def test_several_labels_by_hand(clip):
    clips = [
        # Windows of 1 s, each 1 s: cel 2 of 3, flu 1 of 3. S2 gives 1 and 0.5: both are heard at 0.5.
        clip(tone("cel", "cel", "flu"), "cel", "flu"),
        # cel 3 of 4, tru 1 of 4: S2 1 and 1/3; the trumpet is missed.
        clip(tone("cel", "cel", "cel", "tru"), "cel", "tru"),
        # The silent second is left out: only flute is heard, and that wrongly.
        clip(tone(None, "flu"), "cel"),
        # Nothing but silence: nothing is heard.
        clip(tone(None, None), "tru", "tuba"),
        clip(tone("cel"), "tuba"),  # no label that is known: left out
    ]
    done = evaluate(Tones(), corpus(*clips), window=1.0, hop=1.0)
    heard = done.excerpts
    assert done.single is None and done.votes is False and (done.window, done.hop) == (1.0, 1.0)
    assert done.unknown == {"tuba": 2} and (done.clips, done.of) == (4, 4)
    assert (heard.excerpts, heard.unheard) == (4, 1)
    # Hits: cel flu, cel. False alarms: flu. Misses: tru, cel, tru.
    assert heard.micro.precision.value == pytest.approx(3 / 4)
    assert heard.micro.recall.value == pytest.approx(3 / 6)
    assert [one.excerpts for one in heard.classes] == [3, 1, 2]
    assert [one.heard for one in heard.classes] == [2, 2, 0]
    strict = evaluate(Tones(), corpus(*clips), window=1.0, hop=1.0, threshold=0.6).excerpts
    assert strict.micro.recall.value == pytest.approx(2 / 6)
    voted = evaluate(Tones(telling=False), corpus(*clips), window=1.0, hop=1.0)
    assert voted.votes and voted.excerpts.micro.f1.value == pytest.approx(heard.micro.f1.value)


def test_windows_overlap_by_half_and_are_three_seconds(clip):
    # 4.5 s: windows at 0 and 1.5 s. The flute sounds in the last 1.5 s only, so in half of the second one.
    sound = np.concatenate([tone("cel", seconds=3), tone("flu", seconds=1.5)])
    done = evaluate(Tones(), corpus(clip(sound, "cel", "flu")))
    assert (done.window, done.hop) == (3.0, 1.5)
    cel, flu = 1 + 0.5, 0.5  # shares of energy, summed over windows
    seen = {one.threshold: one.micro_f1 for one in done.excerpts.curves["S2"]}
    for threshold in (0.3, 0.35):
        assert (seen[threshold] == 1.0) == (flu / cel >= threshold)


def test_the_kind_decides_where_each_has_one_label(clip):
    done = evaluate(Tones(), corpus(clip(tone("cel"), "cel"), kind="irmas-testing"))
    assert done.excerpts is not None and done.single is None


def test_processes_change_nothing(clip):
    clips = [clip(tone(x, y), x, recording=f"{x}{i % 3}") for x in TONES for y in TONES for i in range(2)]
    told: list[tuple[int, int]] = []
    one = evaluate(Tones(), corpus(*clips), report=lambda *at: told.append(at))
    two = evaluate(Tones(), corpus(*clips), workers=2)
    assert one.single == two.single and one.single.recordings == 6
    assert told[0] == (0, 18) and told[-1] == (18, 18) and len(told) == 19


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_keeps_what_is_done(clip, workers):
    clips = [clip(tone(x), x) for x in TONES for _ in range(20)]

    def press(done: int, of: int) -> None:
        if done == 7:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    done = evaluate(Tones(), corpus(*clips), workers=workers, report=press)
    assert done.partial and done.of == 60 and 7 <= done.clips <= 12
    assert done.single.clips == done.clips and done.single.accuracy.value == 1
    assert len({one.label for one in done.single.classes if one.clips}) == 3  # a random part, not the first
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_before_anything(clip):
    bad = clip(tone("cel"), "cel")
    bad.path.write_bytes(b"")

    def press(done: int, of: int) -> None:
        if done == 0:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(SubterfugeError, match=r"interrupted before|none of 1 files"):
        evaluate(Tones(), corpus(bad), report=press)


def test_nothing_to_go_by_is_said(clip):
    with pytest.raises(
        SubterfugeError, match=r"none of its labels \(tuba\) is one of the victim's \(cel, flu"
    ):
        evaluate(Tones(), corpus(clip(tone("cel"), "tuba")))
    with pytest.raises(SubterfugeError, match="got no clips"):
        evaluate(Tones(), Corpus("empty", (), ()))
    with pytest.raises(SubterfugeError, match=r"none of 1 files could be heard; the first: .*no such file"):
        evaluate(Tones(), corpus(Clip(Path("gone.wav"), "cel", "r")))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"window": 0.0}, "window: got 0 s, expected 0.01 to 3600 s"),
        ({"window": math.nan}, "window: got nan"),
        ({"window": 1.0, "hop": 2.0}, "hop: got 2 s, expected no more than the window's 1 s"),
        ({"threshold": 0.0}, "threshold: got 0"),
        ({"strategy": "S9"}, "strategy: got 'S9'"),
        ({"workers": 0}, "workers: got 0"),
    ],
)
def test_options_that_are_wrong(clip, options, said):
    with pytest.raises(SubterfugeError, match=said):
        evaluate(Tones(), corpus(clip(tone("cel"), "cel")), **options)


class Loudness(Detector):
    """Notices what is loud."""

    name = "loudness"

    def score(self, y: torch.Tensor) -> torch.Tensor:
        return y.abs().amax(1)


@pytest.mark.parametrize("several", [False, True])
def test_what_a_guard_notices_is_counted_and_told(clip, several):
    others = ("flu",) if several else ()
    clips = [clip(gain * tone("cel", "flu"), "cel", *others) for gain in (0.2, 1.0, 0.1, 1.0, 0.0)]
    plain = evaluate(Tones(), corpus(*clips))
    done = evaluate(Guarded(Tones(), Loudness(), threshold=0.3), corpus(*clips))
    assert plain.refused is None and done.refused == 2
    assert repr((plain.single, plain.excerpts)) == repr((done.single, done.excerpts))
    assert any("guard notices 2 of 5 clips" in note.replace("\xa0", " ") for note in evaluation_notes(done))
    assert not any("guard" in note for note in evaluation_notes(plain))
    assert from_json(Evaluation, to_json(done)).refused == 2
