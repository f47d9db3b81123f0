"""Threads whose results come in the order of what they work on, with few of them in memory at once."""

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
    """work(item) of each item in turn, `threads` of them at once; at most twice as many items and results are held.

    `begin` is called by each thread first, `name` is what threads are called. However the caller ends, the threads are gone then, and
    what has not begun is not begun.
    """
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix=name, initializer=begin)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= 2 * max(1, threads):  # two each: a thread never waits for a slower one
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
