"""Teaching a network: it learns, stops, averages, and a run that was broken off is the run that was not."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from subterfuge.errors import SubterfugeError
from subterfuge.training import learning
from subterfuge.training.augment import Augmentation, apply, draw
from subterfuge.training.learning import Lessons, examine, logits_of, teach
from subterfuge.training.report import Epoch
from subterfuge.victims.network import Network

FLOOR = -4 * math.log(10)


def lessons(n: int = 96, seed: int = 0) -> Lessons:
    """Class 0 sounds in a low band, class 1 in a high one, over noise."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n + 32, 24, 20, generator=g) - 6
    y = torch.arange(n + 32) % 2
    for i, label in enumerate(y.tolist()):
        band = (5 if label == 0 else 15) + int(torch.randint(0, 3, (1,), generator=g))
        x[i, band : band + 3] += 6
    x = x.half()
    return Lessons(x[:n], y[:n], x[n:], y[n:], FLOOR)


def still(rows: int, bands: int, frames: int) -> Augmentation:
    nothing = torch.zeros(rows)
    return Augmentation(
        nothing,
        nothing + 1,
        torch.zeros(rows, bands),
        torch.full((rows, bands, frames), -40.0),
        torch.zeros(rows, bands, frames, dtype=torch.bool),
    )


def test_learns_what_is_there_to_be_learnt() -> None:
    given = lessons(192)
    taught = teach(given, widths=(8, 12), classes=2, epochs=12, seed=1)
    heard = logits_of(taught.network, given.validation_x, FLOOR).argmax(1)
    assert float((heard == given.validation_y).float().mean()) >= 0.9
    assert taught.epochs[-1].training_loss < taught.epochs[0].training_loss
    assert not taught.network.training


def test_labels_without_meaning_cannot_be_learnt() -> None:
    given = lessons(192)
    mixed = torch.randint(0, 2, (224,), generator=torch.Generator().manual_seed(5))
    senseless = Lessons(given.x, mixed[:192], given.validation_x, mixed[192:], FLOOR)
    taught = teach(senseless, widths=(8, 12), classes=2, epochs=12, seed=1)
    assert all(0.25 < epoch.validation_accuracy < 0.75 for epoch in taught.epochs)


def test_what_is_kept_is_the_average_of_the_best_epoch() -> None:
    given = lessons()
    taught = teach(given, widths=(4, 6), classes=2, epochs=4, seed=2)
    losses = [epoch.validation_loss for epoch in taught.epochs]
    assert losses[taught.best - 1] == min(losses)
    assert examine(taught.network, given)[0] == pytest.approx(min(losses), abs=1e-6)


def test_weights_are_averaged_plainly_at_first_then_as_they_go() -> None:
    network = Network((2, 3), 2, norm=True)
    average = {name: one.clone() for name, one in network.state_dict().items()}
    seen = []
    for step in range(learning._AVERAGE + 1):
        with torch.no_grad():
            network.last.bias.fill_(float(step))
        seen.append(float(step))
        before = float(average["last.bias"][0])
        learning._follow(average, network, step)
        if step < learning._AVERAGE:
            assert float(average["last.bias"][0]) == pytest.approx(sum(seen) / len(seen), rel=1e-4)
    last = before + (seen[-1] - before) / learning._AVERAGE
    assert float(average["last.bias"][0]) == pytest.approx(last, rel=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 40, 1000])
def test_the_rate_rises_once_and_falls_once(steps: int) -> None:
    rates = [learning._rate(step, steps) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1]) and rates[top:] == sorted(rates[top:], reverse=True)
    if steps == 1000:
        assert max(rates) > 0.99 and rates[0] < 0.02 and rates[-1] < 0.01


def test_the_seed_alone_decides() -> None:
    def weights(seed: int) -> list[float]:
        network = teach(lessons(), widths=(4, 6), classes=2, epochs=1, seed=seed).network
        return torch.cat([one.flatten() for one in network.state_dict().values()]).tolist()

    one = weights(4)
    torch.rand(5)
    assert one == weights(4) and one != weights(5)


def test_a_loss_that_is_no_number_ends_it_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    given, path = lessons(), tmp_path / "run.pt"
    broken = Lessons(given.x * math.nan, given.y, given.validation_x, given.validation_y, FLOOR)
    with pytest.raises(SubterfugeError, match="epoch 1: the loss is nan, expected a number"):
        teach(broken, widths=(4, 6), classes=2, epochs=2, checkpoint=path)
    assert not path.exists()


def test_taken_up_again_it_is_the_run_that_was_never_broken_off(tmp_path: Path) -> None:
    whole = teach(lessons(), widths=(4, 6), classes=2, epochs=5, seed=2)

    def press(epoch: Epoch) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt

    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        teach(lessons(), widths=(4, 6), classes=2, epochs=5, seed=2, checkpoint=path, report=press)
    again = teach(lessons(), widths=(4, 6), classes=2, epochs=5, seed=2, checkpoint=path, resume=True)
    assert [one.number for one in again.epochs] == [1, 2, 3, 4, 5]
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name


def test_stops_when_nothing_more_is_gained() -> None:
    given = lessons()
    wrong = Lessons(given.x, given.y, given.validation_x, 1 - given.validation_y, FLOOR)
    taught = teach(wrong, widths=(8, 12), classes=2, epochs=40, patience=3, seed=1)
    assert len(taught.epochs) < 40 and len(taught.epochs) == taught.best + 3


def test_no_global_random_state_is_touched() -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    teach(lessons(), widths=(4, 6), classes=2, epochs=1)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("empty", "cannot be read as a checkpoint"),
        ("cut", "cannot be read as a checkpoint"),
        ("pickle", "cannot be read as a checkpoint"),
        ("list", "cannot be read as a checkpoint"),
        ("bare", "cannot be read as a checkpoint"),  # the right key, and nothing else
        ("other layers", "cannot be read as a checkpoint"),
        ("seed", "of a run with seed 3, expected 4"),
        ("clips", "of a run with clips '9', expected '8'"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, kind: str, said: str) -> None:
    path = tmp_path / "run.pt"
    how: dict[str, Any] = {"widths": (4, 6), "classes": 2, "epochs": 1, "checkpoint": path}
    made = {"seed": 3 if kind == "seed" else 4, "key": {"clips": "9" if kind == "clips" else "8"}}
    teach(lessons(), **how, **made)
    state = torch.load(path, weights_only=True)
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
    elif kind == "pickle":
        torch.save({**state, "key": Path("x")}, path)
    elif kind == "list":
        torch.save([1, 2], path)
    elif kind == "bare":
        torch.save({"key": state["key"]}, path)
    elif kind == "other layers":
        torch.save({**state, "network": Network((4, 6), 2).state_dict()}, path)
    before = path.read_bytes()
    with pytest.raises(SubterfugeError, match=rf"run\.pt: .*{said}.* \(or no --resume\)$") as told:
        teach(lessons(), **how, seed=4, key={"clips": "8"}, resume=True)
    assert "\n" not in str(told.value) and path.read_bytes() == before


def test_a_finished_run_is_taken_as_it_is(tmp_path: Path) -> None:
    how: dict[str, Any] = {"widths": (4, 6), "classes": 2, "epochs": 2, "checkpoint": tmp_path / "run.pt"}
    whole = teach(lessons(), **how)
    told: list[Epoch] = []
    again = teach(lessons(), **how, resume=True, report=told.append)
    assert not told and again.epochs == whole.epochs and again.best == whole.best
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name


def test_augmentation_that_does_nothing_does_nothing() -> None:
    x = torch.randn(3, 24, 20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(apply(x, still(3, 24, 20)), x)


def test_augmentation_does_what_was_drawn_and_can_be_frozen() -> None:
    x = torch.zeros(1, 24, 20)
    x[0, 10] = 5.0
    moved = still(1, 24, 20)
    moved = Augmentation(torch.tensor([2.0]), moved.stretch, moved.colour, moved.noise, moved.masks)
    assert int(apply(x, moved)[0, :, 0].argmax()) == 8
    drawn = draw(4, 24, 20, generator=torch.Generator().manual_seed(1))
    again = draw(4, 24, 20, generator=torch.Generator().manual_seed(1))
    y = x.expand(4, -1, -1)
    assert torch.equal(apply(y, drawn), apply(y, drawn)) and torch.equal(apply(y, drawn), apply(y, again))
    assert bool(apply(y, drawn).isfinite().all())


def test_colours_are_added_noise_by_its_energy_and_blots_are_the_mean() -> None:
    x = torch.randn(2, 24, 20, generator=torch.Generator().manual_seed(0))
    nothing = still(2, 24, 20)
    colour = torch.linspace(-2, 2, 24).expand(2, -1)
    torch.testing.assert_close(apply(x, replace(nothing, colour=colour)), x + colour[..., None])
    as_loud = apply(x, replace(nothing, noise=x))
    torch.testing.assert_close(as_loud, x + math.log(2))
    masks = torch.zeros(2, 24, 20, dtype=torch.bool)
    masks[0, 3:5] = masks[1, :, 7:9] = True
    blotted = apply(x, replace(nothing, masks=masks))
    torch.testing.assert_close(blotted[~masks], x[~masks])
    torch.testing.assert_close(blotted[0, 3:5], x[0].mean().expand(2, 20))
    torch.testing.assert_close(blotted[1, :, 7:9], x[1].mean().expand(24, 2))


def test_bands_are_read_between_where_they_are_moved_or_stretched() -> None:
    ramp = torch.arange(24.0)[None, :, None].expand(1, -1, 5)  # of a ramp a straight line is exact
    moved = apply(ramp, replace(still(1, 24, 5), shift=torch.tensor([1.25])))
    torch.testing.assert_close(moved[0, :, 0], (torch.arange(24.0) + 1.25).clamp(max=23))
    stretched = apply(ramp, replace(still(1, 24, 5), stretch=torch.tensor([0.9])))
    torch.testing.assert_close(stretched[0, :, 0], 0.9 * torch.arange(24.0))
    below = apply(ramp, replace(still(1, 24, 5), shift=torch.tensor([-2.0])))
    torch.testing.assert_close(below[0, :, 0], (torch.arange(24.0) - 2).clamp(min=0))


@pytest.mark.parametrize(("bands", "frames"), [(96, 130), (16, 19), (2, 1)])
def test_what_is_drawn_stays_within_reason_and_comes_from_the_generator_alone(
    bands: int, frames: int
) -> None:
    state = torch.random.get_rng_state()
    drawn = draw(64, bands, frames, generator=torch.Generator().manual_seed(0))
    assert torch.equal(state, torch.random.get_rng_state())
    assert drawn.colour.shape == (64, bands)
    assert drawn.noise.shape == drawn.masks.shape == (64, bands, frames)
    assert float(drawn.masks.float().mean((1, 2)).max()) < 0.6 or bands * frames < 10
    assert all(bool(one.isfinite().all()) for one in (drawn.shift, drawn.stretch, drawn.colour, drawn.noise))
    x = torch.randn(64, bands, frames, generator=torch.Generator().manual_seed(1))
    assert bool(apply(x, drawn).isfinite().all())


def test_rows_are_augmented_each_in_its_own_way() -> None:
    x = torch.randn(1, 24, 20, generator=torch.Generator().manual_seed(0)).expand(6, -1, -1)
    changed = apply(x, draw(6, 24, 20, generator=torch.Generator().manual_seed(2)))
    assert all(not torch.allclose(changed[0], one) for one in changed[1:])
