"""The definitions of an empty data folder, and of one in which everything is done without anything having been run."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from facestats_pipeline.config import load_settings
from facestats_pipeline.definitions import build_definitions
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline_tests.defs.small_settings import settings_in


@pytest.fixture(scope="session")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    """Definitions of an empty folder with the default settings."""
    return build_definitions(load_settings(environ={}, data_dir=tmp_path_factory.mktemp("empty")))


@pytest.fixture
def own(tmp_path: Path) -> dg.Definitions:
    """Definitions of a folder of the test's own."""
    (tmp_path / "raw").mkdir()
    return build_definitions(settings_in(tmp_path))


@pytest.fixture
def folder(own: dg.Definitions) -> DataFolder:
    """The data folder behind `own`."""
    return (own.resources or {})["folder"]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance in memory."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made
