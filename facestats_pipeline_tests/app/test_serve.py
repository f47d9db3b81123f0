"""What the dashboard's server fixes for everyone."""

from pathlib import Path

from facestats_pipeline.app import serve
from facestats_pipeline.config import load_settings


def test_it_is_for_this_machine_and_tells_nobody(tmp_path: Path) -> None:
    options = serve.streamlit_options(load_settings(environ={}, data_dir=tmp_path), "127.0.0.1", 8501)
    assert options["server.address"] == "127.0.0.1"
    assert options["browser.gatherUsageStats"] is False
    assert options["server.headless"] is True
    assert options["server.maxUploadSize"] == 20
    from streamlit import config

    assert set(options) <= set(config.get_config_options()), "Streamlit knows every one of them"
