"""Many small jobs on several processes: results as they come, one torch thread each, Ctrl-C heeded."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from subterfuge.errors import SubterfugeError

J = TypeVar("J")
R = TypeVar("R")

# Told what is being done, how much of it is done, and of how much.
Progress = Callable[[str, int, int], None]


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def check_workers(workers: int) -> None:
    """Make sure that a number of processes is one.

    Raises
    ------
    SubterfugeError
        If it is below 1.
    """
    if workers < 1:
        raise SubterfugeError(f"workers: got {workers}, expected a whole number from 1 up")


def each(
    function: Callable[[J], R],
    jobs: Sequence[J],
    *,
    workers: int = 1,
    setup: Callable[..., None] | None = None,
    given: Sequence[Any] = (),
) -> Generator[tuple[J, R], None, None]:
    """Each job with its result, in the order in which they are finished; close it to end the workers.

    Parameters
    ----------
    function : callable
        Importable by name, as what it takes and gives must be fit to be pickled.
    jobs : sequence
    workers : int
        Processes; with 1 all is done in this one.
    setup : callable, optional
        Called once in every process with ``given``, for what all jobs share.

    Raises
    ------
    SubterfugeError
        If a worker is ended from outside.

    Examples
    --------
    >>> sorted(each(abs, [-2, 1]))
    [(-2, 2), (1, 1)]
    """
    check_workers(workers)
    if workers == 1 or len(jobs) < 2:
        if setup is not None:
            setup(*given)
        for job in jobs:
            yield job, function(job)
        return
    pool = ProcessPoolExecutor(min(workers, len(jobs)), initializer=_begin, initargs=(setup, tuple(given)))
    try:
        waiting: dict[Future[R], J] = {}
        left = iter(jobs)
        while True:
            # A few ahead of what is running, no more: Ctrl-C then has nothing long to wait for.
            for job in left:
                with _without_interrupts():  # a process is begun by this, and is never to hear of Ctrl-C
                    future = pool.submit(function, job)
                waiting[future] = job
                if len(waiting) >= 2 * workers:
                    break
            if not waiting:
                return
            for done in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(done), done.result()
    except BrokenProcessPool:
        raise SubterfugeError(
            "a worker process was ended from outside (too little memory?), expected it to finish; what is "
            "computed is kept, so try again with fewer workers"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Keep Ctrl-C waiting for the length of the block, and for good from processes that are begun in it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(setup: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    # Ctrl-C reaches every process of the terminal: only the parent is to act on it. (Where it cannot be
    # kept from a process from its very beginning, this is the next best.)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if "torch" in sys.modules:  # else it will heed the environment, if ever it is loaded
        sys.modules["torch"].set_num_threads(1)
    # For libraries that a forked process has loaded already: threads of theirs do not outlive the fork, and
    # waiting for them would be for ever.
    threadpool_limits(1)
    if setup is not None:
        setup(*given)
