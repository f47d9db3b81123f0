"""Processes of tests end, even those that ignore SIGTERM."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from facestats_pipeline_tests.processes import end, running


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """Opening it waits for a writer; reading it ends when the last writer has ended."""
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


@pytest.fixture
def sigterm_ignored() -> Iterator[None]:
    """A child process inherits the signals that its parent ignores."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGTERM, before)


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
