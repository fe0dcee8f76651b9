"""A file of ten minutes fits in little memory, gradient included."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("resource", reason="this system does not tell how much memory a process used")

PROGRAM = """
import resource, sys
import torch
from subterfuge.features.summary import librosa25

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

torch.set_num_threads(1)
librosa25(torch.zeros(1, 5000, requires_grad=True), sr=44100).sum().backward()
before = peak()
y = torch.sin(torch.arange(600 * 44100, dtype=torch.float32).mul_(0.01)).mul_(0.3).view(1, -1).requires_grad_()
out = librosa25(y, sr=44100)
(grad,) = torch.autograd.grad(out.sum(), y)
assert torch.isfinite(grad).all() and grad.shape == y.shape
print(peak() - before)
"""


def test_ten_minutes_with_gradient_under_a_gigabyte() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1e9
