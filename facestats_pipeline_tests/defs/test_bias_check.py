"""The check of the bias audit warns, names the group, and stops nothing."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from facestats_pipeline.core.reports.bias import Audit, bias_audit
from facestats_pipeline.defs.composites.assets import parquet_bytes
from facestats_pipeline.defs.reports.assets import BIAS_TABLE
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline_tests.io.small_store import recipe


def audited(right_of_black: float) -> pl.DataFrame:
    """An audit of gender in which photos of one group are right this often, all others 95% of the time."""
    rng = np.random.default_rng(0)
    ethnicity, gender = rng.choice(["White", "Black"], 1000), rng.choice(["Female", "Male"], 1000)
    right = rng.random(1000) < np.where(ethnicity == "Black", right_of_black, 0.95)
    said = np.where(right, gender, np.where(gender == "Male", "Female", "Male"))
    frame = pl.DataFrame({"gender": gender, "ethnicity": ethnicity, "said": said})
    return bias_audit(frame, [Audit("gender", "said", "gender")], groups=[("ethnicity",)])


@pytest.fixture
def check(
    own: dg.Definitions, folder: DataFolder, instance: dg.DagsterInstance
) -> Callable[[pl.DataFrame | None], Any]:
    """Evaluates the check on an audit, or on none."""

    def run(audit: pl.DataFrame | None) -> Any:
        if audit is not None:
            folder.store.write_files("bias_audit", {BIAS_TABLE: parquet_bytes(audit)}, recipe())
        key = dg.AssetCheckKey(dg.AssetKey("bias_audit"), "groups_are_served_alike")
        job = dg.define_asset_job("one", selection=dg.AssetSelection.checks(key))
        merged = dg.Definitions.merge(own, dg.Definitions(jobs=[job]))
        result = merged.resolve_job_def("one").execute_in_process(
            instance=instance, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        )
        assert result.success
        (evaluation,) = result.get_asset_check_evaluations()
        return evaluation

    return run


def test_a_gap_is_a_warning_that_names_the_group(check: Callable[[pl.DataFrame | None], Any]) -> None:
    found = check(audited(0.7))
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert "gender: accuracy 7" in found.description
    assert "for Black" in found.description
    assert found.metadata["gaps"].value == 2  # Black, and White against it


def test_small_gaps_and_no_audit_pass(check: Callable[[pl.DataFrame | None], Any]) -> None:
    assert check(None).passed
    found = check(audited(0.9))
    assert found.passed
    assert found.metadata["figures"].value > 0
