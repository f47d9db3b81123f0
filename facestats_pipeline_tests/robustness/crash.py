"""Runs that are killed at a random moment, again and again, and what must be true after each kill and after the last run.

    python -m facestats_pipeline_tests.robustness.crash [--moments 100] [--seed 0] [--no-labels] [--keep FOLDER]

Every kill is SIGKILL to a process that does what `facestats run` does; what lies in the data folder at that instant is then opened file by
file. A folder is interrupted one to nine times, each run going on where the last was killed. At the end the run is let through, and its
tables, models, scores and pictures must be those of a folder in which nothing happened. Moments are drawn in processor seconds, so that
what else the machine does changes nothing: evenly over the work of an undisturbed run, and in runs that go on also over their start.
"""

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import pkgutil
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from facestats_pipeline import core
from facestats_pipeline.config import save_settings
from facestats_pipeline.core.demo.faces import generate_demo

PHOTOS, SHARD_SIZE = 36, 12
SETTINGS = {
    "encoder.name": "facestats-test-tiny/untrained",
    "shard_size": SHARD_SIZE,
    "preproc.size": 64,
    "attributes.classifier": "logistic",
    "attractiveness.epochs": 2,
    "attractiveness.min_ratings": 10,
    "attributes.folds": 2,
    "composites.min_n": 2,
}
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        *(
            "facestats_pipeline.collection.pipeline",
            "facestats_pipeline.cli.run",
            "matplotlib.pyplot",
            "pyarrow.parquet",
        ),
        *(
            module.name
            for module in pkgutil.walk_packages(core.__path__, f"{core.__name__}.")
            if ".mini" not in module.name
        ),
    ]
)
WHEN = "added_at"
"""The column that says when, not what."""


@dataclass
class Outcome:
    """What the moments were, in processor seconds of a run, and everything that was wrong."""

    moments: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def prepare(folder: Path, *, labels: bool) -> Path:
    """Photos, settings, and labels and ratings if wanted, without which no model is trained: what `facestats run` begins with."""
    data = folder / "data"
    generate_demo(PHOTOS, data / "raw", data / "labels", seed=11)
    if not labels:
        shutil.rmtree(data / "labels")
        (data / "labels").mkdir()
    save_settings(data, SETTINGS)
    return data


def _run(data: str, log: str) -> None:
    """The body of the process that is killed: what `facestats run` does, after its imports."""
    os.setsid()
    with Path(log).open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout = sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115  lives as long as the process
    from facestats_pipeline.cli.main import main as facestats

    facestats(["run", "--data-dir", data, "--json"])


def run(data: Path, *, kill_after: float | None = None, timeout: float = 3600) -> tuple[str, float]:
    """Run `facestats run` in a process of its own, and kill it once it has used so many processor seconds.

    What happened ("done", "killed", or what went wrong) and the processor seconds used. The process is forked from a server that has
    imported what the run needs and done nothing else, because imports cost more than the run.
    """
    log = data.with_suffix(".log")
    process = FORKS.Process(target=_run, args=(str(data), str(log)))
    process.start()
    used, ends = 0.0, time.monotonic() + timeout
    while process.is_alive():
        used = _processor_seconds(process.pid or 0) or used
        if kill_after is not None and used >= kill_after:
            _kill(process)
            return ("killed" if process.exitcode == -signal.SIGKILL else "done"), used
        if time.monotonic() > ends:
            _kill(process)
            return f"the run did not end within {timeout:.0f} s", used
        process.join(0.01)
    if process.exitcode == 0:
        return "done", used
    return f"exit code {process.exitcode}: {log.read_text(errors='replace')[-2000:]}", used


def _kill(process: BaseProcess) -> None:
    """SIGKILL to the process, and to those that Dagster started for it to follow its logs."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.kill()  # in the instant before it leads a group of its own
    process.join()


def _processor_seconds(pid: int) -> float:
    try:
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return 0.0  # ended between two looks
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def files_of(data: Path) -> Iterator[Path]:
    """Everything under a final name: temporary folders and Dagster's own storage left out."""
    for base in (data / "processed", data / "models"):
        for path in sorted(base.rglob("*")):
            if path.is_file() and ".tmp" not in path.relative_to(base).parts:
                yield path


def broken_files(data: Path) -> list[str]:
    """Files under a final name that cannot be read to their end, and records that name what is not there."""
    found = []
    for path in files_of(data):
        try:
            _read_whole(path, data)
        except Exception as error:  # whatever a reader raises is what a user would meet
            found.append(f"{path.relative_to(data)}: {type(error).__name__}: {error}")
    return found


def _read_whole(path: Path, data: Path) -> None:
    if path.suffix == ".parquet":
        pl.read_parquet(path)
    elif path.suffix in (".jpg", ".png"):
        with Image.open(path) as image:
            image.load()
    elif path.suffix == ".npy":
        np.load(path, allow_pickle=False)
    elif path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        if path.parent.name == ".receipts":
            for name, size in content["files"].items():
                there = [base / name for base in (data / "processed", data / "models") if (base / name).is_file()]
                if not there or there[0].stat().st_size != size:
                    raise ValueError(f"{name} is not there as the record says")
    elif path.stat().st_size == 0:
        raise ValueError("empty")


def temporary_files(data: Path) -> list[str]:
    """What is left in temporary folders."""
    return [path.relative_to(data).as_posix() for path in data.rglob(".tmp/*")]


def differences(data: Path, reference: Path) -> list[str]:
    """How the tables, scores, index facts and pictures of two data folders differ in content."""
    found = []
    theirs, ours = ({p.relative_to(base).as_posix() for p in files_of(base)} for base in (reference, data))
    found += [f"{name} is missing" for name in sorted(theirs - ours)]
    found += [f"{name} is extra" for name in sorted(ours - theirs)]
    for name in sorted(theirs & ours):
        one, other = data / name, reference / name
        if name.endswith(".parquet"):
            left, right = (_content(path) for path in (one, other))
            if not left.equals(right):
                found.append(f"{name} differs")
        elif name.endswith(".skops"):
            if _estimator(one) != _estimator(other):
                found.append(f"{name} differs")
        elif name.endswith((".jpg", ".npy", ".safetensors")) and one.read_bytes() != other.read_bytes():
            found.append(f"{name} differs")
    return found


def _content(path: Path) -> pl.DataFrame:
    frame = pl.read_parquet(path)
    return frame.drop(WHEN, strict=False)


def _estimator(path: Path) -> tuple[str, list[bytes]]:
    """A model's description and arrays in order. skops puts memory addresses in both and the time of day into the archive."""
    with zipfile.ZipFile(path) as archive:
        arrays = [archive.read(name) for name in archive.namelist() if name.endswith(".npy")]
        text = archive.read("schema.json").decode()
    addresses: dict[str, str] = {}
    return re.sub(r"\d{12,}", lambda found: addresses.setdefault(found[0], f"#{len(addresses)}"), text), arrays


def moments_of_folder(draw: random.Random, seconds: float, idle: float, most: int) -> list[float]:
    """After how many processor seconds the runs over one folder are killed, one after another.

    Points drawn evenly from the `seconds` of an undisturbed run; the run that goes on from one is killed as much later as the next lies
    beyond it, and up to `idle` seconds more, which a run with nothing to do takes.
    """
    points = sorted(draw.uniform(0, seconds) for _ in range(min(draw.randint(1, 9), most)))
    steps = [points[0], *(b - a + draw.uniform(0, idle) for a, b in itertools.pairwise(points))]
    return [round(step, 2) for step in steps]


def kill_at_random(folder: Path, reference: Path, seconds: float, idle: float, *, moments: int, seed: int) -> Outcome:
    """Interrupt runs `moments` times; each folder begins as a fresh copy of the input of `reference`."""
    draw, outcome = random.Random(seed), Outcome()
    while len(outcome.moments) < moments:
        data = folder / "data"
        for name in ("raw", "labels"):
            shutil.copytree(reference / name, data / name)
        shutil.copy(reference / "facestats.yaml", data)
        told: list[float] = []
        wrong: list[str] = []
        for moment in moments_of_folder(draw, seconds, idle, moments - len(outcome.moments)):
            happened, used = run(data, kill_after=moment)
            if happened == "killed":
                told.append(round(used, 2))
                outcome.moments.append(used)
            elif happened != "done":
                wrong.append(happened)
            wrong += broken_files(data)
        happened, _ = run(data)
        wrong += [happened] if happened != "done" else []
        wrong += temporary_files(data) + broken_files(data) + differences(data, reference)
        outcome.problems += [f"killed at {told}: {what}" for what in wrong]
        print(f"{len(outcome.moments)} kills, now after {told}: {wrong or 'right'}", flush=True)
        if wrong:
            data.rename(Path(tempfile.mkdtemp(prefix="wrong-", dir=folder)) / "data")
        else:
            shutil.rmtree(data)
    return outcome


def main() -> int:
    """Run and print; exit code 1 when there were problems."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-labels", action="store_true", help="train no models: a shorter run")
    parser.add_argument("--keep", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.keep or Path(name)
        reference = prepare(folder / "undisturbed", labels=not options.no_labels)
        happened, seconds = run(reference)
        again, idle = run(reference)
        print(f"undisturbed: {happened}, {seconds:.1f} processor seconds; again: {again}, {idle:.1f}", flush=True)
        if (happened, again) != ("done", "done"):
            return 1
        outcome = kill_at_random(folder, reference, seconds, idle, moments=options.moments, seed=options.seed)
    print(f"{len(outcome.moments)} kills, {len(outcome.problems)} problems")
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
