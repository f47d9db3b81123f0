"""Databases and logs without what identifies an erased image: in rows, in free pages, in the write-ahead log."""

import sqlite3
from pathlib import Path

import pytest

from facestats_pipeline.core.erasure.log_text import PLACEHOLDER, scrubber
from facestats_pipeline.io.erasure import dagster_logs
from facestats_pipeline.io.erasure.dagster_logs import LogsBusy, scrub_logs

ID = "0123456789abcdef0123456789abcdef"
NAME = "people/anna 1.jpg"
FOUND = scrubber([ID], [NAME])


def holds(home: Path) -> list[str]:
    return [
        path.name
        for path in home.rglob("*")
        if path.is_file() and (ID.encode() in (data := path.read_bytes()) or NAME.encode() in data)
    ]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Rows that hold the id and the name, rows that held them and were deleted, other rows, an index."""
    path = tmp_path / "history" / "runs.db"
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("create table event_logs (id integer primary key, event text, body blob, n integer)")
        connection.execute("create index by_event on event_logs (event)")
        rows = [(f'{{"message": "cannot read /raw/{NAME}"}}', b"\x00" + ID.encode(), 1), ("asset ok", b"\xff", 2)]
        rows += [(f"deleted {ID} {i}" + "x" * 9000, None, 3) for i in range(5)]  # longer than a page
        connection.executemany("insert into event_logs (event, body, n) values (?, ?, ?)", rows)
        connection.execute("delete from event_logs where n = 3")
    connection.close()
    return path


def test_rows_free_pages_and_texts_are_cleaned(database: Path, tmp_path: Path) -> None:
    (tmp_path / "compute.err").write_text(f"Traceback: {NAME}\nother line\n")
    (tmp_path / "other.err").write_text("nothing of it")
    assert holds(tmp_path) == ["compute.err", "runs.db"] or set(holds(tmp_path)) == {"compute.err", "runs.db"}
    assert scrub_logs(tmp_path, FOUND) == 3
    assert holds(tmp_path) == []
    with sqlite3.connect(database) as connection:
        assert connection.execute("select event, body, n from event_logs order by id").fetchall() == [
            (f'{{"message": "cannot read /raw/{PLACEHOLDER}"}}', b"\x00" + PLACEHOLDER.encode(), 1),
            ("asset ok", b"\xff", 2),
        ]
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    connection.close()
    assert (tmp_path / "compute.err").read_text() == f"Traceback: {PLACEHOLDER}\nother line\n"
    assert scrub_logs(tmp_path, FOUND) == 0


def test_a_write_ahead_log_is_cleaned(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    connection = sqlite3.connect(path)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma wal_autocheckpoint = 0")
    connection.execute("create table t (x text)")
    connection.execute("insert into t values (?)", (ID,))
    connection.commit()
    assert holds(tmp_path) == ["index.db-wal"], "the test needs it there"
    assert scrub_logs(tmp_path, FOUND) == 1  # beside another connection that is open, as the web page's is
    assert holds(tmp_path) == []
    assert connection.execute("select x from t").fetchall() == [(PLACEHOLDER,)]
    connection.close()


def test_a_database_that_somebody_writes_to_is_named(
    database: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(dagster_logs, "BUSY_SECONDS", 0.05)
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(LogsBusy, match=r"runs\.db.*end `facestats ui`"):
        scrub_logs(tmp_path, FOUND)
    other.execute("rollback")
    other.close()
    scrub_logs(tmp_path, FOUND)
    assert holds(tmp_path) == []
