"""Ctrl-C as a question between one piece of work and the next, so that what is done is kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def heeding_interrupts() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C has been pressed, to be asked between clips; a second press ends everything at once.

    Python would raise KeyboardInterrupt wherever the program happens to be, where it can be swallowed (in
    a destructor, a callback from C) or tear a result in two. Off the main thread it is never heard.

    Examples
    --------
    >>> with heeding_interrupts() as pressed:
    ...     pressed()
    False
    """
    asked = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            signal.default_int_handler(number, frame)
        asked = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
