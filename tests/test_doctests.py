"""The examples in the docstrings of every module run, and give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest
import torch

import subterfuge
from subterfuge.criteria import Targeted, Untargeted
from subterfuge.victims.victim import Hearing, TorchVictim

MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(subterfuge.__path__, "subterfuge.")
    if not info.name.endswith("__main__")
)


class Leaning(TorchVictim):
    """Hears label 1 where a clip leans more to the one side than to the other."""

    labels = ("left", "right")
    sample_rate = 8000

    def hear(self, y: torch.Tensor, *, probabilities: bool = False) -> Hearing:
        lean = y.mean(1) + 0.02
        scores = torch.stack([lean, -lean], 1)
        return Hearing(scores, scores.argmax(1), scores.softmax(1) if probabilities else None)


def namespace(module: object) -> dict[str, object]:
    """What an example may use without saying so: its own module, torch, a victim and two clips."""
    y = 0.1 * torch.randn(2, 256, generator=torch.Generator().manual_seed(0))
    given = {"torch": torch, "victim": Leaning(), "y": y, "Targeted": Targeted, "Untargeted": Untargeted}
    return {**vars(module), **given}


@pytest.mark.parametrize("name", ["subterfuge", *MODULES])
def test_examples(name: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(name)
    # Files that an example writes go where they are thrown away.
    monkeypatch.chdir(tmp_path)  # type: ignore[arg-type]
    result = doctest.testmod(
        module,
        extraglobs=namespace(module),
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
    )
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples in {name} failed"
