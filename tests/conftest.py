"""Shared fixtures: where the data lies, the seed's feature scales, one torch thread a test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

# One unit of each of the 25 features: what the seed's ``StandardScaler`` divides by, in rough numbers.
ROUGH_SCALE = (0.069, 917.0, 982.0, 2373.0, 0.024, 120.0, 34.9, 31.4, 24.5, 17.4, 17.0, 11.3, 12.1)
ROUGH_SCALE += (8.4, 9.1, 7.2, 7.7, 7.1, 6.9, 6.7, 6.4, 6.3, 6.0, 5.7, 5.9)


def _shared() -> Path:
    named = os.environ.get("SUBTERFUGE_SHARED")
    return Path(named) if named else Path(__file__).resolve().parents[1].parent / "shared"


def pytest_configure() -> None:
    """Let Ctrl-C be tested also where the whole run is in the background, whose children would ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared test data; a test that needs it is skipped where it is missing."""
    folder = _shared()
    if not folder.is_dir():
        pytest.skip(f"the shared data folder {folder} is missing; set SUBTERFUGE_SHARED to where it is")
    return folder


@pytest.fixture(scope="session")
def seed(shared: Path) -> Path:
    """The seed experiment's clips and classifiers."""
    folder = shared / "seed"
    if not folder.is_dir():
        pytest.skip(f"the seed's data folder {folder} is missing")
    return folder


@pytest.fixture(scope="session")
def scale() -> np.ndarray:
    """One scaler unit of each of the 25 features, shape (25,); a rough copy where the seed is missing."""
    path = _shared() / "seed" / "svc_irmas.npz"
    if not path.is_file():
        return np.array(ROUGH_SCALE)
    with np.load(path) as arrays:
        return np.asarray(arrays["scale"], dtype=np.float64)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """One torch thread a test: the machine's cores belong to the test runner's workers."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
