"""The `facestats` command: its sub-commands and error handling. Each sub-command is imported only when it is called."""

import sys
from importlib import import_module
from keyword import iskeyword
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "demo": "make synthetic faces with known labels and run the pipeline on them, offline",
    "run": "ingest photos, then make missing and stale artifacts",
    "import": "import a published data set: photos, labels, ratings and splits",
    "status": "which artifacts are done, stale or missing",
    "score": "attributes and score of new photos",
    "search": "faces nearest to a text or a picture",
    "composite": "the average face of a group",
    "export": "copy pictures and rows for Hugging Face, FiftyOne, WebDataset or a spreadsheet",
    "lineage": "every file and row that holds an image",
    "erase": "erase an image and everything derived from it",
    "dashboard": "open a data folder in the browser: explore, search, score, label",
    "ui": "open Dagster's web UI on a data folder",
    "models": "model weights: availability, checksums, licences",
    "train-encoder": "train your own encoder and its probes",
    "train-detector": "train your own face detector",
    "doctor": "check this machine, the models and the data folder",
}
"""Name → one line of help; `module_of` says which module holds each as `app` (a Typer)."""


def module_of(name: str) -> str:
    """The module of a command."""
    module = name.replace("-", "_")
    return f"facestats_pipeline.cli.{module}_" if iskeyword(module) else f"facestats_pipeline.cli.{module}"


CALLED = "facestats.called"


class LazyGroup(TyperGroup):
    """Lists commands without importing them, so that `facestats --help` loads neither Dagster nor torch."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Remembers which command is called, so that it alone is imported."""
        ctx.meta[CALLED] = args[0]
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The real command when it is called; a placeholder with its help line when commands are listed."""
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
    """Entry point. Exit code 0 only if the command did what was asked. Expected errors print one message without a traceback."""
    from facestats_pipeline.cli.console import show_error
    from facestats_pipeline.collection.errors import FaceStatsError

    try:
        app(args)
    except FaceStatsError as error:
        show_error(error)
        sys.exit(1)
    except ValueError as error:
        from facestats_pipeline.config import SettingsError  # imported late, because it would make `--help` slow

        if not isinstance(error, SettingsError):
            raise
        show_error(error)
        sys.exit(1)
