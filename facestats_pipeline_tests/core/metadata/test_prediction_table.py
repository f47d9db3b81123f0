import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.joins import MergeError
from facestats_pipeline.core.metadata.prediction_table import attributes_with_predictions
from facestats_pipeline_tests.classes import ATTRIBUTES, GENDERS
from facestats_pipeline_tests.core import small_shards as shard


def test_a_labelled_row_gets_its_out_of_fold_prediction_and_no_other() -> None:
    attributes = shard.attributes(3, gender=["Female", "Female", "unknown"])
    predictions = attributes_with_predictions(
        attributes, shard.oof((0, "gender", "Male", 0.6), (1, "gender", "unknown", 0.5))
    )
    assert predictions["predicted_gender"].to_list() == ["Male", "unknown", "unknown"]
    assert predictions["predicted_gender_p"].to_list() == pytest.approx([0.6, 0.5, 0.98])
    assert predictions["predicted_gender_kind"].to_list() == ["out_of_fold", "out_of_fold", "model"]
    assert predictions["predicted_ethnicity_kind"].to_list() == ["model"] * 3
    assert predictions["prediction_kind"].to_list() == ["out_of_fold", "out_of_fold", "model"]


def test_a_row_the_model_saw_without_a_fold_gets_no_prediction() -> None:
    seen = pl.DataFrame({"image_id": [shard.image_id(0), shard.image_id(1)], "attribute": ["gender", "gender"]})
    predictions = attributes_with_predictions(shard.attributes(3), shard.oof((0, "gender", "Male", 0.6)), seen=seen)
    assert predictions["predicted_gender"].to_list() == ["Male", None, "Female"]
    assert predictions["predicted_gender_kind"].to_list() == ["out_of_fold", "none", "model"]
    assert predictions["predicted_gender_p"][1] is None
    assert predictions["predicted_age_bin"].to_list() == ["30-39"] * 3


def test_a_missing_fold_value_is_no_prediction() -> None:
    predictions = attributes_with_predictions(shard.attributes(1), shard.oof((0, "age_bin", None, None)))
    assert predictions.select("predicted_age_bin", "predicted_age_bin_kind").row(0) == (None, "none")


def test_out_of_fold_predictions_abstain_like_the_model() -> None:
    folds = shard.oof((0, "gender", "Male", 0.89), (1, "gender", "Male", 0.91), (2, "age_bin", "3-9", 0.2))
    predictions = attributes_with_predictions(shard.attributes(3), folds, thresholds={"gender": 0.9})
    assert predictions["predicted_gender"].to_list() == ["unknown", "Male", "Female"]
    assert predictions["predicted_gender_kind"].to_list() == ["out_of_fold", "out_of_fold", "model"]
    assert predictions["predicted_age_bin"].to_list() == ["30-39", "30-39", "3-9"]


def test_without_a_model_there_is_no_prediction() -> None:
    nothing = {f"{name}_source": "none" for name in ("gender", "ethnicity", "age")} | dict.fromkeys(
        ATTRIBUTES, "unknown"
    )
    predictions = attributes_with_predictions(shard.attributes(1, **nothing), None)
    assert predictions["predicted_gender"].to_list() == [None]
    assert predictions["prediction_kind"].to_list() == ["none"]


@given(
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.sampled_from([*GENDERS, "unknown", None])), min_size=1, max_size=6
    )
)
def test_no_row_with_a_label_ever_shows_the_decision_of_the_model_that_saw_it(
    rows: list[tuple[bool, bool, str | None]],
) -> None:
    """The model says Female everywhere; wherever it saw the label, that answer must not appear unless the fold gave it."""
    folds = shard.oof(*((i, "gender", value, 0.9) for i, (in_fold, _, value) in enumerate(rows) if in_fold))
    seen = pl.DataFrame(
        {"image_id": [shard.image_id(i) for i, (_, seen, _) in enumerate(rows) if seen]}, schema={"image_id": pl.String}
    ).with_columns(attribute=pl.lit("gender"))
    predictions = attributes_with_predictions(shard.attributes(len(rows)), folds, seen=seen)
    for (in_fold, was_seen, value), got in zip(rows, predictions["predicted_gender"], strict=True):
        assert got == (value if in_fold else None if was_seen else "Female")


@pytest.mark.parametrize("table", ["oof", "seen"])
def test_an_unknown_attribute_is_named(table: str) -> None:
    strange = shard.oof((0, "age", "30-39", 0.5))
    with pytest.raises(ValueError, match=r"'age'.*age_bin"):
        if table == "oof":
            attributes_with_predictions(shard.attributes(1), strange)
        else:
            attributes_with_predictions(shard.attributes(1), None, seen=strange.select("image_id", "attribute"))


def test_two_predictions_of_one_row_are_refused() -> None:
    with pytest.raises(MergeError, match="out-of-fold predictions of gender has 1 rows that repeat"):
        attributes_with_predictions(
            shard.attributes(1), shard.oof((0, "gender", "Male", 0.6), (0, "gender", "Female", 0.6))
        )
