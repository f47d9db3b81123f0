"""Every page clicked through as a user would, in Chromium, on a small collection that was really run. Screenshots are artifacts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from facestats_pipeline.collection.pipeline import Pipeline, open_instance
from facestats_pipeline.config import load_settings, save_settings
from facestats_pipeline.core.demo.faces import generate_demo
from facestats_pipeline.core.metadata.manual_labels import read_manual_labels
from facestats_pipeline_tests.app.browser import Visitor, dashboard
from facestats_pipeline_tests.app.made_up import SIDE, write_collection
from facestats_pipeline_tests.demo_collection import WEIGHTS

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(900)]
FACES = 60
PAGES = {
    "": "Overview",
    "explore": "Explore",
    "composites": "Composites",
    "search": "Search",
    "score": "Score a photo",
    "label": "Label",
    "bias": "Bias audit",
    "lineage": "Lineage",
}


@pytest.fixture(scope="module")
def data(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of drawn faces, run as `facestats run` does."""
    folder = tmp_path_factory.mktemp("dashboard") / "data"
    generate_demo(FACES, folder / "raw", folder / "labels", seed=3)
    quick = {"shard_size": 64, "preproc.size": 256, "attributes.classifier": "logistic", "attractiveness.epochs": 5}
    save_settings(folder, quick | WEIGHTS)
    pipeline = Pipeline(load_settings(environ={}, data_dir=folder), open_instance(folder / ".dagster"))
    pipeline.update()
    return folder


@pytest.fixture(scope="module")
def url(data: Path) -> Iterator[str]:
    with dashboard(data, data.parent / "dashboard.log") as address:
        yield address


@pytest.fixture
def visitor(chromium: Any, url: str, artifacts: Path) -> Iterator[Visitor]:
    one = Visitor(chromium, url, artifacts)
    yield one
    one.page.context.close()
    assert one.outside == [], "nothing is asked of the internet"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("dark", 390)])
def test_every_page_in_light_and_dark_and_on_a_phone(
    chromium: Any, url: str, artifacts: Path, scheme: str, width: int
) -> None:
    visitor = Visitor(chromium, url, artifacts, scheme=scheme, width=width)
    for path, title in PAGES.items():
        visitor.go(path, title)
        visitor.picture(f"{scheme}-{width}-{path or 'overview'}")
        assert visitor.overflow() <= 0, f"{title} is wider than a window of {width} px"
    assert visitor.outside == []
    visitor.page.context.close()


def test_overview_and_menu(visitor: Visitor, data: Path) -> None:
    visitor.go("", "Overview")
    assert visitor.page.get_by_test_id("stMetricValue").first.inner_text() == str(FACES)
    visitor.page.get_by_text("artifacts are up to date").wait_for()
    visitor.page.get_by_role("link", name="Bias audit").click()
    visitor.page.get_by_role("heading", name="Bias audit", exact=True).wait_for()


def test_explore_by_filter_map_and_download(visitor: Visitor, data: Path) -> None:
    page = visitor.page
    visitor.go("explore", "Explore")
    page.get_by_text(f"{FACES} photos match: all").wait_for()
    chart = page.get_by_test_id("stVegaLiteChart").locator("canvas, svg").first
    box = chart.bounding_box()
    assert box is not None
    chart.scroll_into_view_if_needed()
    page.mouse.move(box["x"] + 60, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 20, box["y"] + 380, steps=5)
    page.mouse.up()
    page.get_by_text("photos in the rectangle").wait_for()
    page.get_by_alt_text("face from").first.wait_for()
    visitor.picture("explore-rectangle")
    page.get_by_role("tab", name="Distributions").click()
    visitor.settle()
    visitor.picture("explore-distributions")
    page.get_by_role("tab", name="Rows and download").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").click()
    lines = Path(waiting.value.path()).read_text().splitlines()
    assert lines[0].startswith("filename,gender_final")
    assert len(lines) == FACES + 1
    visitor.picture("explore-rows")


def test_a_composite(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("composites", "Composites")
    page.get_by_text("Refuse rather than relax a filter").wait_for()
    page.get_by_role("combobox", name="Gender").click()
    page.get_by_role("option", name="Female").click()
    page.get_by_role("slider").nth(2).focus()
    for _ in range(9):
        page.keyboard.press("ArrowRight")  # score decile 10 alone: too few faces
    page.get_by_role("button", name="Make the composite").click()
    page.get_by_alt_text("average face of").wait_for()
    page.get_by_text("Relaxed: decile").first.wait_for()
    visitor.picture("composite-relaxed")


def test_search_by_text_and_by_picture(visitor: Visitor, data: Path) -> None:
    page = visitor.page
    visitor.go("search", "Search")
    page.get_by_role("textbox", name="Describe a face").fill("an elderly man")
    page.get_by_test_id("stFormSubmitButton").get_by_role("button").click()
    page.get_by_text("Nearest to “an elderly man”").wait_for()
    page.get_by_alt_text("face from").nth(11).wait_for()
    assert page.get_by_alt_text("face from").count() == 12
    visitor.picture("search-text")
    page.get_by_role("tab", name="By picture").click()
    name = pl.read_parquet(data / "processed/metadata/master.parquet").filter(preproc_status="ok")["filename"][0]
    page.locator("input[type=file]").set_input_files(data / "raw" / name)
    page.get_by_text("Nearest to the picture").wait_for()
    page.get_by_text("1 · 1.000").or_(page.get_by_text("1 · 0.99")).first.wait_for()
    visitor.picture("search-picture")


def test_scoring_a_photo_keeps_nothing(visitor: Visitor, data: Path, tmp_path: Path) -> None:
    page = visitor.page
    row = pl.read_parquet(data / "processed/metadata/master.parquet").filter(preproc_status="ok").row(0, named=True)
    photo = tmp_path / "my secret name.jpg"
    photo.write_bytes((data / "raw" / row["filename"]).read_bytes())
    before = {path for path in data.rglob("*") if path.is_file()}
    visitor.go("score", "Score a photo")
    page.locator("input[type=file]").set_input_files(photo)
    page.get_by_text("Perceived attributes").wait_for()
    page.get_by_alt_text("the photo with the face that was found").wait_for()
    page.get_by_text("Predicted mean rating").wait_for()
    visitor.settle()
    assert page.get_by_test_id("stMetricValue").first.inner_text() == f"{row['attractiveness_raw']:.2f}"
    assert page.get_by_test_id("stFileUploaderFile").count() == 0, "the upload is out of the page"
    assert "my secret name" not in page.content()
    assert {path for path in data.rglob("*") if path.is_file()} == before, "no file is written"
    visitor.picture("score")
    page.get_by_role("button", name="Forget this result").click()
    page.get_by_text("Perceived attributes").wait_for(state="detached")


def test_files_that_are_no_photo_and_photos_without_a_face(visitor: Visitor, tmp_path: Path, yunet_model: Path) -> None:
    page = visitor.page
    (tmp_path / "note.jpg").write_text("this is a text")
    (tmp_path / "of_a_camera.cr3").write_bytes(b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(200))
    Image.new("RGB", (300, 300), (60, 120, 60)).save(tmp_path / "grass.png")
    visitor.go("score", "Score a photo")
    page.locator("input[type=file]").set_input_files(tmp_path / "note.jpg")
    page.get_by_text("This file cannot be used (unsupported)").wait_for()
    visitor.picture("score-no-photo")
    page.locator("input[type=file]").set_input_files(tmp_path / "of_a_camera.cr3")
    page.get_by_text("the file is a camera's raw file (Canon CR3); develop it to JPEG or TIFF").wait_for()
    page.locator("input[type=file]").set_input_files(tmp_path / "grass.png")
    page.get_by_text("The models abstain on this photo: no face").wait_for()
    visitor.picture("score-no-face")


def test_a_photo_from_the_camera(visitor: Visitor, data: Path, yunet_model: Path) -> None:
    """Chromium's made-up camera shows a green field with a clock: no face."""
    page = visitor.page
    before = {path for path in data.rglob("*") if path.is_file()}
    visitor.go("score", "Score a photo")
    page.get_by_text("the camera", exact=True).click()
    page.wait_for_function("document.querySelector('video')?.videoHeight > 0")  # before, a click takes nothing
    page.get_by_role("button", name="Take Photo").click()
    page.get_by_text("The models abstain on this photo: no face").wait_for()
    visitor.settle()
    page.get_by_alt_text("the photo with the face that was found").wait_for()
    visitor.picture("score-camera")
    assert {path for path in data.rglob("*") if path.is_file()} == before, "no file is written"


def test_labelling_five_by_keyboard_and_undoing_one(visitor: Visitor, data: Path) -> None:
    page = visitor.page
    visitor.go("label", "Label")
    page.get_by_role("textbox", name="Your name or initials").fill("ana")
    page.keyboard.press("Enter")
    page.get_by_alt_text("the face to label").wait_for()
    page.get_by_role("heading", name="Label").click()  # out of the field: keys are for the buttons now
    for i, key in enumerate(("1", "2", "2", "1", "2"), start=1):
        page.keyboard.press(key)
        page.get_by_text(f"{i} of ").first.wait_for()
        visitor.settle()
    visitor.picture("label-five")
    path = data / "labels" / "manual_labels.csv"
    assert read_manual_labels(path).frame["value"].sort().to_list() == ["Female"] * 2 + ["Male"] * 3
    five = path.read_bytes()
    page.keyboard.press("u")
    page.get_by_text("4 of ").first.wait_for()
    visitor.settle()
    after = read_manual_labels(path)
    assert path.read_bytes().startswith(five)
    assert after.history.height == 6
    assert after.frame["value"].sort().to_list() == ["Female"] * 2 + ["Male"] * 2
    assert after.frame["annotator"].unique().to_list() == ["ana"]
    page.keyboard.press("s")
    page.get_by_text("1 skipped").wait_for()


def test_the_audit(visitor: Visitor) -> None:
    page = visitor.page
    visitor.go("bias", "Bias audit")
    page.get_by_text("coverage", exact=True).click()
    page.get_by_text("share of labelled photos that the model answers").wait_for()


def test_folders_without_results(chromium: Any, artifacts: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with dashboard(tmp_path / "data", tmp_path / "log") as address:
        visitor = Visitor(chromium, address, artifacts, width=390)
        visitor.go("", "Nothing here yet")
        visitor.page.get_by_text("facestats demo").first.wait_for()
        visitor.picture("empty")
        visitor.page.context.close()
    assert list((tmp_path / "data").iterdir()) == []


def test_half_a_run_is_said_on_every_page(chromium: Any, artifacts: Path, tmp_path: Path) -> None:
    data, aside = tmp_path / "data", tmp_path / "master"
    store = write_collection(data, rows=20)
    save_settings(data, {"preproc.size": SIDE})
    store.path("master").rename(aside)
    with dashboard(data, tmp_path / "log") as address:
        visitor = Visitor(chromium, address, artifacts)
        page = visitor.page
        for path in PAGES:
            visitor.go(path, "The first run is not finished")
            page.get_by_text("Tables joined: 0 of 2 shards").wait_for()
            page.get_by_text(f"facestats run --data-dir {data}").first.wait_for()
        visitor.picture("half-begun")
        next(aside.glob("*-00001.parquet")).unlink()
        aside.rename(store.path("master"))
        for name in ("metadata/labels_template.csv", "reports/bias_audit.parquet"):
            (store.processed / name).unlink()
        for path, title in PAGES.items():
            visitor.go(path, title)
            page.get_by_text("The tables hold 1 of 2 shards").wait_for()
            visitor.picture(f"half-{path or 'overview'}")
        visitor.go("label", "Label")
        page.get_by_text("There is no photo to label").wait_for()
        visitor.go("bias", "Bias audit")
        page.get_by_text("There is no audit").wait_for()
        assert visitor.outside == []
        page.context.close()


def test_lineage_and_erasing(visitor: Visitor, data: Path) -> None:
    """Last: it takes a photo out of the collection."""
    page = visitor.page
    row = pl.read_parquet(data / "processed/metadata/master.parquet").row(1, named=True)
    visitor.go("lineage", "Lineage")
    page.get_by_role("textbox").first.fill(row["filename"])
    page.keyboard.press("Enter")
    page.get_by_text("places hold").wait_for()
    page.get_by_role("heading", name="Erase", exact=True).wait_for()
    visitor.picture("lineage")
    assert page.get_by_role("button", name="Erase").is_disabled()
    page.get_by_role("textbox", name="To erase it for good").fill(row["image_id"][:8])
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Erase").click()
    page.get_by_text("Erased. Receipt").wait_for()
    visitor.picture("erased")
    left = pl.read_parquet(data / "processed/metadata/master.parquet")
    assert left.height == FACES - 1
    assert row["image_id"] not in left["image_id"].to_list()
