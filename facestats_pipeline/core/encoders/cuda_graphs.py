"""One forward pass as a CUDA graph: a GPU that finishes a layer in microseconds otherwise waits for Python to start the next.

A graph is recorded for one shape. The batches of a shard have one shape but for the last; whatever has another runs as it is.
No GPU was at hand when this was written: the choice is tested, the recording is torch's documented recipe
(https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs), and a model that cannot be recorded is said to be run without.
"""

import logging
from collections.abc import Callable

import torch

logger = logging.getLogger(__name__)

Forward = Callable[[torch.Tensor], torch.Tensor]
WARM_UP = 3
"""Passes on a stream of their own before recording, as torch's recipe asks for."""


def forward_on(device: torch.device, forward: Forward, batch_size: int) -> Forward:
    """`forward`, as a graph for batches of `batch_size` where the device is a CUDA one."""
    return Graphed(forward, batch_size) if device.type == "cuda" else forward


class Graphed:
    """`forward` with its full batches replayed from a graph, recorded at the first of them."""

    def __init__(self, forward: Forward, batch_size: int) -> None:
        self._forward = forward
        self._batch_size = batch_size
        self._graph: torch.cuda.CUDAGraph | None = None
        self._given: torch.Tensor | None = None
        self._made: torch.Tensor | None = None
        self._refused = False

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Features (n, dim) of a batch on the device."""
        if self._refused or len(batch) != self._batch_size:
            return self._forward(batch)
        if self._graph is None:
            try:
                self._record(batch)
            except RuntimeError as error:  # some models ask the host something half way
                self._refused = True
                logger.warning("Running without a CUDA graph: %s", str(error).splitlines()[0])
                return self._forward(batch)
        assert self._graph is not None and self._given is not None and self._made is not None
        self._given.copy_(batch)
        self._graph.replay()
        return self._made.clone()  # the next replay writes over it

    def _record(self, batch: torch.Tensor) -> None:
        given = batch.clone(memory_format=torch.preserve_format)
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                self._forward(given)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            made = self._forward(given)
        self._graph, self._given, self._made = graph, given, made
