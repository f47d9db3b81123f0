"""Runs of processes that are gone are closed; nobody else's are."""

import subprocess
import sys

import dagster as dg
import pytest

from facestats_pipeline.defs.dead_runs import PROCESS, close_dead_runs, this_process


def a_process_that_has_ended() -> str:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return this_process().rpartition(".")[0] + f".{process.pid}"


@pytest.mark.parametrize(
    ("process", "status", "closed"),
    [
        ("dead", "STARTED", True),
        ("dead", "STARTING", True),
        ("dead", "SUCCESS", False),
        ("dead", "CANCELED", False),
        ("this", "STARTED", False),
        ("elsewhere", "STARTED", False),
        (None, "STARTED", False),
    ],
)
def test_which_runs_are_closed(
    own: dg.Definitions, instance: dg.DagsterInstance, process: str | None, status: str, closed: bool
) -> None:
    tags = {"dead": a_process_that_has_ended(), "this": this_process(), "elsewhere": "another-machine.1"}
    run = instance.create_run_for_job(
        own.resolve_job_def("discover_photos"),
        status=dg.DagsterRunStatus(status),
        tags={PROCESS: tags[process]} if process is not None else {},
    )
    assert close_dead_runs(instance) == closed
    after = instance.get_run_by_id(run.run_id)
    assert after is not None
    assert after.status.value == ("FAILURE" if closed else status)
