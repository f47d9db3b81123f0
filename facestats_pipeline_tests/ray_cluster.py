"""A Ray cluster on loopback: a head that only keeps house, and workers that can be lost as a machine is.

Each node is a `ray start` of its own, with the environment that its runs will have.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from facestats_pipeline_tests.dagster_page import free_port
from facestats_pipeline_tests.processes import end, start

STARTED = "Ray runtime started"


class Node:
    """A running node; `children` are the processes that it started, and theirs."""

    def __init__(self, log: Path, environment: Mapping[str, str], *arguments: str) -> None:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--node-ip-address=127.0.0.1"]
        command += [f"--object-store-memory={80 * 2**20}", f"--dashboard-agent-listen-port={free_port()}", *arguments]
        self.log = log
        quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_memory_monitor_refresh_ms": "0"}
        self.process = start(command, log, env={**environment, **quiet})

    def wait(self, seconds: float = 150) -> None:
        """Until it has joined."""
        until = time.monotonic() + seconds
        while STARTED not in (said := self.log.read_text(errors="replace")):
            assert self.process.poll() is None and time.monotonic() < until, said[-3000:]
            time.sleep(0.2)

    @property
    def children(self) -> set[int]:
        """Ids of its living processes."""
        return _descendants(self.process.pid)

    def lose(self) -> None:
        """End all its processes at once, as a power failure does."""
        for process in [self.process.pid, *self.children]:
            _kill(process, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it, and whatever of it is left."""
        left = self.children
        end(self.process, 15)
        for process in left:
            _kill(process, signal.SIGKILL)


class Cluster:
    """A head without processors of its own, at `address`; jobs are sent to `jobs`."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.address, dashboard = f"127.0.0.1:{free_port()}", free_port()
        self.jobs = f"http://127.0.0.1:{dashboard}"
        self.nodes = [
            Node(
                folder / "head.log",
                environment,
                "--head",
                "--num-cpus=0",
                f"--port={self.address.rpartition(':')[2]}",
                f"--temp-dir={folder}",
                "--include-dashboard=true",
                "--dashboard-host=127.0.0.1",
                f"--dashboard-port={dashboard}",
                "--disable-usage-stats",
            )
        ]
        self.nodes[0].wait()

    def worker(self, **variables: str) -> Node:
        """One more node, with room for four runs of two processors each; `variables` are added to its environment.

        It has joined: two that start at once on one machine would take the same sockets.
        """
        log = self.folder / f"worker-{len(self.nodes)}.log"
        node = Node(log, {**self.environment, **variables}, f"--address={self.address}", "--num-cpus=8")
        self.nodes.append(node)
        node.wait()
        return node


@contextmanager
def cluster(environment: Mapping[str, str]) -> Iterator[Cluster]:
    """A cluster whose nodes have `environment`; it ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # sockets in it need a short path
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        made = Cluster(folder, environment)
        stack.callback(lambda: [node.stop() for node in reversed(made.nodes)])
        yield made


def _descendants(process: int) -> set[int]:
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):  # ended meanwhile
            continue
    found, waiting = set[int](), [process]
    while waiting:
        parent = waiting.pop()
        children = [child for child, of in parents.items() if of == parent]
        found.update(children)
        waiting += children
    return found


def _kill(process: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)
