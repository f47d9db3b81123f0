"""Which composites an image is in."""

import polars as pl
import pytest

from facestats_pipeline.core.composites.composite_specs import default_specs, describe_filters
from facestats_pipeline.core.composites.composite_table import COMPOSITES
from facestats_pipeline.core.composites.membership import composites_with, parse_filters
from facestats_pipeline_tests.classes import WITH_GLASSES


@pytest.mark.parametrize("spec", default_specs(), ids=lambda spec: spec.name)
def test_every_default_filter_line_is_read_back(spec: object) -> None:
    filters = spec.filters  # type: ignore[attr-defined]
    assert parse_filters(describe_filters(filters)) == filters


def test_another_line_is_an_error() -> None:
    with pytest.raises(ValueError, match="no line of filters"):
        parse_filters("something else")


def test_membership_follows_the_filters_as_applied() -> None:
    lines = {
        "everyone": "all",
        "male": "gender=Male",
        "female_twenties": "gender=Female age=20:29",
        "low": "decile=1:3",
    }
    rows = [{"name": name, "applied": line, "status": "made"} for name, line in lines.items()]
    rows.append({"name": "refused", "applied": None, "status": "refused"})
    composites = pl.DataFrame(rows, schema={name: COMPOSITES.schema[name] for name in ("name", "applied", "status")})
    row = {"preproc_status": "ok", "gender_final": "Female", "ethnicity_final": "White", "age_bin_final": "20-29"}
    mine = pl.DataFrame([{**row, "age": 24.0, "attractiveness": 2}])
    assert composites_with(composites, mine) == ["everyone", "female_twenties", "low"]
    assert composites_with(composites, mine.with_columns(preproc_status=pl.lit("no_face"))) == []
    assert composites_with(composites, mine.clear()) == []


def test_filters_by_an_attribute_are_read_back_and_those_that_nobody_knows_any_more_may_be_true() -> None:
    line = describe_filters({"gender": "Female", "glasses": "no glasses", "age": (20, 29)}, WITH_GLASSES)
    assert line == "gender=Female age=20:29 glasses=no glasses"
    assert parse_filters(line, WITH_GLASSES) == {"gender": "Female", "glasses": "no glasses", "age": (20, 29)}
    row = pl.DataFrame({"preproc_status": ["ok"], "gender_final": ["Male"]})
    made = pl.DataFrame({"name": ["x"], "status": ["made"], "applied": ["glasses=glasses"]})
    assert composites_with(made, row) == ["x"]
