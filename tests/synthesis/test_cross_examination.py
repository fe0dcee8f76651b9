"""Cross-examination: each victim asked at its own rate, words matched across vocabularies, faults named."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile as sf
import torch
from torch import Tensor

from subterfuge.errors import SubterfugeError
from subterfuge.synthesis import cross_examination
from subterfuge.synthesis.cross_examination import at_hand, convinced, counterparts, cross_examine
from subterfuge.victims.victim import Hearing, TorchVictim


class Loud(TorchVictim):
    """Loud or soft; tells its rate by how many samples it is given."""

    def __init__(self, rate: int, *, tags: bool = False) -> None:
        super().__init__()
        self.labels, self.sample_rate, self.tagging = ("loud", "soft"), rate, tags
        self.heard: list[int] = []

    def hear(self, y: Tensor, *, probabilities: bool = False) -> Hearing:
        self.heard.append(y.shape[1])
        level = y.square().mean(1).sqrt() - 0.1
        scores = torch.stack([level, level if self.tagging else -level], 1)
        return Hearing(scores, scores.argmax(1), scores.sigmoid(), multilabel=self.tagging)


@pytest.fixture
def files(tmp_path):
    for name, level in (("a", 0.5), ("b", 0.01)):
        sf.write(tmp_path / f"{name}.wav", np.full(8000, level), 8000)
    return [tmp_path / "a.wav", tmp_path / "b.wav"]


def test_every_victim_hears_every_file_at_its_own_rate(files):
    victims = {"same": Loud(8000), "high": Loud(16000)}
    told = []
    found = cross_examine(files, victims, progress=lambda *a: told.append(a))
    assert [one["high"]["predicted"] for one in found] == ["loud", "soft"]
    assert victims["same"].heard == [8000, 8000] and victims["high"].heard == [16000, 16000]
    assert found[0]["same"]["probabilities"] == pytest.approx({"loud": 0.5987, "soft": 0.4013}, abs=1e-4)
    assert told[-1] == ("asking high", 4, 4)
    (left,) = {tuple(one) for one in cross_examine(files, victims, leave_out=["some/where/high"])}
    assert left == ("same",)


def test_tags_are_told(files):
    one, other = cross_examine(files, {"tagger": Loud(8000, tags=True)})
    assert one["tagger"]["tags"] == ["loud", "soft"] and other["tagger"]["predicted"] == "nothing"


def test_those_at_hand_are_asked_by_default_and_broken_ones_passed_over(files, monkeypatch):
    real, asked = Loud(8000), []
    monkeypatch.setattr(cross_examination, "at_hand", lambda: ["orchestra-svc", "victims/broken"])

    def load(name):
        asked.append(name)
        if "broken" in name:
            raise SubterfugeError("no such thing")
        return real

    monkeypatch.setattr("subterfuge.victims.store.load_victim", load)
    assert list(cross_examine(files)[0]) == ["orchestra-svc"] and len(asked) == 2
    with pytest.raises(SubterfugeError, match="no such thing"):
        cross_examine(files, ["victims/broken"])
    with pytest.raises(SubterfugeError, match=r"c\.wav"):
        cross_examine([files[0].with_name("c.wav")])


def test_victims_of_ones_own_are_at_hand_but_no_services(tmp_path):
    import json
    import shutil

    from subterfuge.victims.store import embedded_folder

    shutil.copytree(embedded_folder() / "orchestra-svc", tmp_path / "mine")
    card = json.loads((tmp_path / "mine/victim.json").read_text())
    (tmp_path / "service").mkdir()
    asked = card | {"kind": "http", "sha256": "", "options": {"url": "http://127.0.0.1:1"}}
    (tmp_path / "service/victim.json").write_text(json.dumps(asked))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/victim.json").write_text("{")
    assert at_hand(tmp_path) == ["orchestra-cnn", "orchestra-svc", str(tmp_path / "mine")]


def test_words_of_other_vocabularies():
    tags = ["guitar", "Flute", "female vocal", "opera", "cello"]
    assert counterparts("gac", tags) == ["guitar"] == counterparts("gel", tags)
    assert counterparts("flu", tags) == ["Flute"] and counterparts("flute", ["flu"]) == ["flu"]
    assert counterparts("voi", tags) == ["female vocal", "opera"] and counterparts("org", tags) == []
    p = dict.fromkeys(tags, 0.2)
    assert convinced("voi", {"predicted": "opera", "probabilities": p}) is True
    assert convinced("voi", {"predicted": "guitar", "probabilities": p}) is False
    assert convinced("voi", {"predicted": "guitar", "probabilities": p, "tags": ["guitar", "opera"]}) is True
    assert convinced("org", {"predicted": "guitar", "probabilities": p}) is None
    assert convinced("org", {"predicted": "guitar", "probabilities": {}}) is False
