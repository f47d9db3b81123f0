"""`facestats dashboard`: the pages that show a data folder, on this machine."""

import os
import socket
import threading
import time
import webbrowser
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from facestats_pipeline.cli.console import err
from facestats_pipeline.cli.options import DataDir
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.opening import settings_for
from facestats_pipeline.config import Settings
from facestats_pipeline.core.extras import install_command

app = typer.Typer(add_completion=False)
SCRIPT = Path(__file__).parents[1] / "app" / "main.py"
LOOPBACK = "127.0.0.1"
BLUE, BLUE_ON_DARK = "#0072B2", "#167BBF"
"""The second is as far from the dark page (4.0 to 1) as from the white text that Streamlit writes on it (4.5 to 1)."""


@app.command(
    epilog="Examples:\n\n  facestats dashboard -d ~/faces\n\n  facestats dashboard -d ~/faces --port 8600 --no-browser"
)
def dashboard(
    data_dir: DataDir = None,
    port: Annotated[int, typer.Option(help="Port of the page.", min=1, max=65535)] = 8501,
    host: Annotated[
        str, typer.Option(help="Address to bind; anything but loopback shows faces to the network, without a password.")
    ] = LOOPBACK,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Look at a data folder: overview, explore, composites, search, score a photo, label, bias audit, lineage."""
    settings = settings_for(data_dir)
    if find_spec("streamlit") is None:
        raise FaceStatsError(f"the dashboard needs Streamlit: {install_command('app')}")
    if _answers(host, port):
        raise FaceStatsError(f"port {port} is taken; choose another with --port")
    if not is_loopback(host):
        err.print(f"[yellow]Note[/] everyone who can reach {host} sees the faces and may label; there is no password.")
    os.environ["FACESTATS_DATA_DIR"] = str(settings.data_dir.resolve())
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    err.print(f"Dashboard on {url} for {settings.data_dir} (Ctrl-C ends it)", markup=False)
    if browser:
        threading.Thread(target=_open_when_there, args=(host, port, url), daemon=True).start()
    from streamlit.web import bootstrap

    import facestats_pipeline.app.main  # noqa: F401  (a second of imports, for which the first visitor would wait)

    options = streamlit_options(settings, host, port)
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


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def _open_when_there(host: str, port: int, url: str) -> None:
    for _ in range(100):
        if _answers(host, port):
            webbrowser.open(url)
            return
        time.sleep(0.1)
