"""`facestats dashboard` before it serves: what it refuses, and what it fixes for everyone."""

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facestats_pipeline.cli import dashboard
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.config import load_settings


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


def test_it_is_for_this_machine_and_tells_nobody(tmp_path: Path) -> None:
    options = dashboard.streamlit_options(load_settings(environ={}, data_dir=tmp_path), dashboard.LOOPBACK, 8501)
    assert options["server.address"] == "127.0.0.1"
    assert options["browser.gatherUsageStats"] is False
    assert options["server.headless"] is True
    assert options["server.maxUploadSize"] == 20
    from streamlit import config

    assert set(options) <= set(config.get_config_options()), "Streamlit knows every one of them"


@pytest.mark.parametrize(
    ("host", "alone"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("faces", False)]
)
def test_which_addresses_are_this_machine_alone(host: str, alone: bool) -> None:
    assert dashboard.is_loopback(host) is alone
