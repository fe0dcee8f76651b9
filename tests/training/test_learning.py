"""Teaching a network: it learns, stops, averages, and a run that was broken off is the run that was not."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from subterfuge.errors import SubterfugeError
from subterfuge.training.augment import Augmentation, apply, draw
from subterfuge.training.learning import Lessons, logits_of, teach
from subterfuge.training.report import Epoch

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
    given = lessons()
    mixed = torch.randint(0, 2, (32,), generator=torch.Generator().manual_seed(5))
    taught = teach(
        Lessons(given.x, given.y[torch.randperm(96)], given.validation_x, mixed, FLOOR),
        widths=(4, 6),
        classes=2,
        epochs=4,
    )
    assert all(epoch.validation_accuracy < 0.85 for epoch in taught.epochs)


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


@pytest.mark.parametrize("kind", ["empty", "pickle", "other"])
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run.pt"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "pickle":
        torch.save({"key": Path("x")}, path)
    else:
        teach(lessons(), widths=(4, 6), classes=2, epochs=1, seed=3, checkpoint=path)
    with pytest.raises(SubterfugeError, match=r"run\.pt.*--resume"):
        teach(lessons(), widths=(4, 6), classes=2, epochs=1, seed=4, checkpoint=path, resume=True)


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


def test_rows_are_augmented_each_in_its_own_way() -> None:
    x = torch.randn(1, 24, 20, generator=torch.Generator().manual_seed(0)).expand(6, -1, -1)
    changed = apply(x, draw(6, 24, 20, generator=torch.Generator().manual_seed(2)))
    assert all(not torch.allclose(changed[0], one) for one in changed[1:])
