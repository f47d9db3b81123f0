"""`facestats status`: shows which artifacts are done, stale or missing. Runs nothing."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from facestats_pipeline.cli.console import err, out, print_json
from facestats_pipeline.cli.options import DataDir, Json
from facestats_pipeline.collection.collection import Collection, open_collection

if TYPE_CHECKING:
    from facestats_pipeline.collection.status import ArtifactState

app = typer.Typer(add_completion=False)
EPILOG = (
    "Examples:\n\n  facestats status -d ~/faces\n\n  facestats status --photos -d ~/faces\n\n  facestats status --json"
)
COLOURS = {"done": "green", "stale": "yellow", "missing": "red", "skipped": "dim"}


@app.command(epilog=EPILOG)
def status(
    data_dir: DataDir = None,
    photos: Annotated[
        bool, typer.Option("--photos", help="List the files that were set aside, with the reason.")
    ] = False,
    shards: Annotated[bool, typer.Option("--shards", help="One line per shard that is not done.")] = False,
    on_demand: Annotated[bool, typer.Option("--on-demand", help="Include on-demand assets.")] = False,
    json_: Json = False,
) -> None:
    """Show which artifacts are done, stale (and why) or missing. Runs and changes nothing."""
    here = open_collection(data_dir)
    if photos:
        _show_photos(here, json_)
        return
    states = here.status(on_demand=on_demand)
    n, folder = len(here.pipeline.shards), here.settings.data_dir
    if json_:
        artifacts = [asdict(state) for state in states]
        print_json({"data_dir": str(folder), "shards": here.pipeline.shards, "artifacts": artifacts})
        return
    out.print(_table(states, f"{folder}: {n} shards"))
    if shards:
        for state in states:
            for shard, why in state.not_done.items():
                out.print(f"{state.artifact} {shard}: {why}", markup=False)
    waiting = sum(state.stale + state.missing for state in states if not state.on_demand)
    out.print("Everything is up to date." if not waiting else f"{waiting} to make: `facestats run` makes them.")


def _table(states: "list[ArtifactState]", title: str) -> Table:
    """A table with one block of rows per stage. Names are never truncated, even on 80 columns."""
    table = Table(
        title=escape(title),
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("artifact", no_wrap=True)
    for column in ("done", "stale", "missing"):
        table.add_column(column, justify="right")
    table.add_column("why", overflow="fold")
    for stage in dict.fromkeys(state.stage for state in states):
        table.add_row(f"[bold]{stage}[/]")
        for state in (each for each in states if each.stage == stage):
            counts = [f"[{COLOURS[key]}]{getattr(state, key) or ''}[/]" for key in ("done", "stale", "missing")]
            table.add_row(f"  {state.artifact}", *counts, escape(state.why))
    return table


def _show_photos(here: Collection, json_: bool) -> None:
    rejected = here.set_aside()
    if json_:
        print_json(rejected.to_dicts())
        return
    for row in rejected.iter_rows(named=True):
        out.print(f"{row['status']:<12} {row['filename']}  {row['reason']}", markup=False, soft_wrap=True)
    err.print(f"{rejected.height} files set aside.")
