"""Victims that hear several labels at once: a tag's own threshold is the boundary, up to the written file."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from subterfuge.attacks.oracle import Oracle
from subterfuge.attacks.search import Search
from subterfuge.attacks.workbench import attack_file
from subterfuge.criteria import Targeted, Untargeted
from subterfuge.predictions import predict_file
from subterfuge.victims.victim import Hearing, TorchVictim

RATE, N = 8000, 800
FREQUENCIES = (440.0, 1000.0, 2000.0)


def tone(frequency: float, level: float = 1.0) -> torch.Tensor:
    return level * torch.sin(2 * math.pi * frequency * torch.arange(N) / RATE)


class Tones(TorchVictim):
    """Hears each of three tones where its amplitude (by correlation) is at least the tag's threshold."""

    labels = ("low", "mid", "high")
    sample_rate = RATE
    thresholds = torch.tensor([0.1, 0.2, 0.3])

    def hear(self, y: torch.Tensor, *, probabilities: bool = False) -> Hearing:
        ways = torch.stack([tone(f) for f in FREQUENCIES])
        amplitude = 2 / N * y @ ways.T
        scores = amplitude - self.thresholds
        return Hearing(
            scores, scores.argmax(1), amplitude.sigmoid() if probabilities else None, multilabel=True
        )


CLIP = (tone(440, 0.4) + tone(2000, 0.35) + tone(1000, 0.05))[None]  # low by 0.3, high by 0.05, no mid


def test_each_tag_is_reached_or_left_at_its_own_threshold_whatever_the_others_are() -> None:
    victim = Tones()
    heard = victim.hear(CLIP)
    assert heard.tags.tolist() == [[True, False, True]] and heard.predicted.tolist() == [0]
    for label, there, margin in ((0, True, 0.3), (1, False, -0.15), (2, True, 0.05)):
        for criterion, sign in ((Targeted(label), 1), (Untargeted(label), -1)):
            goal = criterion.bind(victim, CLIP)
            assert goal.reached(heard).tolist() == [there if sign > 0 else not there]
            assert goal.margin(heard).item() == pytest.approx(sign * margin, abs=1e-5)
            assert goal.duels(heard).tolist() == [[goal.margin(heard).item()]]
            assert goal.soft_margin(heard, 0.1).item() == pytest.approx(sign * margin, abs=1e-5)
    assert Untargeted().bind(victim, CLIP).label.tolist() == [0]


def test_a_score_on_the_threshold_itself_is_heard() -> None:
    hearing = Hearing(torch.tensor([[0.0, -1e-9]]), torch.tensor([0]), multilabel=True)
    assert hearing.tags.tolist() == [[True, False]]
    assert Targeted(0).bind(Tones(), CLIP).reached(hearing).item()
    one_at_a_time = Hearing(torch.tensor([[5.0, 7.0]]), torch.tensor([0]))
    assert one_at_a_time.tags.tolist() == [[True, False]]


def test_a_tag_s_confidence_is_its_own_probability() -> None:
    victim = Tones()
    heard = victim.hear(CLIP, probabilities=True)
    p = torch.tensor(0.35).sigmoid().item()
    for confidence, reached in ((p - 1e-4, True), (p + 1e-4, False)):
        goal = Targeted("high", confidence).bind(victim, CLIP)
        assert goal.reached(heard).item() is reached
        assert (goal.margin(heard).item() > 0) is reached


def test_an_oracle_tells_tags_by_the_sign_at_every_access(tmp_path: Path) -> None:
    victim = Tones()
    truth = victim.hear(CLIP)
    assert torch.equal(Oracle(victim, access="scores").hear(CLIP).scores, truth.scores)
    assert Oracle(victim, access="label").hear(CLIP).scores.tolist() == [[1.0, -1.0, 1.0]]
    shown = Oracle(victim, access="top-k", top=1).hear(CLIP)
    assert shown.scores[0, 0] == truth.scores[0, 0] and shown.scores[0, 2] == shown.scores[0, 0]
    assert torch.equal(shown.tags, truth.tags)  # what is not shown keeps its side
    for access in ("scores", "label", "top-k"):
        log = tmp_path / f"{access}.jsonl"
        first = Oracle(victim, access=access, log=log).hear(CLIP)
        again = Oracle(victim, access=access, log=log)
        replayed = again.hear(CLIP)
        assert again.replayed == 1 and replayed.multilabel
        assert torch.equal(replayed.tags, truth.tags) and torch.equal(first.scores, replayed.scores)


def test_a_search_without_gradients_sees_the_distance_to_the_threshold() -> None:
    search = Search(Oracle(Tones()), CLIP, Targeted("mid"), gradients=False)
    margin, reached = search.look(CLIP + tone(1000, 0.1))
    assert margin.item() == pytest.approx(-0.05, abs=1e-5) and not reached.item()
    margin, reached = search.look(CLIP + tone(1000, 0.2))
    assert margin.item() == pytest.approx(0.05, abs=1e-5) and reached.item()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.wav"
    soundfile.write(path, CLIP[0].numpy(), RATE, subtype="PCM_16")
    return path


def test_a_tag_is_added_to_a_file_by_the_least_change_there_is(clip: Path, tmp_path: Path) -> None:
    record = attack_file(
        clip, victim=Tones(), criterion=Targeted("mid"), out=tmp_path, attack="minimal", steps=100
    )
    assert record.success and (record.predicted_before, record.predicted_after) == ("low", "mid")
    assert record.notes == [
        "this victim may hear several labels at once; before: low, high; after: low, high, mid"
    ]
    # The least change lifts the tone from 0.05 to 0.2 and leaves all else alone.
    y, _ = soundfile.read(record.output)
    size = np.linalg.norm(y - soundfile.read(clip)[0])
    assert size == pytest.approx(0.15 * math.sqrt(N / 2), rel=0.02)
    assert json.loads((tmp_path / "clip-to-mid.json").read_text())["success"]


def test_a_tag_is_taken_out_of_a_file_while_others_stay(clip: Path, tmp_path: Path) -> None:
    record = attack_file(
        clip, victim=Tones(), criterion=Untargeted("high"), out=tmp_path, attack="ddn", steps=60
    )
    assert record.success and record.target == "not-high" and record.predicted_after == "low"
    seen = predict_file(record.output, victim=Tones(), victim_name="tones")
    assert seen.tags == ["low"] and seen.predicted == "low"


def test_silence_is_heard_as_nothing(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(N), RATE)
    seen = predict_file(tmp_path / "silent.wav", victim=Tones(), victim_name="tones")
    assert seen.predicted == "nothing" and seen.tags == []
