"""Locks of a data folder, between threads as between processes: each opens the lock files for itself."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from facestats_pipeline.io.locks import FolderLocks

HOLD = """
import sys, time
from pathlib import Path
from facestats_pipeline.io.locks import FolderLocks
with FolderLocks(Path(sys.argv[1])).hold(sys.argv[2:] or None, what="the other run"):
    print("held", flush=True)
    time.sleep(600)
"""


class Other:
    """Another process that holds the folder, or some shards of it, until it is killed."""

    def __init__(self, data: Path, *shards: str) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", HOLD, data, *shards], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def gets_in(locks: FolderLocks, shards: list[str] | None) -> tuple[threading.Thread, list[str]]:
    """A thread that takes the lock; what it was told while it waited, and `in` when it had it."""
    said: list[str] = []

    def take() -> None:
        with locks.hold(shards, on_wait=said.append):
            said.append("in")

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    thread.join(1.0)
    return thread, said


@pytest.mark.parametrize(
    ("held", "wanted", "waits"),
    [
        ([], None, True),
        ([], ["shard-00000"], True),
        (["shard-00000"], None, True),
        (["shard-00000", "shard-00001"], ["shard-00001", "shard-00002"], True),
        (["shard-00000"], ["shard-00001"], False),
    ],
)
def test_who_waits_for_whom_and_nobody_for_the_dead(
    tmp_path: Path, held: list[str], wanted: list[str] | None, waits: bool
) -> None:
    other = Other(tmp_path, *held)
    try:
        thread, said = gets_in(FolderLocks(tmp_path), wanted)
        assert FolderLocks(tmp_path).holder() is not None
        if waits:
            assert len(said) == 1
            assert said[0].startswith(f"the other run (process {other.process.pid} on ")
        else:
            assert said == ["in"]
    finally:
        other.kill()  # kill -9
    thread.join(5)
    assert said[-1] == "in"
    assert FolderLocks(tmp_path).holder() is None


def test_a_run_inside_an_update_does_not_wait_for_it(tmp_path: Path) -> None:
    locks = FolderLocks(tmp_path)
    with locks.hold(), FolderLocks(tmp_path).hold(["shard-00000"]), locks.hold():
        assert locks.holder() is not None
    assert locks.holder() is None


def test_more_than_is_held_is_an_error_and_no_wait_for_oneself(tmp_path: Path) -> None:
    locks = FolderLocks(tmp_path)
    with locks.hold(["shard-00000"]):
        for more in (None, ["shard-00001"]):
            with pytest.raises(RuntimeError, match="cannot wait for more"), locks.hold(more):
                pass
    with locks.hold():
        pass


def test_runs_over_the_same_shards_in_another_order_do_not_wait_for_each_other_for_ever(tmp_path: Path) -> None:
    locks, count = FolderLocks(tmp_path), [0]

    def run(shards: list[str]) -> None:
        for _ in range(5):
            with locks.hold(shards):
                seen = count[0]
                time.sleep(0.002)
                count[0] = seen + 1

    orders = (["a", "b", "c"], ["c", "b", "a"], ["b", "a", "c"])
    threads = [threading.Thread(target=run, args=(order,), daemon=True) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert count == [15], "and never two at a time"


def test_nobody_works_in_a_folder_without_locks(tmp_path: Path) -> None:
    assert FolderLocks(tmp_path).holder() is None
    assert list(tmp_path.iterdir()) == []
