"""Every page as Streamlit runs it, without a browser: what it says, and that nothing fails on any kind of folder."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.testing.v1 import AppTest

import facestats_pipeline.app.main as script
from facestats_pipeline.core.metadata.manual_labels import read_manual_labels
from facestats_pipeline_tests.app.made_up import write_collection

PAGES = ("overview", "explore", "composites", "search", "score", "label_queue", "bias", "lineage")


def _page(name: str) -> None:
    from importlib import import_module

    import_module(f"facestats_pipeline.app.{name}").show()


def page(name: str) -> AppTest:
    """One page, run once."""
    return AppTest.from_function(_page, args=(name,), default_timeout=60).run()


def main_page() -> AppTest:
    return AppTest.from_file(script.__file__, default_timeout=60).run()


def texts(test: AppTest) -> str:
    """Everything that the page says in words."""
    kinds = (test.title, test.markdown, test.info, test.warning, test.error, test.success, test.caption, test.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


@pytest.fixture
def open_(monkeypatch: pytest.MonkeyPatch) -> object:
    """Point the dashboard at a folder."""
    return lambda data: monkeypatch.setenv("FACESTATS_DATA_DIR", str(data))


@pytest.fixture
def opened(made_up: Path, open_: object) -> Path:
    open_(made_up)  # type: ignore[operator]
    return made_up


@pytest.mark.parametrize("name", [name for name in PAGES if name != "overview"])
def test_a_page_has_a_title_and_no_error(opened: Path, name: str) -> None:
    test = page(name)
    assert not test.exception
    assert not test.error
    assert len(test.title) == 1


def test_an_empty_folder_says_what_to_do(tmp_path: Path, open_: object) -> None:
    open_(tmp_path)  # type: ignore[operator]
    test = main_page()
    assert not test.exception
    assert test.title[0].value == "Nothing here yet"
    assert f"facestats run --raw YOUR_PHOTOS --data-dir {tmp_path}" in texts(test)
    assert not (tmp_path / "processed").exists(), "looking changes nothing"


def test_half_a_run_says_how_far_it_is(tmp_path: Path, open_: object) -> None:
    store = write_collection(tmp_path, rows=12, pictures=False)
    shutil.rmtree(store.path("master"))
    open_(tmp_path)  # type: ignore[operator]
    test = main_page()
    assert not test.exception
    assert test.title[0].value == "The first run is not finished"
    assert "24 files were found" in texts(test)
    assert f"facestats run --data-dir {tmp_path}" in texts(test)


def test_a_wrong_setting_is_said(tmp_path: Path, open_: object) -> None:
    (tmp_path / "facestats.yaml").write_text("shard_sise: 3\n")
    open_(tmp_path)  # type: ignore[operator]
    test = main_page()
    assert not test.exception
    assert "shard_sise" in test.error[0].value


def test_explore_filters(opened: Path) -> None:
    test = page("explore")
    assert "**60 photos** match: all" in texts(test)
    test.selectbox(key="explore-gender").select("Female").run()
    master = pl.read_parquet(opened / "processed/metadata/master.parquet")
    n = master.filter(gender_final="Female").height
    assert f"**{n} photos** match: gender\\=Female" in texts(test)
    test.text_input(key="explore-name").input("no such name").run()
    assert "No photo matches" in texts(test)
    assert not test.exception


def test_a_composite_and_what_was_relaxed(opened: Path) -> None:
    test = page("composites")
    test.selectbox(key="composite-gender").select("Male")
    test.slider(key="composite-age").set_range(20, 22)
    test.button[0].click().run()
    assert not test.exception
    assert any("Relaxed: age" in each.value for each in test.warning), texts(test)
    test.toggle[0].set_value(True)
    test.button[0].click().run()
    assert "Not made" in test.error[0].value


def test_labels_are_written_and_undone(made_up: Path, tmp_path: Path, open_: object) -> None:
    data = tmp_path / "data"
    shutil.copytree(made_up, data)
    open_(data)  # type: ignore[operator]
    test = page("label_queue")
    assert "Enter your name first" in texts(test)
    test.text_input(key="label-annotator").input("=evil").run()
    assert "letter or digit" in test.error[0].value
    test.text_input(key="label-annotator").input("ana").run()
    for value in ("Female", "Male", "Male"):
        next(button for button in test.button if button.label == value).click().run()
    next(button for button in test.button if button.label == "Skip").click().run()
    assert not test.exception
    assert not test.error
    path = data / "labels" / "manual_labels.csv"
    before = path.read_bytes()
    assert read_manual_labels(path).frame["value"].to_list().count("Male") == 2
    test.button(key="label-undo").click().run()
    after = read_manual_labels(path)
    assert path.read_bytes().startswith(before), "an undo is a line as well"
    assert after.frame.height == 2
    assert after.rejected.is_empty()
    assert not (made_up / "labels").exists()


def test_photos_from_outside_can_be_switched_off(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACESTATS_DASHBOARD_MATCH_PHOTOS", "false")
    assert "switched off" in texts(page("search"))


@pytest.mark.slow
def test_search_without_an_index_names_the_next_step(opened: Path) -> None:
    test = page("search")
    test.text_input[0].input("an elderly man")
    test.button[0].click().run()
    assert not test.exception
    assert "facestats run" in test.error[0].value.replace("\\", "")


def test_the_audit_in_figures(opened: Path) -> None:
    test = page("bias")
    assert test.metric[0].value == "0.910"
    assert "1 groups are too small" in test.expander[0].label


def _upload() -> None:
    import streamlit as st

    from facestats_pipeline.app.uploads import choose_photo

    if (photo := choose_photo("score")) is not None:
        st.write(f"{len(photo)} bytes")


def test_an_upload_is_handed_over_once_and_taken_out_of_memory(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []
    monkeypatch.setattr(MemoryUploadedFileManager, "remove_file", lambda self, session, file: removed.append(file))
    test = AppTest.from_function(_upload, default_timeout=60).run()
    test.file_uploader[0].set_value(("my name.jpg", b"12345", "image/jpeg")).run()
    assert not test.exception
    assert "5 bytes" in texts(test)
    assert len(removed) == 1
    test.run()
    assert "5 bytes" not in texts(test)
    assert len(removed) == 1


def test_an_upload_that_is_too_large_is_taken_out_of_memory_unread(
    opened: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    monkeypatch.setattr(MemoryUploadedFileManager, "remove_file", lambda self, session, file: removed.append(file))
    monkeypatch.setenv("FACESTATS_DASHBOARD_MAX_UPLOAD_MB", "1")
    test = AppTest.from_function(_upload, default_timeout=60).run()
    test.file_uploader[0].set_value(("large.jpg", b"0" * (2**20 + 1), "image/jpeg")).run()
    assert "the limit is 1 MB" in test.error[0].value
    assert "bytes" not in texts(test)
    assert len(removed) == 1


def test_lineage_looks_at_nothing_outside_the_collection(opened: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(b"x")
    test = page("lineage")
    test.text_input(key="lineage-image").input(str(copy)).run()
    assert not test.exception
    assert "The collection has no image" in test.error[0].value
