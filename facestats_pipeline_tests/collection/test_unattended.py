"""`facestats ui` on a folder, and nobody touching it: photos and labels that change are followed to the last table."""

import hashlib
import shutil
import time
from collections import Counter
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from facestats_pipeline.collection.pipeline import Pipeline, open_instance
from facestats_pipeline.core.demo.faces import generate_demo
from facestats_pipeline.core.images.decoding import ImageProblem, decode_image
from facestats_pipeline.core.ingest.identity import image_id
from facestats_pipeline.defs.pools import ENCODER_POOL
from facestats_pipeline.defs.run_requests import WHY
from facestats_pipeline.io.freshness import ROOT
from facestats_pipeline.io.plan import RANGE_START
from facestats_pipeline_tests.dagster_page import served
from facestats_pipeline_tests.demo_collection import opened

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(1200)]
LIMIT = 600.0
"""Seconds until everything must be right, on a machine that does other things too; it takes about a fifth of that on an idle one."""


def photos_of(raw: Path) -> dict[str, str]:
    """Image id → one of its file names, of every photo in the folder that can be used."""
    found = {}
    for path in sorted(path for path in raw.rglob("*") if path.is_file()):
        try:
            decode_image(path.read_bytes())
        except ImageProblem:  # the demo has a few of those
            continue
        found[image_id(path.read_bytes())] = path.relative_to(raw).as_posix()
    return found


def table(data: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(data / "processed" / "metadata" / f"{name}.parquet")


def wrong_in(pipeline: Pipeline, expected: set[str], gone: set[str]) -> str:
    """What does not yet agree with the photos and labels as they are now; empty when all does."""
    store = pipeline.folder.store
    inventory = store.read_table(ROOT)
    live = set(inventory.filter(pl.col("state") == "ok")["image_id"])
    if not expected <= live or live & gone:
        return f"{len(expected - live)} photos are not discovered, {len(live & gone)} are not missed"
    states = pipeline.states()
    waiting = {name for (name, _), state in states.items() if state.status != "done"} - {"mini_encoder"}
    return f"not done: {', '.join(sorted(waiting))}" if waiting else ""


def wait_until_right(data: Path, before: set[str], limit: float) -> float:
    """Seconds until nothing is wrong; `before` are the photos that there were."""
    started = time.monotonic()
    pipeline, expected = opened(data), set(photos_of(data / "raw"))
    problem = "nothing was looked at"
    while time.monotonic() - started < limit:
        try:
            problem = wrong_in(pipeline, expected, before - expected)
        except (OSError, pl.exceptions.PolarsError) as error:  # a table that is replaced at this moment
            problem = repr(error)
        if not problem:
            return time.monotonic() - started
        time.sleep(2)
    pytest.fail(f"after {limit:.0f} s: {problem}")


def test_photos_and_labels_that_change_are_followed_with_nobody_touching_it(
    copy_of_collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    data, raw = copy_of_collection, copy_of_collection / "raw"
    generate_demo(55, tmp_path / "new", tmp_path / "new labels", seed=77)
    new = sorted(path for path in (tmp_path / "new").rglob("*") if path.suffix in (".jpg", ".png", ".webp"))[:55]
    ids_before = photos_of(raw)
    contents = Counter(image_id(path.read_bytes()) for path in raw.rglob("*") if path.is_file())
    old = sorted(name for key, name in ids_before.items() if contents[key] == 1)  # a copy would outlive its original
    instance = open_instance(data / ".dagster")
    runs_before = instance.get_runs_count()
    with served(data, tmp_path / "ui.log"):
        (raw / "dropped").mkdir()
        for path in new[:50]:
            shutil.copyfile(path, raw / "dropped" / path.name)
        for name, path in zip(old[:5], new[50:], strict=True):
            shutil.copyfile(path, raw / name)
        for name in old[5:10]:
            (raw / name).unlink()
        labels = data / "labels" / "labels.csv"
        lines = labels.read_text().splitlines()
        edited = next(i for i, line in enumerate(lines) if line.split(",")[0] == old[20])
        lines[edited] = (
            lines[edited].replace(",Male,", ",Fe-male,").replace(",Female,", ",Male,").replace("Fe-male", "Female")
        )
        labels.write_text("\n".join(lines) + "\n")
        seconds = wait_until_right(data, set(ids_before), LIMIT)
        time.sleep(12)  # two more ticks: nothing may be asked for again
        runs = instance.get_runs(dg.RunsFilter(), limit=instance.get_runs_count() - runs_before)
    with capsys.disabled():
        print(f"\nup to date {seconds:.0f} s after the changes, in {len(runs)} runs: ", end="")
        print(", ".join(f"{run.job_name.strip('_')} {len(run.asset_selection or [])}" for run in reversed(runs)))

    photos = photos_of(raw)
    assert len(photos) == len(ids_before) + 50 - 5
    master = table(data, "master")
    assert set(master["image_id"]) == set(photos)
    assert master.height == len(photos)
    assert not set(master["image_id"]) & (set(ids_before) - set(photos)), "replaced and deleted photos are gone"
    assert master["attractiveness_raw"].null_count() == 0
    scores = table(data, "attractiveness_scores")
    assert (
        scores.select("image_id", "attractiveness_raw")
        .sort("image_id")
        .equals(master.select("image_id", "attractiveness_raw").sort("image_id"))
    )
    composites = pl.read_parquet(data / "processed" / "composites.parquet")
    everyone = composites.filter(pl.col("name") == "everyone").row(0, named=True)
    assert (everyone["n_used"] + everyone["n_skipped"], everyone["status"]) == (len(photos), "made")
    store = opened(data).folder.store
    learned = store.recipe("gender_classifier")
    assert learned is not None
    assert learned.inputs["labels_csv"] == hashlib.sha256(labels.read_bytes()).hexdigest()[:16]
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    encoding = [run for run in runs if dg.AssetKey("embeddings_clip") in (run.asset_selection or ())]
    assert encoding and all(RANGE_START in run.tags and WHY in run.tags for run in encoding)
    assert all(run.run_op_concurrency and run.run_op_concurrency.all_pools == {ENCODER_POOL} for run in encoding)
    asked = [key.path[-1] for run in runs for key in run.asset_selection or []]
    assert asked.count("gender_classifier") <= 2, "once for the label, at most once more for the photos"
    assert asked.count("master") <= 3
    assert opened(data).update().made == [], "and `facestats run` finds nothing to do"
