"""The `facestats` command: its sub-commands, and how errors are shown. Each sub-command loads what it needs when it is called."""

import sys
from importlib import import_module
from keyword import iskeyword
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "demo": "make synthetic faces with known truth and run everything on them, offline",
    "run": "ingest photos and make whatever is missing or stale",
    "import": "bring in a published data set: its photos, labels, ratings and splits",
    "status": "what is done, stale or missing, shard by shard",
    "score": "attributes and score of new photos",
    "search": "the nearest faces to a text or a picture",
    "composite": "the average face of a group",
    "export": "pictures and rows for Hugging Face, FiftyOne, WebDataset or a spreadsheet",
    "lineage": "where an image is, from the raw file to every row that holds it",
    "erase": "take an image out of everything, for good",
    "dashboard": "look at a data folder in a browser: explore, search, score, label",
    "ui": "open Dagster's web page on this project",
    "models": "model weights: what is there, checksums, licences",
    "train-encoder": "train an encoder of your own, and its probes",
    "train-detector": "train a face detector of your own",
    "doctor": "what this machine has and lacks",
}
"""Name → one line of help; `module_of` says which module holds each as `app` (a Typer)."""


def module_of(name: str) -> str:
    """The module of a command."""
    module = name.replace("-", "_")
    return f"facestats_pipeline.cli.{module}_" if iskeyword(module) else f"facestats_pipeline.cli.{module}"


CALLED = "facestats.called"


class LazyGroup(TyperGroup):
    """Lists commands without importing them: `facestats --help` needs neither Dagster nor torch."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Remembers which command is called, so that it alone is imported."""
        ctx.meta[CALLED] = args[0]
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The real command when it is called; a stand-in with its help line when they are listed."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name == ctx.meta.get(CALLED):
            command = typer.main.get_command(import_module(module_of(cmd_name)).app)
        else:
            listed = typer.Typer(add_completion=False)
            listed.command(help=COMMANDS[cmd_name])(lambda: None)
            command = typer.main.get_command(listed)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From a folder of face photos to embeddings, attributes, scores, tables, composites and reports.",
    epilog="Start with [bold]facestats demo[/], or [bold]facestats run --raw PHOTOS --data-dir DATA[/].",
)


@app.callback()
def _root() -> None:
    """From a folder of face photos to embeddings, attributes, scores, tables, composites and reports."""


def main(args: list[str] | None = None) -> None:
    """Entry point: exit code 0 only when what was asked is done; an expected error is one message, without a traceback."""
    from facestats_pipeline.cli.console import show_error
    from facestats_pipeline.collection.errors import FaceStatsError

    try:
        app(args)
    except FaceStatsError as error:
        show_error(error)
        sys.exit(1)
    except ValueError as error:
        from facestats_pipeline.config import SettingsError  # not above: it would make `--help` slow

        if not isinstance(error, SettingsError):
            raise
        show_error(error)
        sys.exit(1)
