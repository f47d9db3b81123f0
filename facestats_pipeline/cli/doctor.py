"""`facestats doctor`: checks this machine for what FaceStats needs, and shows the next step for what is missing."""

import os
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from facestats_pipeline.cli.console import out, print_json
from facestats_pipeline.cli.options import DataDir, Json
from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.config import Settings, SettingsError, leaves, load_settings, variable
from facestats_pipeline.core.extras import install_command

app = typer.Typer(add_completion=False)
PACKAGES = (
    "dagster",
    "torch",
    "open_clip_torch",
    "opencv-python-headless",
    "polars",
    "scikit-learn",
    "lightgbm",
    "usearch",
)
EXTRAS = {  # package → (extra that installs it, what needs it)
    "mediapipe": ("landmarks", "face_geometry and warped composites"),
    "streamlit": ("app", "`facestats dashboard`"),
}
COLOURS = {"ok": "green", "missing": "yellow", "wrong": "red"}


@dataclass(frozen=True)
class Finding:
    """One line: what was checked, the result, and the next step if there is a problem."""

    what: str
    state: Literal["ok", "missing", "wrong"]
    detail: str


@app.command(epilog="Examples:\n\n  facestats doctor\n\n  facestats doctor --settings\n\n  facestats doctor --json")
def doctor(
    data_dir: DataDir = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="List every setting with its value and meaning.")
    ] = False,
    json_: Json = False,
) -> None:
    """Check the machine, the packages, the models and the data folder. Exit code 1 if there is a problem."""
    if settings:
        _show_settings(data_dir, json_)
        return
    findings = examine(data_dir)
    if json_:
        print_json([asdict(finding) for finding in findings])
    else:
        table = Table(header_style="bold")
        for column in ("", "state", "detail"):
            table.add_column(column, overflow="fold")
        for finding in findings:
            table.add_row(finding.what, f"[{COLOURS[finding.state]}]{finding.state}[/]", escape(finding.detail))
        out.print(table)
    wrong = [finding.what for finding in findings if finding.state == "wrong"]
    if wrong:
        raise FaceStatsError(f"problems found: {', '.join(wrong)}")


def examine(data_dir: Path | None) -> list[Finding]:
    """All checks, in the order in which they are shown."""
    findings = [Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")]
    for package in PACKAGES:
        try:
            findings.append(Finding(package, "ok", version(package)))
        except PackageNotFoundError:
            findings.append(Finding(package, "wrong", f"not installed: {install_command()}"))
    for package, (extra, use) in EXTRAS.items():
        try:
            findings.append(Finding(package, "ok", version(package)))
        except PackageNotFoundError:
            findings.append(Finding(package, "missing", f"optional, for {use}: {install_command(extra)}"))
    try:
        settings = load_settings(data_dir=data_dir)
        return [*findings, *_hardware(settings), *_models(settings), _folder(settings)]
    except SettingsError as error:
        return [*findings, Finding("settings", "wrong", str(error))]


def _hardware(settings: Settings) -> list[Finding]:
    from facestats_pipeline.core.encoders.devices import choose_device, choose_precision

    device = choose_device(settings.encoder.device)
    precision = choose_precision(settings.encoder.precision, device)
    return [
        Finding("processors", "ok", f"{os.cpu_count()} cores"),
        Finding("encoding", "ok", f"{settings.encoder.name} on {device} in {precision}"),
    ]


def _models(settings: Settings) -> list[Finding]:
    from facestats_pipeline.io.model_registry import known_models

    states: dict[str, Literal["ok", "missing", "wrong"]] = {
        "ok": "ok",
        "other version": "ok",
        "absent": "missing",
        "damaged": "wrong",
    }
    findings = []
    for model in known_models(settings)[:3]:
        state = states[model.state]
        if model.state == "absent" and model.name == settings.encoder.name:
            state = "wrong"  # without the encoder, no photo can be embedded
        findings.append(Finding(model.name, state, model.where if state == "ok" else f"{model.state}: {model.where}"))
    return findings


def _folder(settings: Settings) -> Finding:
    free = shutil.disk_usage(
        next(p for p in (settings.data_dir, *settings.data_dir.absolute().parents) if p.exists())
    ).free
    if settings.data_dir.exists() and not os.access(settings.data_dir, os.W_OK):
        return Finding("data folder", "wrong", f"{settings.data_dir} cannot be written to")
    return Finding("data folder", "ok", f"{settings.data_dir}, {free / 2**30:.0f} GiB free")


def _show_settings(data_dir: Path | None, json_: bool) -> None:
    try:
        settings = load_settings(data_dir=data_dir)
    except SettingsError as error:
        raise FaceStatsError(str(error)) from None
    rows = []
    for path, field in leaves():
        value: Any = settings
        for key in path:
            value = getattr(value, key)
        rows.append(
            {"setting": ".".join(path), "variable": variable(path), "value": value, "meaning": field.description}
        )
    if json_:
        print_json(rows)
        return
    table = Table(header_style="bold")
    for column in ("setting", "value", "meaning"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(row["setting"], escape(str(row["value"])), escape(row["meaning"]))
    out.print(table)
    out.print("Each is a key of facestats.yaml and a variable: preproc.size is FACESTATS_PREPROC_SIZE.")
