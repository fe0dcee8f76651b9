"""The search: what it wishes, what it draws, what it keeps, and that seeds and Ctrl-C are heeded."""

from __future__ import annotations

import math
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor

from small_network import LABELS, RATE, noises, taught
from subterfuge.audio import load_plain, save_audio, to_lattice
from subterfuge.errors import SubterfugeError
from subterfuge.predictions import predict_file
from subterfuge.synthesis.imagine import imagine, imagine_several
from subterfuge.synthesis.seeds import diverse
from subterfuge.synthesis.survives import survives_table
from subterfuge.synthesis.variants import Drawer, panel, usual
from subterfuge.synthesis.wish import Wish
from subterfuge.transforms.gain import Gain
from subterfuge.transforms.shift import Shift
from subterfuge.victims.victim import Hearing, TorchVictim

SHORT = {"seconds": 0.2, "steps": 40}


class Level(TorchVictim):
    """Hears ``loud`` as surely as a clip's root mean square is over a tenth."""

    labels = ("loud", "soft")
    sample_rate = 8000

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        over = 20 * (y.square().mean(1).clamp(min=1e-12).sqrt() - 0.1)
        scores = torch.stack([over, -over], 1)
        return Hearing(scores, scores.argmax(1), scores.softmax(1) if probabilities else None)


class Deaf(Level):
    """Without gradients."""

    differentiable = False


class Mute(Level):
    """Without probabilities."""

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        return super().hear(y)


def of_level(rms: float) -> Tensor:
    y = torch.randn(1, 800, generator=torch.Generator().manual_seed(0))
    return y * (rms / y.square().mean().sqrt())


def test_what_is_lacking_is_as_by_hand() -> None:
    wish = Wish(Level(), 0, ceiling=0.9)
    y = torch.cat([of_level(0.05), of_level(0.15)])
    lack, p = wish.lack(y)
    odds = [2 * 20 * (rms - 0.1) for rms in (0.05, 0.15)]
    enough = 0.998 * 0.9
    by_hand = [math.log1p(math.exp(math.log(enough / (1 - enough)) - one)) for one in odds]
    assert lack.tolist() == pytest.approx(by_hand, rel=1e-4)
    assert p.tolist() == pytest.approx([1 / (1 + math.exp(-one)) for one in odds], rel=1e-4)


def test_a_sound_s_own_probability_comes_first_and_then_what_it_survives() -> None:
    wish = Wish(Level(), 0, ceiling=1.0)
    sure, unsure = of_level(0.3), of_level(0.12)
    p = 1 / (1 + math.exp(-2 * 20 * 0.02))
    assert wish.worth([unsure, sure]) == pytest.approx((p, p), rel=1e-4)
    assert wish.worth([sure, unsure])[0] == pytest.approx(wish.enough + p, rel=1e-4)
    assert wish.worth([sure])[0] == wish.enough


def test_what_costs_the_label_is_drawn_more_often() -> None:
    drawer = Drawer((Gain(), Shift()), torch.Generator().manual_seed(0))
    drawn = []
    for _ in range(300):
        name = drawer.draw().transform.name
        drawn.append(name)
        drawer.heed(1.0 if name == "gain" else 0.1)
    assert drawn[100:].count("shift") > 2 * drawn[100:].count("gain") > 10


@pytest.mark.parametrize("label", LABELS)
def test_a_network_hears_what_was_imagined(label: str) -> None:
    found = imagine(taught(), label, seconds=0.2, steps=200)
    assert found.reached
    assert found.probability > 0.9
    assert found.ceiling is None
    assert found.audio.shape == (round(0.2 * RATE),)
    assert float(found.audio.abs().max()) <= 10 ** (-1 / 20)
    assert abs(float(found.audio.double().mean())) < 2**-15
    assert torch.equal(found.audio, to_lattice(found.audio, "PCM_16"))


def test_what_is_said_is_what_a_file_is_heard_as(tmp_path: Path) -> None:
    found = imagine(taught(), "flu", style="harmonic", **SHORT)
    path = save_audio(tmp_path / "a.wav", found.audio[None], sr=RATE, container="WAV", subtype="PCM_16")
    heard = predict_file(path, victim=taught(), victim_name="taught")
    assert heard.predicted == "flu"
    assert heard.probabilities is not None
    assert found.probability == pytest.approx(heard.probabilities["flu"], abs=1e-6)
    assert found.survives["wav"] == pytest.approx(found.probability)


def test_what_it_survives_is_as_by_hand() -> None:
    y = to_lattice(of_level(0.1), "PCM_16")
    table = survives_table(Level(), y, 0)
    assert set(table) == {"wav", *panel(8000)}

    def p(x: Tensor) -> float:
        return float(1 / (1 + torch.exp(-2 * 20 * (x.square().mean().sqrt() - 0.1))))

    assert table["wav"] == pytest.approx(p(y), abs=1e-5)
    assert table["gain +6 dB"] == pytest.approx(p((y * 10**0.3).clamp(-1, 1)), abs=1e-3)
    assert table["gain -6 dB"] == pytest.approx(p(y * 10**-0.3), abs=1e-3)
    later = torch.nn.functional.pad(y, (160, 0))[:, :800]
    assert table["shift 20 ms"] == pytest.approx(p(later), abs=1e-3)


def test_heeding_what_may_become_of_it_makes_it_survive_more() -> None:
    """A victim that hears a level: only just over it, a softer copy is lost."""
    start = of_level(0.1)
    bare = imagine(Level(), "loud", seconds=0.1, steps=200, start=start, survive=False)
    steady = imagine(Level(), "loud", seconds=0.1, steps=200, start=start, survive=[Gain(6, 6)])
    assert bare.reached
    assert steady.reached
    assert steady.survives["gain -6 dB"] > bare.survives["gain -6 dB"]
    assert steady.survives["gain -6 dB"] > 0.9


def test_seeds_decide() -> None:
    one, same, other = (imagine(taught(), "tru", seed=s, **SHORT).audio for s in (4, 4, 5))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_of_several_seeds_the_best_is_first_and_the_others_are_unlike_it() -> None:
    options = {"style": "spectral", "survive": False, "seconds": 0.1, "steps": 30}
    several = imagine_several(taught(), "cel", seeds=4, keep=3, **options)  # type: ignore[arg-type]
    alone = [imagine(taught(), "cel", seed=s, **options) for s in range(4)]  # type: ignore[arg-type]
    assert 1 <= len(several) <= 3
    assert len({one.seed for one in several}) == len(several)
    for one in several:
        assert torch.equal(one.audio, alone[one.seed].audio)
    assert several[0].probability == pytest.approx(max(one.probability for one in alone), abs=2e-3)


def test_diverse_is_the_furthest_of_those_that_are_good() -> None:
    t = torch.arange(4000) / 8000
    low, high, middle = (torch.sin(2 * math.pi * f * t)[None] for f in (200, 3000, 900))
    noise = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    assert diverse([low, low * 0.5, high, noise], [1, 1, 1, 0.2], sr=8000, keep=4) == [0, 2]
    assert set(diverse([low, high, middle, noise], [1, 1, 1, 1], sr=8000, keep=3)) >= {0}
    assert len(diverse([low, high, middle, noise], [1, 1, 1, 1], sr=8000, keep=3)) == 3


def test_ctrl_c_keeps_the_best_so_far() -> None:
    """Pressed in the middle of a search: what was found by then is given, and no step more is made."""
    told: list[tuple[int, float]] = []

    def press(step: int, steps: int, p: float) -> None:
        told.append((step, p))
        if step == 20:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    found = imagine(taught(), "flu", seconds=0.2, steps=4000, seeds=3, progress=press, survive=[Gain(40, 40)])
    assert found.interrupted
    assert found.steps == 20
    assert told[-1][0] == 20
    assert found.probability > told[0][1]
    assert signal.getsignal(signal.SIGINT) is before


def test_another_may_stop_it_too() -> None:
    found = imagine(taught(), "flu", seconds=0.1, steps=500, stop=lambda: True)
    assert found.interrupted
    assert found.steps == 0


def test_the_clip_made_more_itself() -> None:
    start = noises(3)[1]
    before = float(taught().probabilities(start[None])[0, 1])  # type: ignore[index]
    found = imagine(taught(), "flu", style="clip", start=start, snr_db=25, steps=40)
    assert found.probability > before
    assert found.snr_db is not None
    assert found.snr_db >= 25
    clean = start - start.mean()
    clean = clean * (0.8912 / clean.abs().max()).clamp(max=1)
    measured = float(10 * torch.log10(clean.square().sum() / (found.audio - clean).square().sum()))
    assert measured == pytest.approx(found.snr_db, abs=0.1)
    assert len(found.audio) == len(start)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"label": "oboe"}, "unknown label"),
        ({"style": "jazz"}, "style: got 'jazz'"),
        ({"style": "clip"}, "expected a clip"),
        ({"seconds": 0.0}, "seconds: got 0"),
        ({"seconds": 600.0}, "seconds: got 600"),
        ({"seconds": math.nan}, "seconds: got nan"),
        ({"steps": 0}, "steps: got 0"),
        ({"seeds": 0}, "seeds: got 0"),
        ({"seed": -1}, "seed: got -1"),
        ({"snr_db": 20.0}, "snr: got 20 dB with the style free"),
        ({"start": torch.zeros(2, 100)}, "start: got shape"),
        ({"start": torch.full((100,), math.nan)}, "NaN"),
        ({"start": torch.zeros(0)}, "start: got shape"),
        ({"victim": Deaf()}, "no gradients"),
        ({"victim": Mute()}, "no probabilities"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], sentence: str) -> None:
    given = {"victim": Level(), "label": "loud", **options}
    with pytest.raises(SubterfugeError, match=sentence):
        imagine(**given)  # type: ignore[arg-type]


def test_the_usual_transforms_fit_any_rate() -> None:
    for sr in (8000, 16000, 44100, 48000, 192000):
        assert [one.name for one in usual(sr)] == ["gain", "shift", "noise", "resample", "mp3"]
        table = survives_table(replace_rate(sr), to_lattice(of_level(0.2), "PCM_16"), 0)
        assert len(table) == 7


def replace_rate(sr: int) -> Level:
    victim = Level()
    victim.sample_rate = sr
    return victim


def test_a_file_read_back_is_the_sound(tmp_path: Path) -> None:
    found = imagine(Level(), "loud", seconds=0.1, steps=2)
    save_audio(tmp_path / "a.flac", found.audio[None], sr=8000, container="FLAC", subtype="PCM_16")
    assert torch.equal(load_plain(tmp_path / "a.flac", 8000)[0], found.audio)
