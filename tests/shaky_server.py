"""A local HTTP server of files that can be told to misbehave, request by request, and keeps a log."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Act:
    """How one request is answered: by default as HTTP has it, ranges and all."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    drop_after: int | None = None  # bytes of the body
    hang_after: int | None = None
    ranges: bool = True
    etag: bool = True
    shift: int = 0  # added to where the range begins
    body: bytes | None = None
    chunked: bool = False
    length: bool = True
    pause: float = 0.0  # seconds a block of 4 KiB


@dataclass
class Server:
    """Where it is, what it will do next (then it behaves), and the requests so far."""

    url: str
    acts: list[Act]
    log: list[dict[str, Any]]

    @property
    def ranges(self) -> list[str | None]:
        """What was asked for, request by request."""
        return [one["range"] for one in self.log]


@contextmanager
def serve(folder: Path, *acts: Act) -> Iterator[Server]:
    """Serve the files of a folder; the first requests are answered by ``acts``, in turn."""
    server = Server("", list(acts), [])
    stopping = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            act = server.acts.pop(0) if server.acts else Act()
            place = urlsplit(self.path)
            asked = self.headers.get("Range")
            server.log.append(
                {"path": place.path, "query": place.query, "range": asked, "if": self.headers.get("If-Range")}
            )
            file = folder / unquote(place.path).lstrip("/")
            if act.status >= 400 or not file.is_file():
                return self._refuse(act.status if act.status >= 400 else 404, act.headers)
            whole = file.read_bytes() if act.body is None else act.body
            tag = f'"{hashlib.md5(whole).hexdigest()}"'
            start = 0
            fits = self.headers.get("If-Range") in (None, tag)
            match = re.fullmatch(r"bytes=(\d+)-", asked or "")
            if match and act.ranges and fits:
                start = int(match[1]) + act.shift
                if start >= len(whole):
                    return self._refuse(416, {"Content-Range": f"bytes */{len(whole)}"})
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
            else:
                self.send_response(200)
            body = whole[start:]
            if act.etag:
                self.send_header("ETag", tag)
            if act.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            elif act.length:
                self.send_header("Content-Length", str(len(body)))
            else:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            try:
                self._send(body, act)
            except OSError:
                self.close_connection = True

        def _send(self, body: bytes, act: Act) -> None:
            stop = min(x for x in (act.drop_after, act.hang_after, len(body)) if x is not None)
            for at in range(0, stop, 4096):
                block = body[at : min(at + 4096, stop)]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block) if act.chunked else block)
                if act.pause:
                    self.wfile.flush()
                    time.sleep(act.pause)
            self.wfile.flush()
            if act.hang_after is not None:
                stopping.wait(10)
            if act.drop_after is not None or act.hang_after is not None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
            elif act.chunked:
                self.wfile.write(b"0\r\n\r\n")

        def _refuse(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        stopping.set()
        http.shutdown()
        http.server_close()
        thread.join()
