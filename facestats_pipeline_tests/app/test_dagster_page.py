"""Dagster's page as a newcomer uses it, in Chromium: the graph, one shard made by clicking, its lineage and what is said of it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from facestats_pipeline.collection.pipeline import Pipeline, open_instance
from facestats_pipeline.config import load_settings, save_settings
from facestats_pipeline.core.demo.faces import generate_demo
from facestats_pipeline.io.plan import Step
from facestats_pipeline_tests.app.browser import PATIENCE
from facestats_pipeline_tests.dagster_page import served

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(900)]
GROUPS = ("ingest", "preproc", "embeddings", "attributes", "attractiveness", "metadata", "composites", "reports")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawn faces in two shards, of which nothing but the inventory was made."""
    folder = tmp_path_factory.mktemp("dagster page") / "data"
    generate_demo(12, folder / "raw", folder / "labels", seed=3)
    save_settings(folder, {"shard_size": 8, "automation.enabled": False})
    pipeline = Pipeline(load_settings(environ={}, data_dir=folder), open_instance(folder / ".dagster"))
    pipeline.execute(Step(("raw_photos",)))
    return folder


@pytest.fixture(scope="module")
def url(data: Path) -> Iterator[str]:
    with served(data, data.parent / "ui.log") as address:
        yield address


def test_a_shard_is_made_by_clicking(data: Path, url: str, chromium: Any, artifacts: Path) -> None:
    context = chromium.new_context(viewport={"width": 1500, "height": 950})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    outside: list[str] = []
    here = (url, url.replace("http", "ws", 1), "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(here) else outside.append(request.url))

    def picture(name: str) -> None:
        page.screenshot(path=artifacts / f"dagster-{name}.png")

    page.goto(url)
    page.get_by_role("link", name="Lineage").click()
    for group in GROUPS:
        page.get_by_text(group, exact=True).last.wait_for()
    picture("graph")
    page.get_by_text("ingest", exact=True).last.click()
    page.get_by_text("manifest", exact=True).last.click()
    page.get_by_text("No file is left out").first.wait_for()
    picture("asset")

    page.get_by_role("button", name="Materialize selected").click()
    page.get_by_text("Select a partition or create one").click()
    page.get_by_role("menuitem").filter(has_text="shard-00001").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Launch 1 run").click()
    page.get_by_role("link", name="View", exact=True).click()  # of the note that a run was launched
    end = page.get_by_text(re.compile("^(Success|Failure|Canceled)$")).first
    end.wait_for()
    picture("run")
    assert end.inner_text() == "Success"
    manifest = pl.read_parquet(data / "processed" / "manifest.parquet")
    assert manifest["shard"].unique().to_list() == ["shard-00001"]

    page.get_by_role("link", name="manifest", exact=True).first.click()
    page.get_by_role("tab", name="Overview").click()
    page.get_by_text("why the status is not ok").first.wait_for()
    picture("columns")
    page.get_by_role("tab", name="Partitions").click()
    page.get_by_text("Materialized (1)").wait_for()
    page.get_by_text("shard-00001", exact=True).first.click()
    rows = re.compile(rf"^\s*dagster/row_count\s*{manifest.height}\s*$")
    page.get_by_role("row").filter(has_text=rows).wait_for()
    page.get_by_text("seconds_compute", exact=True).wait_for()
    picture("metadata")
    page.get_by_role("tab", name="Lineage").click()
    for name in ("raw_photos", "sources_csv", "preproc", "image_quality", "master"):
        page.get_by_text(name, exact=True).last.wait_for()
    picture("lineage")
    assert outside == [], "nothing is asked of the internet"
    context.close()
