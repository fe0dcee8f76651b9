"""Networks as victims: the fold changes nothing, rows are alone, the folder brings the same one back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from subterfuge.attacks.registry import get_attack
from subterfuge.criteria import Targeted
from subterfuge.errors import SubterfugeError
from subterfuge.victims.cnn import CnnVictim
from subterfuge.victims.network import Network, folded
from subterfuge.victims.store import load_victim, save_victim

FRONT: dict[str, Any] = {
    "n_fft": 256,
    "hop_length": 128,
    "n_mels": 24,
    "fmin": 30.0,
    "fmax": 4000.0,
    "floor_db": -40.0,
}
BUILT: dict[str, Any] = {"front_end": FRONT, "widths": [6, 8], "temperature": 2.0, "seconds": 0.25}
LABELS = ("cel", "flu", "tru")


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        drawn = Network((6, 8), 3).state_dict()
    # As drawn, the last layer's constants decide; a taught network listens.
    return drawn | {"last.weight": drawn["last.weight"] * 50, "last.bias": torch.zeros(3)}


def victim(**changed: Any) -> CnnVictim:
    return CnnVictim({**BUILT, **changed}, weights(), labels=LABELS, sample_rate=8000)


def clips(rows: int = 3, samples: int = 4000) -> torch.Tensor:
    return torch.randn(rows, samples, generator=torch.Generator().manual_seed(1)) * 0.1


def test_folding_the_norms_changes_nothing() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = Network((6, 8, 12), 4, norm=True, dropout=0.5)
        for _ in range(5):  # so that the norms' statistics are not those of the start
            network(torch.randn(8, 24, 40) * 3 + 1)
    network.eval()
    x = torch.randn(4, 24, 40, generator=torch.Generator().manual_seed(0))
    plain = folded(network)
    assert not any("running" in name for name in plain.state_dict())
    torch.testing.assert_close(plain(x), network(x), atol=1e-4, rtol=1e-4)


def test_rows_never_influence_each_other_and_levels_say_nothing() -> None:
    one, y = victim(), clips()
    together = one.scores(y)
    for i in range(3):
        torch.testing.assert_close(one.scores(y[i : i + 1])[0], together[i], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(one.scores(y * 0.1), together, atol=1e-4, rtol=1e-4)
    assert torch.equal(one.predict(y), together.argmax(1))


def test_what_is_shorter_is_heard_as_followed_by_silence() -> None:
    one, y = victim(), clips(2, 700)
    padded = torch.nn.functional.pad(y, (0, 2000 - 700))
    torch.testing.assert_close(one.scores(y), one.scores(padded))


def test_probabilities_are_the_softmax_at_its_temperature() -> None:
    hearing = victim().hear(clips(), probabilities=True)
    assert hearing.probabilities is not None
    torch.testing.assert_close(hearing.probabilities, (hearing.scores / 2).softmax(1))


def test_gradient_reaches_the_waveform_as_finite_differences_have_it() -> None:
    one = victim().double()
    y = clips(1, 2000).double().requires_grad_()
    score = one.scores(y)[0, 1]
    (gradient,) = torch.autograd.grad(score, y)
    direction = clips(1, 2000).double()
    step = 1e-5
    with torch.no_grad():
        up, down = one.scores(y + step * direction)[0, 1], one.scores(y - step * direction)[0, 1]
    assert float((gradient * direction).sum()) == pytest.approx(float(up - down) / (2 * step), rel=1e-4)


def test_the_folder_brings_it_back(tmp_path: Path) -> None:
    one = victim()
    save_victim(one, out=tmp_path / "net", trained="By hand.")
    assert sorted(path.name for path in (tmp_path / "net").iterdir()) == ["model.safetensors", "victim.json"]
    again = load_victim(tmp_path / "net")
    assert again.labels == LABELS and again.sample_rate == 8000
    assert torch.equal(again.scores(clips()), one.scores(clips()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"widths": [6, 9]}, "do not fit the network"),
        ({"widths": []}, "widths"),
        ({"temperature": 0}, "temperature"),
        ({"seconds": "3"}, "seconds"),
        ({"front_end": {**FRONT, "n_mels": 0}}, "n_mels"),
        ({"front_end": {**FRONT, "window": "hann"}}, "unknown 'window'"),
        ({"front_end": None}, "front_end"),
    ],
)
def test_a_card_that_was_altered_is_refused_in_one_sentence(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    folder = save_victim(victim(), out=tmp_path / "net")
    card = json.loads((folder / "victim.json").read_text())
    card["network"] |= change
    (folder / "victim.json").write_text(json.dumps(card))
    with pytest.raises(SubterfugeError, match=said) as told:
        load_victim(folder)
    assert "\n" not in str(told.value) and str(folder) in str(told.value)


def test_weights_that_are_not_numbers_are_refused() -> None:
    broken = weights() | {"last.bias": torch.tensor([0.0, float("nan"), 0.0])}
    with pytest.raises(SubterfugeError, match="NaN"):
        CnnVictim(BUILT, broken, labels=LABELS, sample_rate=8000)


@pytest.mark.parametrize(
    "name", ["minimal", "ddn", "fmn", "pgd", "apgd", "deepfool", "carlini-wagner", "alma"]
)
def test_attacks_run_on_it_unchanged(name: str) -> None:
    one, y = victim(), clips(2)
    wanted = one.scores(y).topk(2).indices[:, 1]
    options = {"steps": 60} if name not in ("deepfool",) else {}
    outcome = get_attack(name)(
        one, y, Targeted(wanted), generator=torch.Generator().manual_seed(0), **options
    )
    assert bool(outcome.success.any())
    heard = one.predict(outcome.audio)
    assert torch.equal(heard[outcome.success], wanted[outcome.success])
