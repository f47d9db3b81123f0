"""`facestats dashboard`: starts the web dashboard of a data folder on this machine."""

import os
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from facestats_pipeline.cli.console import err
from facestats_pipeline.cli.options import DataDir
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.opening import settings_for
from facestats_pipeline.core.extras import install_command
from facestats_pipeline.io.addresses import answers, is_loopback

app = typer.Typer(add_completion=False)
LOOPBACK = "127.0.0.1"


@app.command(
    epilog="Examples:\n\n  facestats dashboard -d ~/faces\n\n  facestats dashboard -d ~/faces --port 8600 --no-browser"
)
def dashboard(
    data_dir: DataDir = None,
    port: Annotated[int, typer.Option(help="Port of the page.", min=1, max=65535)] = 8501,
    host: Annotated[
        str,
        typer.Option(help="Address to bind. Any address but loopback shows faces to the network, without a password."),
    ] = LOOPBACK,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Open a data folder in the browser: overview, explore, composites, search, score a photo, label, bias audit, lineage."""
    settings = settings_for(data_dir)
    if find_spec("streamlit") is None:
        raise FaceStatsError(f"the dashboard needs Streamlit: {install_command('app')}")
    if answers(host, port):
        raise FaceStatsError(f"port {port} is taken; choose another with --port")
    if not is_loopback(host):
        err.print(
            f"[yellow]Note[/] anyone who can reach {host} can see the faces and add labels; there is no password."
        )
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    err.print(f"Dashboard on {url} for {settings.data_dir} (Ctrl-C stops it)", markup=False)
    # Replace this process instead of starting a child, so that ending it also ends the server.
    command = [sys.executable, "-m", "facestats_pipeline.app.serve", host, str(port)]
    environment = os.environ | {"FACESTATS_DATA_DIR": str(settings.data_dir.resolve())}
    os.execve(sys.executable, [*command, *(["--browser", url] if browser else [])], environment)
