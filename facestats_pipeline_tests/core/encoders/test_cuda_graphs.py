"""Which forward passes are recorded, and what happens where one cannot be: without a GPU, since recording itself needs one."""

import logging

import pytest
import torch

from facestats_pipeline.core.encoders.cuda_graphs import Graphed, forward_on


def double(batch: torch.Tensor) -> torch.Tensor:
    return batch * 2


def test_a_graph_is_for_cuda_alone() -> None:
    assert forward_on(torch.device("cpu"), double, 4) is double
    assert isinstance(forward_on(torch.device("cuda"), double, 4), Graphed)


def test_a_batch_of_another_shape_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def record(self: Graphed, batch: torch.Tensor) -> None:
        raise AssertionError("recorded for the last, smaller batch")

    monkeypatch.setattr(Graphed, "_record", record)
    assert Graphed(double, 4)(torch.ones(3)).tolist() == [2, 2, 2]


def test_a_model_that_cannot_be_recorded_runs_without_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def record(self: Graphed, batch: torch.Tensor) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(Graphed, "_record", record)
    graphed = Graphed(double, 2)
    with caplog.at_level(logging.WARNING):
        assert [graphed(torch.ones(2)).tolist() for _ in range(3)] == [[2, 2]] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "Running without a CUDA graph: operation not permitted when stream is capturing"
    ]


def test_a_recorded_batch_is_copied_in_replayed_and_copied_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Replayed:
        def __init__(self, graphed: Graphed) -> None:
            self.graphed = graphed

        def replay(self) -> None:
            self.graphed._made.copy_(self.graphed._given * 2)  # type: ignore[union-attr, operator]

    def record(self: Graphed, batch: torch.Tensor) -> None:
        self._graph, self._given, self._made = Replayed(self), torch.zeros(2), torch.zeros(2)  # type: ignore[assignment]

    monkeypatch.setattr(Graphed, "_record", record)
    graphed = Graphed(double, 2)
    first, second = graphed(torch.tensor([1.0, 2.0])), graphed(torch.tensor([5.0, 6.0]))
    assert first.tolist() == [2, 4] and second.tolist() == [10, 12], "the first is not written over"
