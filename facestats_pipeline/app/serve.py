"""`python -m facestats_pipeline.app.serve HOST PORT [--browser]`: serves the dashboard of the data folder in FACESTATS_DATA_DIR."""

import argparse
import threading
import time
import webbrowser
from pathlib import Path

from streamlit.web import bootstrap

import facestats_pipeline.app.main  # noqa: F401  (takes a second to import, which the first visitor would have to wait)
from facestats_pipeline.config import Settings, load_settings
from facestats_pipeline.io.addresses import answers

SCRIPT = Path(__file__).with_name("main.py")
BLUE, BLUE_ON_DARK = "#0072B2", "#167BBF"
"""The second colour contrasts with the dark page (4.0 to 1) and with Streamlit's white text on it (4.5 to 1)."""


def main(arguments: list[str] | None = None) -> None:
    """Serve until the process ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--browser", metavar="URL", help="open the page in a browser once it is ready")
    given = parser.parse_args(arguments)
    if given.browser:
        threading.Thread(target=_open_when_there, args=(given.host, given.port, given.browser), daemon=True).start()
    options = streamlit_options(load_settings(), given.host, given.port)
    bootstrap.load_config_options(options)
    bootstrap.run(str(SCRIPT), False, [], options)


def streamlit_options(settings: Settings, host: str, port: int) -> dict[str, object]:
    """Streamlit options that are fixed: no telemetry, no prompts, FaceStats' theme."""
    return {
        "server.address": host,
        "server.port": port,
        "server.headless": True,  # no prompt for an e-mail address, and no request for the machine's public address
        "server.maxUploadSize": settings.dashboard.max_upload_mb,
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        "browser.gatherUsageStats": False,
        "logger.hideWelcomeMessage": True,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",  # a traceback may contain file names, so it goes to the terminal only
        "theme.light.primaryColor": BLUE,
        "theme.dark.primaryColor": BLUE_ON_DARK,
    }


def _open_when_there(host: str, port: int, url: str) -> None:
    for _ in range(100):
        if answers(host, port):
            webbrowser.open(url)
            return
        time.sleep(0.1)


if __name__ == "__main__":
    main()
