"""A file of ten minutes fits in little memory, gradient included."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

STATUS = Path("/proc/self/status")

# The high-water mark of this very program: that of ``getrusage`` would be its parent's, if that was higher.
PROGRAM = """
import re
import torch
from subterfuge.features.summary import librosa25

def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) * 1024

torch.set_num_threads(1)
librosa25(torch.zeros(1, 5000, requires_grad=True), sr=44100).sum().backward()
before = peak()
y = torch.arange(600 * 44100, dtype=torch.float32).mul_(0.01).sin_().view(1, -1).requires_grad_()
out = librosa25(y, sr=44100)
(grad,) = torch.autograd.grad(out.sum(), y)
assert torch.isfinite(grad).all() and grad.shape == y.shape
print(peak() - before)
"""


@pytest.mark.skipif(not STATUS.is_file(), reason="this system does not tell how much memory a process used")
def test_ten_minutes_with_gradient_under_a_gigabyte() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    # The audio and its gradient alone are 212 MB: less than that would mean that nothing was measured.
    assert 2e8 < int(done.stdout) < 1e9
