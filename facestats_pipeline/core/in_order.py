"""A parallel map in threads that yields results in input order and holds few of them in memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    work: Callable[[T], R],
    items: Iterable[T],
    threads: int,
    *,
    name: str,
    begin: Callable[[], None] | None = None,
) -> Iterator[R]:
    """Yield work(item) for each item, in order, computed by `threads` threads. At most 2 × threads items and results are in memory.

    `begin` runs once in each thread before its first item; `name` prefixes the threads' names. When the caller stops, early or with an
    error, queued items are cancelled and the threads end.
    """
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix=name, initializer=begin)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= 2 * max(
                1, threads
            ):  # two per thread, so that a fast thread need not wait for a slow one
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
