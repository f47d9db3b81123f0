"""Processes of tests end, even those that ignore SIGTERM."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from facestats_pipeline_tests.processes import end, running


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """Opening it waits for a writer; reading it ends when the last writer has ended."""
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


@contextmanager
def children_that(disposition: signal.Handlers) -> Iterator[None]:
    """A child process inherits whether its parent ignores SIGTERM; Dagster sets it as SIGINT is, which jobs in the background ignore."""
    before = signal.signal(signal.SIGTERM, disposition)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def sigterm_ends() -> Iterator[None]:
    with children_that(signal.SIG_DFL):
        yield


@pytest.fixture
def sigterm_ignored() -> Iterator[None]:
    with children_that(signal.SIG_IGN):
        yield


@pytest.mark.usefixtures("sigterm_ends")
def test_a_process_ends_when_the_block_fails_and_its_output_is_kept(fifo: Path) -> None:
    log = fifo.with_name("log")
    command = ["sh", "-c", f"echo $WORD; exec sleep 60 > {fifo}"]
    with pytest.raises(KeyError), running(command, log, env=os.environ | {"WORD": "hello"}) as process, fifo.open():
        raise KeyError
    assert (process.returncode, log.read_text()) == (-signal.SIGTERM, "hello\n")
    end(process)  # a second time does nothing


@pytest.mark.usefixtures("sigterm_ignored")
def test_a_process_that_does_not_end_is_killed_with_what_it_started(fifo: Path) -> None:
    with running(["sh", "-c", f"sleep 60 > {fifo} & wait"], fifo.with_name("log"), patience=0.05) as process:
        child = fifo.open()
    assert process.returncode == -signal.SIGKILL
    with child:
        assert child.read() == ""  # returns when the child, which holds the other end, is gone
