"""`facestats dashboard` before it serves: what it refuses."""

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facestats_pipeline.cli import dashboard
from facestats_pipeline.collection.errors import FaceStatsError


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        arguments = ["-d", str(tmp_path), "--no-browser", "--port", str(other.getsockname()[1])]
        with pytest.raises(FaceStatsError, match="is taken"):
            CliRunner().invoke(dashboard.app, arguments, catch_exceptions=False)


def test_without_streamlit_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "find_spec", lambda name: None)
    with pytest.raises(FaceStatsError, match=r"\.\[app\]"):
        CliRunner().invoke(dashboard.app, ["-d", str(tmp_path)], catch_exceptions=False)
