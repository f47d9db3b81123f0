"""Removes what identifies an erased image from Dagster's SQLite databases and compute logs.

The project writes no image ids or file names there, but error messages may contain them. No copy of a replaced text remains: SQLite
overwrites deleted content (secure_delete), the write-ahead log is emptied, and the file is rewritten (VACUUM).
"""

import mmap
import sqlite3
from pathlib import Path

from facestats_pipeline.core.erasure.log_text import Scrubber

_HEADER = b"SQLite format 3\x00"
_BESIDE = ("-wal", "-shm", "-journal")
BUSY_SECONDS = 30.0


class LogsBusy(Exception):
    """Another process keeps a database locked; the message names the database."""


def scrub_logs(home: Path, scrubber: Scrubber) -> int:
    """Replace what `scrubber` finds in every file below `home`; returns the number of texts replaced. Raises LogsBusy."""
    suspects = [path for path in sorted(home.rglob("*")) if path.is_file() and _may_hold(path, scrubber)]
    databases = {_database(path) for path in suspects}
    replaced = 0
    for path in sorted(database for database in databases if database is not None):
        replaced += _scrub_database(path, scrubber)
    for path in suspects:
        if _database(path) is None:
            replaced += _scrub_text(path, scrubber)
    return replaced


def _may_hold(path: Path, scrubber: Scrubber) -> bool:
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return scrubber.may_hold(content)


def _database(path: Path) -> Path | None:
    """The database that a file is or belongs to (-wal, -shm, -journal)."""
    for ending in _BESIDE:
        if path.name.endswith(ending):
            path = path.with_name(path.name.removesuffix(ending))
    with path.open("rb") as file:
        return path if file.read(len(_HEADER)) == _HEADER else None


def _scrub_database(path: Path, scrubber: Scrubber) -> int:
    replaced = 0

    def scrub(value: str | bytes) -> str | bytes:
        nonlocal replaced
        if isinstance(value, bytes):
            text, n = scrubber.scrub(value.decode("utf-8", "surrogateescape"))
            replaced += n
            return text.encode("utf-8", "surrogateescape") if n else value
        text, n = scrubber.scrub(value)
        replaced += n
        return text

    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            connection.create_function("scrub", 1, scrub)
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("BEGIN IMMEDIATE")
            tables = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
            for (table,) in tables.fetchall():
                for column in connection.execute(f"PRAGMA table_info({_quoted(table)})").fetchall():
                    name = _quoted(column[1])
                    # Compare before writing: most values are unchanged, and rewriting them would cost more than everything else.
                    connection.execute(
                        f"UPDATE {_quoted(table)} SET {name} = scrub({name}) "
                        f"WHERE typeof({name}) IN ('text', 'blob') AND scrub({name}) IS NOT {name}"
                    )
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        raise LogsBusy(f"{path}: {error}; end `facestats ui` and whatever else uses this data folder") from None
    return replaced // 2  # each match is counted twice: by the comparison and by the replacement


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _scrub_text(path: Path, scrubber: Scrubber) -> int:
    text, n = scrubber.scrub(path.read_bytes().decode("utf-8", "surrogateescape"))
    if n:
        temporary = path.with_name(f".{path.name}.scrubbed")
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))
        temporary.replace(path)
    return n
