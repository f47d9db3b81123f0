"""The bench of the IO managers' tests."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from facestats_pipeline_tests.io.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Bench(tmp_path / "data", instance)
