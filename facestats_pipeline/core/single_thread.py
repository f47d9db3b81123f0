"""One thread for work on small matrices.

BLAS and OpenMP threads that wait for each other made fits on 242 × 512 embeddings 40 times slower on a busy machine with two cores
(0.07 s against 2.8 s a fit), and gained nothing on an idle one. Sums in one thread also have one order: the same input, the same model.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

P = ParamSpec("P")
R = TypeVar("R")


def single_threaded(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, run with numerical libraries limited to one thread."""

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        with threadpool_limits(limits=1):
            return function(*args, **kwargs)

    return limited


@contextmanager
def torch_threads(n: int) -> Iterator[Callable[[], None]]:
    """Gives what a new thread has to call to have `n` of torch's threads for itself; puts the number for later threads back at the end.

    torch keeps it for each thread, and the last one set also as what threads begin with.
    """
    import torch

    before = torch.get_num_threads()
    try:
        yield lambda: torch.set_num_threads(n)
    finally:
        torch.set_num_threads(before)
