import polars as pl
import pytest

from facestats_pipeline.core.joins import conform
from facestats_pipeline.core.metadata.final_table import (
    attractiveness_with_attributes,
    attributes_final,
    final_table,
    scored_table,
)
from facestats_pipeline.core.metadata.manual_table import manual_table
from facestats_pipeline.core.metadata.meta_table import attributes_with_meta, meta_table
from facestats_pipeline.core.metadata.prediction_table import attributes_with_predictions, prediction_table
from facestats_pipeline.core.tables import Schema
from facestats_pipeline_tests.classes import ETHNICITIES, ETHNICITY4
from facestats_pipeline_tests.core import small_shards as shard


def with_manual(n: int, **columns: list[str | None]) -> pl.DataFrame:
    frame = conform(shard.attributes(n), manual_table().schema)
    return frame.with_columns(pl.Series(f"manual_{name}", values, dtype=pl.String) for name, values in columns.items())


@pytest.mark.parametrize(
    ("manual", "predicted", "kind", "final", "source"),
    [
        ("Male", "Female", "model", "Male", "manual"),
        ("Male", None, "none", "Male", "manual"),
        ("Male", "unknown", "model", "Male", "manual"),
        (None, "Female", "model", "Female", "model"),
        (None, "Female", "out_of_fold", "Female", "out_of_fold"),
        (None, "unknown", "out_of_fold", "unknown", "none"),
        (None, None, "none", "unknown", "none"),
    ],
)
def test_manual_before_prediction_before_unknown(
    manual: str | None, predicted: str | None, kind: str, final: str, source: str
) -> None:
    predictions = conform(shard.ids(1), prediction_table().schema).with_columns(
        pl.lit(predicted, pl.String).alias("predicted_gender"), pl.lit(kind).alias("predicted_gender_kind")
    )
    row = attributes_final(with_manual(1, gender=[manual]), predictions, None).row(0, named=True)
    assert (row["gender_final"], row["gender_final_source"]) == (final, source)


def test_each_attribute_is_decided_for_itself() -> None:
    predictions = attributes_with_predictions(shard.attributes(1, age_bin="unknown"), None)
    row = attributes_final(with_manual(1, ethnicity=["Middle Eastern"]), predictions, shard.scores(1)).row(
        0, named=True
    )
    assert row == {
        **shard.ids(1).row(0, named=True),
        "gender_final": "Female",
        "gender_final_source": "model",
        "ethnicity_final": "Middle Eastern",
        "ethnicity_final_source": "manual",
        "ethnicity4_final": "White",
        "age_bin_final": "unknown",
        "age_bin_final_source": "none",
        "attractiveness": 5,
    }


def test_every_ethnicity_rolls_up() -> None:
    n = len(ETHNICITIES)
    final = attributes_final(with_manual(n + 1, ethnicity=[*ETHNICITIES, None]), None, None)
    assert set(final["ethnicity4_final"][:n]) == set(ETHNICITY4)
    assert final["ethnicity4_final"][n] == "unknown"


def test_a_model_that_is_sure_of_four_classes_only_is_heard() -> None:
    attributes = shard.attributes(2, ethnicity="unknown", ethnicity4="Asian")
    predictions = attributes_with_predictions(attributes, shard.oof((1, "ethnicity", "unknown", 0.3)))
    final = attributes_final(with_manual(2), predictions, None)
    assert final["ethnicity_final"].to_list() == ["unknown", "unknown"]
    assert final["ethnicity4_final"].to_list() == ["Asian", "unknown"], "the second row's model saw its label"


def test_scores_meet_final_attributes_by_image() -> None:
    final = attributes_final(with_manual(2, gender=["Male", "Female"]), None, None)
    scores = shard.scores(2, attractiveness=[1, 10]).reverse()
    table = attractiveness_with_attributes(scores, final)
    assert table.select("gender_final", "attractiveness").rows() == [("Male", 1), ("Female", 10)]
    assert attractiveness_with_attributes(scores.tail(1), final)["attractiveness"].to_list() == [1, None]


# with inputs that are absent


def tables(n: int, present: bool) -> dict[str, tuple[pl.DataFrame, Schema]]:
    attributes = shard.attributes(n)

    def maybe(frame: pl.DataFrame) -> pl.DataFrame | None:
        return frame if present else None

    predictions = attributes_with_predictions(attributes, maybe(shard.oof()))
    final = attributes_final(with_manual(n), maybe(predictions), maybe(shard.scores(n)))
    return {
        "meta": (
            attributes_with_meta(attributes, maybe(shard.preproc(n)), maybe(shard.quality(n)), maybe(shard.ids(n))),
            meta_table().schema,
        ),
        "predictions": (predictions, prediction_table().schema),
        "final": (final, final_table().schema),
        "scored": (attractiveness_with_attributes(maybe(shard.scores(n)), final), scored_table().schema),
    }


@pytest.mark.parametrize("n", [0, 3])
@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("name", ["meta", "predictions", "final", "scored"])
def test_schema_and_rows_are_the_same_whatever_is_absent(n: int, present: bool, name: str) -> None:
    frame, schema = tables(n, present)[name]
    assert frame.schema == pl.Schema(schema)
    assert frame["image_id"].to_list() == [shard.image_id(i) for i in range(n)]
