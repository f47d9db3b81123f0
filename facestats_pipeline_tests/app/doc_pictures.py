"""The pictures of pages in README.md and docs/, taken from the pages as they are. Faces in them are drawn: give it a folder of the demo.

facestats demo --data-dir /tmp/demo
python -m facestats_pipeline_tests.app.doc_pictures --data-dir /tmp/demo --out docs/images
"""

import argparse
import io
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
from PIL import Image

from facestats_pipeline_tests.app.browser import PATIENCE, Visitor, browser, dashboard
from facestats_pipeline_tests.dagster_page import served

WIDTH = 1100


def save(png: bytes, path: Path) -> None:
    """A screenshot as a small PNG, at most WIDTH pixels wide."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    if picture.width > WIDTH:
        picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
    picture.save(path, optimize=True)
    print(f"{path}: {picture.width} × {picture.height}, {path.stat().st_size / 1000:.0f} kB")


def take_dagster(chromium: Any, url: str, out: Path) -> None:
    """The graph of groups, and what is said of one asset."""
    page = chromium.new_context(viewport={"width": 1600, "height": 900}, device_scale_factor=2).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{url}/asset-groups")
    page.get_by_text("composites", exact=True).last.wait_for()
    page.get_by_role("button", name="Hide navigation").click()
    page.reload()  # the graph is laid out for the room it has now
    page.get_by_text("composites", exact=True).last.wait_for()
    page.wait_for_timeout(2000)  # and glides into its place
    listed = page.locator("xpath=//input[starts-with(@placeholder, 'Jump to')]/following::button[1]").bounding_box()
    left = listed["x"] + 45 if listed else 0  # beside the list of assets
    save(page.screenshot(clip={"x": left, "y": 50, "width": 1600 - left, "height": 800}), out / "lineage.png")
    page.set_viewport_size({"width": 1200, "height": 760})
    page.goto(f"{url}/assets/image_quality?view=overview")
    page.get_by_text("variance of the Laplacian").first.wait_for()
    page.wait_for_load_state("networkidle")
    save(page.screenshot(), out / "dagster-asset.png")
    page.context.close()


def take_dashboard(chromium: Any, url: str, data: Path, out: Path) -> None:
    """Overview, explore with its map, a scored photo, and the label queue."""
    visitor = Visitor(chromium, url, out)
    page = visitor.page
    rows = pl.read_parquet(data / "processed/metadata/master.parquet").filter(preproc_status="ok")

    def shot(name: str, height: int) -> None:
        page.set_viewport_size({"width": 1280, "height": height})
        page.wait_for_timeout(1000)  # charts draw after the script has ended
        save(page.screenshot(), out / f"dashboard-{name}.png")

    visitor.go("", "Overview")
    page.get_by_text("artifacts are up to date").wait_for()
    page.get_by_test_id("stDataFrame").locator("canvas").last.wait_for()
    shot("overview", 1150)
    visitor.go("explore", "Explore")
    page.get_by_text("score decile", exact=True).click()
    visitor.settle()
    shot("explore", 900)
    visitor.go("score", "Score a photo")
    page.locator("input[type=file]").set_input_files(data / "raw" / rows.sort("image_id")["filename"][0])
    page.get_by_text("Nearest faces of the collection").wait_for()
    visitor.settle()
    shot("score", 1500)
    visitor.go("label", "Label")
    page.get_by_role("textbox", name="Your name or initials").fill("ben")
    page.keyboard.press("Enter")
    page.get_by_role("radio", name="ethnicity").or_(page.get_by_role("button", name="ethnicity")).first.click()
    page.get_by_alt_text("the face to label").wait_for()
    visitor.settle()
    shot("label", 800)
    page.context.close()


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="what `facestats demo` made; nothing is changed")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=("dagster", "dashboard"))
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as logs, browser() as chromium:
        if chosen.only != "dashboard":
            with served(chosen.data_dir, Path(logs) / "dagster.log") as url:
                take_dagster(chromium, url, chosen.out)
        if chosen.only != "dagster":
            with dashboard(chosen.data_dir, Path(logs) / "dashboard.log") as url:
                take_dashboard(chromium, url, chosen.data_dir, chosen.out)


if __name__ == "__main__":
    main()
