"""Asking a service over HTTP: JSON out and in, again where a fault may pass; each attempt counted, paced."""

from __future__ import annotations

import email.utils
import ipaddress
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from subterfuge.errors import SubterfugeError
from subterfuge.files import why

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

# The environment variable that a bearer token is in; another must begin like it, so that no victim's folder
# can make us send any other secret of the environment.
TOKEN = "SUBTERFUGE_TOKEN"

_PASSING = (408, 425, 429, 500, 502, 503, 504)  # statuses that may be another one in a moment
_LONGEST_WAIT = 60.0  # seconds between two attempts, unless the service asks for more
_PATIENCE = 600.0  # the most seconds that a service may ask for
_MOST_BYTES = 4 << 20  # of an answer


class _StumbledError(Exception):
    """An attempt came to nothing, but the next one may not; ``after``: seconds that the service asks for."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class Asker:
    """Asks one service, one question at a time.

    Parameters
    ----------
    url : str
        ``http`` or ``https``, without user and password.
    token : str
        Name of the environment variable that holds a bearer token: ``SUBTERFUGE_TOKEN`` or one that begins
        with it. It is read for each attempt and kept nowhere. Empty: no token is sent.
    timeout : float
        Seconds that an attempt may take in all.
    retries : int
        Further attempts after one that came to nothing.
    wait : float
        Seconds before the second attempt; twice as many before each one after, 60 at most, or as long as the
        service asks for by ``Retry-After``, ten minutes at most.
    rate : float, optional
        Most attempts a second.

    Attributes
    ----------
    attempts : int
        Requests begun, whatever came of them.
    answered : int
        Those of them that were answered, with JSON.

    Raises
    ------
    SubterfugeError
        If an option cannot be.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = TOKEN,
        timeout: float = 30.0,
        retries: int = 5,
        wait: float = 0.5,
        rate: float | None = None,
    ) -> None:
        parts = _parts(url)
        if token and not (token.startswith(TOKEN) and token.replace("_", "").isalnum()):
            raise SubterfugeError(
                f"token: got the variable {token!r}, expected {TOKEN} or one that begins with it"
            )
        for name, value, least in (("timeout", timeout, 0.0), ("wait", wait, -1.0), ("rate", rate, 0.0)):
            if value is not None and not least < value < 1e6:
                raise SubterfugeError(f"{name}: got {value}, expected a positive number")
        if retries < 0:
            raise SubterfugeError(f"retries: got {retries}, expected a whole number from 0 up")
        self.url, self.token, self.timeout, self.retries = url, token, timeout, retries
        self.wait, self.rate = wait, rate
        # Without the query, which may hold what is nobody's business.
        self.shown = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
        self._private = parts.scheme == "https" or _is_here(str(parts.hostname))
        self.attempts = self.answered = 0
        self._pool: PoolManager | None = None
        self._next = 0.0

    def ask(self, question: Mapping[str, Any]) -> Any:
        """What the service answers to a question, both as JSON values.

        Raises
        ------
        SubterfugeError
            If it refuses, or comes to nothing ``retries`` times after the first; no token is told.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json"} | self._authorisation()
        body = json.dumps(question, allow_nan=False).encode()
        for attempt in range(self.retries + 1):
            try:
                answer = self._attempt(body, headers)
            except _StumbledError as stumbled:
                if attempt == self.retries:
                    times = "once" if attempt == 0 else f"{attempt + 1} times"
                    raise SubterfugeError(f"{self.shown}: {stumbled} (asked {times})") from None
                if stumbled.after > _PATIENCE:
                    raise SubterfugeError(
                        f"{self.shown}: {stumbled}, and asks to wait {stumbled.after:.0f} s; try again then"
                    ) from None
                time.sleep(max(min(self.wait * 2**attempt, _LONGEST_WAIT), stumbled.after))
            else:
                self.answered += 1
                return answer
        raise AssertionError("unreachable")

    def _attempt(self, body: bytes, headers: Mapping[str, str]) -> Any:
        """One request; what can pass is a :class:`_StumbledError`."""
        from urllib3 import Timeout
        from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError
        from urllib3.exceptions import SSLError as TlsError

        self._pace()
        ends = time.monotonic() + self.timeout
        self.attempts += 1
        try:
            response = self._connections().request(
                "POST",
                self.url,
                body=body,
                headers=headers,
                timeout=Timeout(total=self.timeout),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            status, answer = response.status, _read(response, ends)
        except TlsError as error:
            raise SubterfugeError(
                f"{self.shown}: the connection is not safe ({self._clean(error)})"
            ) from None
        except NewConnectionError as error:  # first: by descent it is a ConnectTimeoutError too
            raise _StumbledError(f"cannot be reached ({why(error.__cause__ or error)})") from None
        except (ConnectTimeoutError, ReadTimeoutError, TimeoutError):
            raise _StumbledError(f"gave no answer within {self.timeout:g} s") from None
        except (HTTPError, OSError):
            raise _StumbledError("broke off before its answer was whole") from None
        except UnicodeError:
            raise SubterfugeError(f"{self.shown}: is no address that can be asked") from None
        if status in _PASSING:
            after = _asked_wait(response.headers.get("Retry-After"))
            raise _StumbledError(f"answered {status}{self._words(answer)}", after)
        if 300 <= status < 400:
            raise SubterfugeError(
                f"{self.shown}: answered {status}, leading elsewhere; give the final address"
            )
        if status != 200:
            raise SubterfugeError(f"{self.shown}: answered {status}{self._words(answer)}")
        try:
            return json.loads(answer)
        except (ValueError, RecursionError):
            raise _StumbledError(f"answered with what is not JSON{self._words(answer)}") from None

    def _pace(self) -> None:
        if self.rate is None:
            return
        now = time.monotonic()
        if now < self._next:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + 1 / self.rate

    def _authorisation(self) -> dict[str, str]:
        secret = self._secret()
        if not secret:
            if self.token in ("", TOKEN):
                return {}
            raise SubterfugeError(f"{self.shown}: the environment variable {self.token} is not set")
        if not self._private:
            raise SubterfugeError(
                f"{self.shown}: the token in {self.token} would go unencrypted, expected an https address"
            )
        if not secret.isprintable() or not secret.isascii():
            raise SubterfugeError(
                f"the environment variable {self.token} holds what no token may, such as a newline"
            )
        return {"Authorization": f"Bearer {secret}"}

    def _secret(self) -> str:
        return os.environ.get(self.token, "").strip() if self.token else ""

    def _words(self, answer: bytes) -> str:
        """The beginning of an answer for a message, in brackets; without the token, should it be in there."""
        text = self._clean(answer.decode("utf-8", "replace"))
        text = "".join(c for c in " ".join(text.split()) if c.isprintable())
        return f" ({text[:120]}{' …' if len(text) > 120 else ''})" if text else ""

    def _clean(self, text: object) -> str:
        secret = self._secret()
        return str(text).replace(secret, "[token]") if secret else str(text)

    def _connections(self) -> PoolManager:
        if self._pool is None:
            self._pool = _pool(self.url)
        return self._pool


def _read(response: BaseHTTPResponse, ends: float) -> bytes:
    """The body, if it comes in time and is not too long; the connection is kept only if it is whole."""
    parts, size = [], 0
    try:
        # What is there, each time, and not so and so much, which a slow server could take for ever to send.
        while part := response.read1(1 << 16, decode_content=True):
            parts.append(part)
            size += len(part)
            if time.monotonic() > ends:
                raise TimeoutError
            if size > _MOST_BYTES:
                raise _StumbledError(f"answered with more than {_MOST_BYTES >> 20} MiB")
    except BaseException:
        response.close()
        raise
    response.release_conn()
    return b"".join(parts)


def _pool(url: str) -> PoolManager:
    """Connections, by way of the proxy that the environment names, if it names one."""
    import urllib3

    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    host = str(parts.hostname)
    if not proxy or _is_here(host) or proxy_bypass(host):
        return urllib3.PoolManager()
    auth = urllib3.util.parse_url(proxy).auth
    headers = urllib3.make_headers(proxy_basic_auth=auth) if auth else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers)


def _parts(url: str) -> Any:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or any(c.isspace() for c in url):
        raise SubterfugeError(f"url: got {url[:200]!r}, expected one that begins with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise SubterfugeError(
            f"url: holds a user or password for {host}, expected none: a secret belongs in the environment "
            f"variable {TOKEN}"
        )
    return parts


def _is_here(host: str) -> bool:
    """Whether this is the machine that we are on, so that nobody listens in between."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _asked_wait(header: str | None) -> float:
    """Seconds that ``Retry-After`` asks for, given as such or as a date; 0 where it makes no sense."""
    if header is None:
        return 0.0
    with suppress(ValueError):
        seconds = float(header)
        return seconds if 0 <= seconds < 1e9 else 0.0
    with suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    return 0.0
