"""Start-up: help and version without torch, the public names without importing what is not asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

import subterfuge

HEAVY = ("torch", "librosa", "sklearn", "skops", "scipy", "soundfile", "numpy", "jinja2")


def seconds(*arguments: str) -> float:
    """The best of three runs of Python, so that a busy machine does not count against us."""
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        best = min(best, time.perf_counter() - began)
    return best


@pytest.mark.parametrize(
    "code",
    [
        "import subterfuge, subterfuge.attacks",
        "from subterfuge.cli.main import run; run(['--help'])",
        "from subterfuge.cli.main import run; run(['attack', '--help'])",
        "from subterfuge.cli.main import run; run(['--version'])",
        "from subterfuge.cli.main import run; run(['attack', '--loud'])",
        "from subterfuge.cli.main import run; run(['compare', '--help'])",
    ],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    check = f"{code}\nimport sys; print([name for name in {HEAVY} if name in sys.modules])"
    child = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True)
    assert child.stdout.splitlines()[-1] == "[]"


def test_import_takes_less_than_three_tenths_of_a_second() -> None:
    assert seconds("-c", "import subterfuge") - seconds("-c", "pass") < 0.3


def test_help_takes_less_than_half_a_second() -> None:
    assert seconds("-m", "subterfuge", "--help") < 0.5


def test_version_is_the_package_s(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        importlib.import_module("subterfuge.cli.main").main(["--version"])
    assert end.value.code == 0
    assert capfd.readouterr().out == f"subterfuge {subterfuge.__version__}\n"
    project = Path(__file__).parents[2] / "pyproject.toml"
    assert f'version = "{subterfuge.__version__}"' in project.read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--help",),
        ("demo", "--help"),
        ("predict", "--help"),
        ("attack", "--help"),
        ("compare", "--help"),
        ("victim",),
        ("victim", "import", "--help"),
        ("victim", "list", "--help"),
        ("victim", "info", "--help"),
    ],
)
def test_every_help_has_examples(arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    assert importlib.import_module("subterfuge.cli.main").run(arguments) == 0
    out = capfd.readouterr().out
    _, _, examples = out.partition("Examples:\n")
    assert examples.lstrip().startswith("subterfuge ")
    # Not reflowed: each example keeps the line of its own.
    assert all(
        line.lstrip().startswith(("subterfuge", "--")) for line in examples.split("\n\n")[0].splitlines()
    )


def test_public_names_are_what_they_say() -> None:
    from subterfuge.attacks.whitebox.ddn import ddn
    from subterfuge.criteria import Targeted
    from subterfuge.victims.store import load_victim

    assert subterfuge.Targeted is Targeted
    assert subterfuge.load_victim is load_victim
    assert subterfuge.attacks.ddn is ddn
    assert "fmn_linf" in dir(subterfuge.attacks)
    assert {"attack_file", "load_victim", "SubterfugeError"} <= set(dir(subterfuge))
    for module in (subterfuge, subterfuge.attacks):
        with pytest.raises(AttributeError, match="nonsense"):
            _ = module.nonsense


@pytest.mark.parametrize("name", subterfuge.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(subterfuge, name) is not None
