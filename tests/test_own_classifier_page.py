"""docs/your-own-classifier.md does what it says: its modules are written, its commands run, in order."""

from __future__ import annotations

import re
import shlex
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from subterfuge.cli.main import run

PAGE = Path(__file__).parents[1] / "docs" / "your-own-classifier.md"
BLOCKS = re.findall(r"^```(py|sh)\n(.*?)^```", PAGE.read_text("utf-8"), flags=re.S | re.M)
QUICK = {"1000": "12", "50": "12"}  # queries: enough to see that it runs


def write_tiny_ast(folder: str) -> bool:
    """Write a classifier as ``save_pretrained`` does; False where transformers is not installed."""
    try:
        import torch
        import transformers
    except ImportError:
        return False
    names = {"id2label": {0: "cat", 1: "dog"}, "label2id": {"cat": 0, "dog": 1}}
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.ASTConfig(**size, **names, max_length=64, num_mel_bins=16)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        transformers.ASTForAudioClassification(config).save_pretrained(folder)
    transformers.ASTFeatureExtractor(num_mel_bins=16, max_length=64).save_pretrained(folder)
    return True


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    t = np.arange(8000) / 16000
    y = np.sin(2 * np.pi * 440 * t) * np.repeat([0.4, 0.3], 4000)
    soundfile.write("clip.wav", y, 16000, subtype="PCM_16")
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]


@pytest.mark.filterwarnings("ignore")
def test_the_page_runs_from_beginning_to_end(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    scope: dict[str, Any] = {"__name__": "__main__"}
    # musicnn's wheel is not here; test_musicnn.py imports one.
    has_ast = write_tiny_ast("my-ast-folder")
    absent = "musicnn" if has_ast else "musicnn|ast"
    ran, server = 0, HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    address = f"127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for language, text in BLOCKS:
            if language == "py":
                named = re.match(r"# (my_\w+\.py)\n", text)
                if named:
                    Path(named[1]).write_text(text)
                exec(compile(text, "the page", "exec"), scope)
                if "Ear" in scope:
                    scope["Ear"].log_message = lambda *_: None
                    server.RequestHandlerClass = scope["Ear"]
                continue
            for line in text.replace("\\\n", " ").splitlines():
                if not line.startswith("subterfuge ") or re.search(rf"\b({absent})\b", line):
                    continue
                words = shlex.split(line.replace("127.0.0.1:8000", address))[1:]
                code = run([QUICK.get(word, word) for word in words])
                said = capfd.readouterr()
                assert code in ((0, 1) if words[0] == "attack" else (0,)), f"{line}: {said.err}"
                ran += 1
    finally:
        server.shutdown()
        server.server_close()
    assert ran == (16 if has_ast else 14) and "Ear" in scope
