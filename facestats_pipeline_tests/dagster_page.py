"""`facestats ui` as a process: Dagster's page and daemon on a data folder, on loopback, ended with the block."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from facestats_pipeline_tests.processes import end, kill_session, start


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(data: Path, log: Path) -> Iterator[str]:
    """`facestats ui` on a data folder, from when its page answers; afterwards neither it nor a process it started is left."""
    port = free_port()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("FACESTATS_", "DAGSTER_"))}
    command = [Path(sys.executable).with_name("facestats"), "ui", "-d", data, "--port", str(port)]
    environment = kept | {"FACESTATS_AUTOMATION_SCAN_SECONDS": "5", "OMP_NUM_THREADS": "1"}
    server = start(command, log, env=environment)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(120):
            assert server.poll() is None, log.read_text(errors="replace")[-3000:]
            try:
                with urlopen(f"{address}/server_info", timeout=5):
                    break
            except OSError:
                time.sleep(1)
        else:
            pytest.fail(f"no page after 120 s: {log.read_text(errors='replace')[-3000:]}")
        yield address
    finally:
        end(server, 60, signal.SIGINT)
        for _ in range(100):  # its session: the servers and runs that it started
            try:
                os.killpg(server.pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.2)
        else:
            kill_session(server)
