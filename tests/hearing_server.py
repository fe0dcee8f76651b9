"""A local service that hears clips, counts every request, and can be told to misbehave, one by one."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import soundfile

Heard = Callable[[np.ndarray, int], Any]


@dataclass(frozen=True)
class Act:
    """How one request is answered; by default as it should be."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    pause: float = 0.0  # seconds before anything is said
    drip: float = 0.0  # seconds a byte of the body
    drop_after: int | None = None  # bytes of the body
    drop_at_once: bool = False  # before the answer begins


@dataclass
class Service:
    """Where it is, what it will do next (then it behaves), and what it was asked."""

    url: str
    acts: list[Act]
    requests: int = 0
    answered: int = 0  # with status 200, whole, and as it should be
    times: list[float] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    clips: list[np.ndarray] = field(default_factory=list)
    rates: list[int] = field(default_factory=list)


@contextmanager
def serve_hearing(hear: Heard, *acts: Act) -> Iterator[Service]:
    """Serve ``hear(y, sr)``, which gives a JSON value; ``acts`` answer the first requests, in turn."""
    service = Service("", list(acts))
    lock, stopping = threading.Lock(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                act = service.acts.pop(0) if service.acts else Act()
                service.requests += 1
                service.times.append(time.monotonic())
                service.headers.append(dict(self.headers.items()))
                y = _clip(question)
                service.clips.append(y)
                service.rates.append(question["sample_rate"])
            stopping.wait(act.pause)
            if act.drop_at_once:
                return self._hang_up()
            body = json.dumps(hear(y, question["sample_rate"])).encode() if act.body is None else act.body
            try:
                self._answer(act, body)
            except OSError:  # who asked has gone
                return self._hang_up()
            if act.status == 200 and act.body is None and act.drop_after is None:
                with lock:
                    service.answered += 1

        def _answer(self, act: Act, body: bytes) -> None:
            self.send_response(act.status)
            for name, value in act.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if act.drip:
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    if stopping.wait(act.drip):
                        return
            elif act.drop_after is not None:
                self.wfile.write(body[: act.drop_after])
                self.wfile.flush()
                self._hang_up()
            else:
                self.wfile.write(body)

        def _hang_up(self) -> None:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    service.url = f"http://127.0.0.1:{http.server_address[1]}/hear"
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        stopping.set()
        http.shutdown()
        http.server_close()
        thread.join()


def _clip(question: dict[str, Any]) -> np.ndarray:
    if "samples" in question:
        return np.array(question["samples"])
    y, sr = soundfile.read(io.BytesIO(base64.b64decode(question["audio"])), dtype="float64")
    assert sr == question["sample_rate"] and y.ndim == 1
    return np.asarray(y)
