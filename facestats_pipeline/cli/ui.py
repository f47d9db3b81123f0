"""`facestats ui`: runs Dagster's web UI and daemon on a data folder."""

import os
import socket
import sys
from typing import Annotated

import typer

from facestats_pipeline.cli.console import err
from facestats_pipeline.cli.options import DataDir
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.opening import dagster_home, settings_for

app = typer.Typer(add_completion=False)

WORKSPACE = """\
load_from:
  - python_module:
      module_name: facestats_pipeline.definitions
      location_name: facestats
"""
"""Content of a workspace.yaml, because an installed package does not have the one of the checkout."""


@app.command(epilog="Examples:\n\n  facestats ui -d ~/faces\n\n  facestats ui -d ~/faces --port 4000")
def ui(
    data_dir: DataDir = None,
    port: Annotated[int, typer.Option(help="Port of the page, on loopback.")] = 3000,
    host: Annotated[
        str, typer.Option(help="Address to bind. Any address but loopback shows faces to the network.")
    ] = "127.0.0.1",
) -> None:
    """Open the project in Dagster: lineage, runs, sensors. While it runs, new photos in the raw folder are processed."""
    from facestats_pipeline.collection.pipeline import open_instance

    settings = settings_for(data_dir)
    home = dagster_home(settings)
    open_instance(home).dispose()
    workspace = home / "workspace.yaml"
    workspace.write_text(WORKSPACE, encoding="utf-8")
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "FACESTATS_DATA_DIR": str(settings.data_dir.resolve()),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    with socket.socket() as probe:
        if probe.connect_ex((host, port)) == 0:
            raise FaceStatsError(f"port {port} is taken; choose another with --port")
    where = ["--host", host, "--port", str(port)]
    err.print(f"Dagster on http://{host}:{port} for {settings.data_dir} (Ctrl-C stops it)", markup=False)
    # Replace this process instead of starting a child, so that ending it also ends Dagster's servers.
    os.execve(
        sys.executable,
        [sys.executable, "-m", "dagster", "dev", "-w", str(workspace), *where],
        environment,
    )
