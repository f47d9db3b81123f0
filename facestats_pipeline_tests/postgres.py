"""A real PostgreSQL for tests: Debian's or the PATH's own, on a free loopback port, in a temporary folder, never run as root.

`conftest.py` offers the fixture `postgres` to every test: the address of an empty database. One server, started when it is first asked
for, serves all tests of a session.
"""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

OWNER = "dagster"


@dataclass(frozen=True)
class Server:
    """A running server: its programs, folder and port, and the user that it runs as (None: whoever runs the tests)."""

    programs: Path
    folder: Path
    port: int
    user: int | None

    def call(self, program: str, *arguments: object) -> None:
        """Run one of PostgreSQL's programs to its end; an error shows what it said."""
        log = self.folder / "said"  # no pipe: a server that `pg_ctl` starts would keep it open
        with log.open("ab") as output:
            command = [self.programs / program, *map(str, arguments)]
            done = subprocess.run(command, user=self.user, cwd=self.folder, stdout=output, stderr=output, check=False)
        assert done.returncode == 0, log.read_text(errors="replace")

    def database(self, name: str) -> str:
        """Address of a new, empty database."""
        self.call("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", OWNER, name)
        return f"postgresql+psycopg2://{OWNER}@127.0.0.1:{self.port}/{name}"


@contextmanager
def running(programs: Path, user: int | None) -> Iterator[Server]:
    """A server in a folder of its own, from `initdb` to its removal."""
    folder = Path(tempfile.mkdtemp(prefix="facestats-postgresql-"))
    if user is not None:
        os.chown(folder, user, -1)
    server, data = Server(programs, folder, _free_port(), user), folder / "data"
    try:
        server.call("initdb", "-D", data, "-U", OWNER, "--auth=trust", "--no-sync")
        options = f"-p {server.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        server.call("pg_ctl", "-D", data, "-o", options, "-w", "-t", 60, "start")
        try:
            yield server
        finally:
            server.call("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The server that all tests of a session share."""
    if importlib.util.find_spec("dagster_postgres") is None:
        pytest.skip("dagster-postgres is not installed: pip install -e '.[postgres]'")
    initdb = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), shutil.which("initdb"))
    if initdb is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with running(Path(initdb).resolve().parent, _someone_else() if os.geteuid() == 0 else None) as server:
        yield server


@pytest.fixture
def postgres(postgres_server: Server) -> str:
    """Address of an empty database of the test's own, as `DAGSTER_POSTGRES_URL` takes it."""
    return postgres_server.database(f"facestats{next(_NUMBERS)}")


_NUMBERS = count()


def _someone_else() -> int:
    """PostgreSQL refuses to run as root: its own user, or nobody."""
    names = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    return next(names[name] for name in ("postgres", "nobody") if name in names)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
