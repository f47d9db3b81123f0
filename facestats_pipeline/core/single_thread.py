"""Thread limits for numerical libraries.

On a busy machine with two cores, BLAS and OpenMP threads waiting for each other made fits on 242 × 512 embeddings 40 times slower (2.8 s
instead of 0.07 s per fit); on an idle machine they gained nothing. One thread also fixes the order of sums, so a fit is reproducible.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

P = ParamSpec("P")
R = TypeVar("R")


def single_threaded(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: run `function` with BLAS and OpenMP limited to one thread."""

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        with threadpool_limits(limits=1):
            return function(*args, **kwargs)

    return limited


@contextmanager
def torch_threads(n: int) -> Iterator[Callable[[], None]]:
    """Yield an initializer for new threads: it limits torch to `n` threads in the calling thread.

    torch stores the number per thread, but the last one set is also the default of threads started later. The default is restored at the
    end of the block.
    """
    import torch

    before = torch.get_num_threads()
    try:
        yield lambda: torch.set_num_threads(n)
    finally:
        torch.set_num_threads(before)
