"""A made-up data folder for queries and pages."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facestats_pipeline.app.data import Queries
from facestats_pipeline.collection.collection import Collection
from facestats_pipeline.config import load_settings, save_settings
from facestats_pipeline_tests.app.browser import browser
from facestats_pipeline_tests.app.made_up import SIDE, write_collection


@pytest.fixture(autouse=True)
def main_module_is_put_back() -> Iterator[None]:
    """Streamlit's AppTest makes its page the main module and leaves it there; processes that later tests spawn would run it again."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept: the folder that TEST_ARTIFACTS names, else `artifacts` in the folder of the test run."""
    named = os.environ.get("TEST_ARTIFACTS")
    folder = Path(named) if named else tmp_path_factory.getbasetemp() / "artifacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, open for the tests of a module."""
    with browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of thirty rows with a drawn face each. Not to be changed."""
    data = tmp_path_factory.mktemp("made up") / "data"
    write_collection(data)
    save_settings(data, {"preproc.size": SIDE})
    return data


@pytest.fixture
def queries(made_up: Path) -> Queries:
    """The queries on it."""
    return Queries(Collection(load_settings(environ={}, data_dir=made_up)))
