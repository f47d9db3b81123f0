"""`python -m facestats_pipeline.app.serve HOST PORT [--browser]`: the dashboard of the data folder that FACESTATS_DATA_DIR names."""

import argparse
import threading
import time
import webbrowser
from pathlib import Path

from streamlit.web import bootstrap

import facestats_pipeline.app.main  # noqa: F401  (a second of imports, for which the first visitor would wait)
from facestats_pipeline.config import Settings, load_settings
from facestats_pipeline.io.addresses import answers

SCRIPT = Path(__file__).with_name("main.py")
BLUE, BLUE_ON_DARK = "#0072B2", "#167BBF"
"""The second is as far from the dark page (4.0 to 1) as from the white text that Streamlit writes on it (4.5 to 1)."""


def main(arguments: list[str] | None = None) -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--browser", metavar="URL", help="open this page as soon as it is there")
    given = parser.parse_args(arguments)
    if given.browser:
        threading.Thread(target=_open_when_there, args=(given.host, given.port, given.browser), daemon=True).start()
    options = streamlit_options(load_settings(), given.host, given.port)
    bootstrap.load_config_options(options)
    bootstrap.run(str(SCRIPT), False, [], options)


def streamlit_options(settings: Settings, host: str, port: int) -> dict[str, object]:
    """What is fixed for everyone: nothing is sent anywhere, nothing is asked, and the page belongs to FaceStats."""
    return {
        "server.address": host,
        "server.port": port,
        "server.headless": True,  # no question for an e-mail address, and no look-up of the machine's outer address
        "server.maxUploadSize": settings.dashboard.max_upload_mb,
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        "browser.gatherUsageStats": False,
        "logger.hideWelcomeMessage": True,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",  # a traceback may hold file names; it goes to the terminal
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
