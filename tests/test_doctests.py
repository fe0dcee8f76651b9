"""The examples in the docstrings of every module run, and give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest
import torch

import subterfuge

MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(subterfuge.__path__, "subterfuge.")
    if not info.name.endswith("__main__")
)


def namespace(module: object) -> dict[str, object]:
    """What an example may use without saying so: its own module, and torch."""
    return {**vars(module), "torch": torch}


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
