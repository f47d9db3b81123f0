"""The bias audit finds what was put in, stays silent about what was not, and shows nothing about small groups."""

import numpy as np
import polars as pl
import pytest

from facestats_pipeline.core.reports.bias import Audit, bias_audit, describe_gap, holm, large_gaps
from facestats_pipeline.core.reports.bias_table import bias_table
from facestats_pipeline.core.statistics.calibration import wilson

GENDER = Audit("gender", "said", "gender", "p")
ACCURACY = pl.col("metric") == "accuracy"


def labelled(n: int = 1200, *, seed: int = 0, weak: str | None = "Black") -> pl.DataFrame:
    """Predictions that are right 95% of the time, in the group `weak` 70%; 10% unanswered; every confidence 0.9."""
    rng = np.random.default_rng(seed)
    ethnicity = rng.choice(["White", "Black", "Indian"], n)
    gender = rng.choice(["Female", "Male"], n)
    right = rng.random(n) < np.where(ethnicity == weak, 0.70, 0.95)
    said = np.where(right, gender, np.where(gender == "Male", "Female", "Male"))
    said = np.where(rng.random(n) < 0.1, "unknown", said)
    return pl.DataFrame(
        {
            "gender": gender,
            "ethnicity": ethnicity,
            "age_bin": "20-29",
            "said": said,
            "p": 0.9,
            "score": rng.normal(size=n),
        }
    )


def one(audit: pl.DataFrame, metric: str, group: str) -> dict:
    return audit.filter(pl.col("metric") == metric, pl.col("group") == group).row(0, named=True)


def test_figures_are_counts_with_wilson_intervals() -> None:
    frame = labelled()
    audit = bias_audit(frame, [GENDER])
    answered = frame.filter(pl.col("ethnicity") == "Black", pl.col("said") != "unknown")
    hits = answered.filter(pl.col("said") == pl.col("gender")).height
    row = one(audit, "accuracy", "Black")
    assert dict(audit.schema) == bias_table().schema
    assert (row["n"], row["value"]) == (answered.height, hits / answered.height)
    assert (row["ci_lo"], row["ci_hi"]) == wilson(hits, answered.height)
    black = frame.filter(pl.col("ethnicity") == "Black")
    assert row["coverage"] == pytest.approx(answered.height / black.height)
    assert one(audit, "coverage", "Black")["n"] == black.height


def test_a_real_gap_is_found_with_its_size_and_the_others_are_not() -> None:
    audit = bias_audit(labelled(), [GENDER], groups=[("gender",), ("ethnicity",)])
    row = one(audit, "accuracy", "Black")
    assert row["p_adjusted"] < 0.001 and row["gap_lo"] < -0.25 < row["gap_hi"] < 0
    assert large_gaps(audit, 0.1, 0.5)["group"].to_list()[0] == "Black"
    assert one(audit, "accuracy", "Female")["p_adjusted"] > 0.05
    assert one(audit, "overconfidence", "Black")["value"] == pytest.approx(0.9 - row["value"], abs=1e-9)
    assert one(audit, "overconfidence", "Black")["ci_lo"] > 0
    for group in ("Black", "White"):
        sure, right = one(audit, "overconfidence", group), one(audit, "accuracy", group)
        assert (sure["ci_lo"], sure["ci_hi"]) == pytest.approx((0.9 - right["ci_hi"], 0.9 - right["ci_lo"]), abs=0.01)


@pytest.mark.slow
def test_without_a_gap_few_false_alarms() -> None:
    alarms = sum(
        large_gaps(bias_audit(labelled(400, seed=s, weak=None), [GENDER]).filter(ACCURACY), 0.0, 0.0).height > 0
        for s in range(20)
    )
    assert alarms <= 4  # 5% of families are expected; more than 4 of 20 happens once in 400 times


def test_intersections_show_what_single_groups_hide() -> None:
    n = 400
    gender = np.repeat(["Female", "Male"], n)
    ethnicity = np.tile(["White", "Black"], n)
    odd = (gender == "Female") == (ethnicity == "White")  # right for these, wrong more often for the other two
    right = np.random.default_rng(0).random(2 * n) < np.where(odd, 0.98, 0.80)
    said = np.where(right, gender, "Male")
    said = np.where(~right & (gender == "Male"), "Female", said)
    frame = pl.DataFrame({"gender": gender, "ethnicity": ethnicity, "said": said})
    audit = bias_audit(frame, [Audit("gender", "said", "gender")], groups=[("gender",), ("gender", "ethnicity")])
    assert one(audit, "accuracy", "Female")["p_adjusted"] > 0.05
    assert one(audit, "accuracy", "Female × Black")["p_adjusted"] < 0.001
    assert audit.filter(pl.col("metric") == "accuracy")["group"].to_list()[:3] == ["all", "Female", "Male"]


def test_small_groups_are_listed_without_any_figure() -> None:
    frame = labelled(100).with_columns(
        ethnicity=pl.when(pl.int_range(100) < 7).then(pl.lit("Indian")).otherwise(pl.lit("White"))
    )
    row = one(bias_audit(frame, [GENDER]), "accuracy", "Indian")
    assert row["n"] <= 7 and "below 30" in row["note"]
    assert [
        row[k]
        for k in ("value", "ci_lo", "ci_hi", "gap", "gap_lo", "gap_hi", "gap_size", "p", "p_adjusted", "coverage")
    ] == [None] * 10
    row = one(bias_audit(frame, [GENDER]), "accuracy", "White")
    assert row["value"] is not None and row["gap"] is None  # the rest is too small to compare with


def test_rows_without_label_or_answer_do_not_count_as_wrong() -> None:
    frame = labelled(300)
    more = frame.head(100).with_columns(gender=pl.lit(None, pl.String))
    both = bias_audit(pl.concat([frame, more]), [GENDER], groups=[("ethnicity",)])
    alone = bias_audit(frame, [GENDER], groups=[("ethnicity",)])
    assert one(both, "accuracy", "all") == one(alone, "accuracy", "all")
    silent = bias_audit(frame.with_columns(said=pl.lit("unknown")), [GENDER])
    assert one(silent, "accuracy", "all")["value"] is None
    assert one(silent, "coverage", "all")["value"] == 0.0


def test_numbers_get_error_and_absolute_error() -> None:
    rng = np.random.default_rng(1)
    n = 600
    truth = rng.uniform(18, 60, n)
    group = np.repeat(["Female", "Male"], n // 2)
    guess = truth + rng.normal(0, 3, n) + np.where(group == "Male", 4, 0)
    guess[:50] = np.nan
    frame = pl.DataFrame({"gender": group, "years": truth, "age": guess})
    audit = bias_audit(frame, [Audit("age", "age", "years", kind="number")], groups=[("gender",)])
    male = one(audit, "mean_error", "Male")
    assert male["value"] == pytest.approx(4, abs=0.6) and male["ci_lo"] < 4 < male["ci_hi"]
    assert male["gap_lo"] < 4 < male["gap_hi"] and male["p_adjusted"] < 0.001
    assert one(audit, "mae", "Female")["value"] == pytest.approx(3 * np.sqrt(2 / np.pi), abs=0.4)
    assert one(audit, "coverage", "Female")["value"] == pytest.approx(250 / 300)


def test_intervals_of_means_cover_the_truth_as_often_as_they_say() -> None:
    hits = 0
    for seed in range(150):
        values = np.random.default_rng(seed).exponential(1, 120)
        row = bias_audit(pl.DataFrame({"s": values}), [Audit("s", "s", kind="number")], groups=[], seed=seed).row(
            0, named=True
        )
        hits += row["ci_lo"] <= 1 <= row["ci_hi"]
    assert 132 <= hits <= 149


def test_score_without_ratings_compares_means() -> None:
    frame = labelled(500).with_columns(
        score=pl.col("score") + pl.when(pl.col("gender") == "Male").then(0.5).otherwise(0.0)
    )
    audit = bias_audit(frame, [Audit("score", "score", kind="number")], groups=[("gender",)])
    assert audit["metric"].unique().to_list() == ["mean_score"]
    row = one(audit, "mean_score", "Male")
    assert row["gap_lo"] < 0.5 < row["gap_hi"]


def test_holm_by_hand() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_missing_columns_are_named() -> None:
    with pytest.raises(ValueError, match="lacks age_bin, ethnicity"):
        bias_audit(pl.DataFrame({"gender": ["Male"], "said": ["Male"]}), [Audit("gender", "said", "gender")])
    with pytest.raises(ValueError, match="truth"):
        Audit("gender", "said")


def test_the_truth_in_the_interval_is_a_share_and_gaps_of_numbers_are_in_standard_deviations() -> None:
    rng = np.random.default_rng(2)
    n = 800
    truth = rng.normal(50, 10, n)
    group = np.repeat(["Female", "Male"], n // 2)
    guess = truth + rng.normal(0, 4, n) + np.where(group == "Male", 6, 0)
    frame = pl.DataFrame({"gender": group, "years": truth, "age": guess, "lo": guess - 8, "hi": guess + 8})
    audit = bias_audit(frame, [Audit("age", "age", "years", kind="number", low="lo", high="hi")], groups=[("gender",)])
    inside = frame.filter(pl.col("gender") == "Male", (pl.col("years") - pl.col("age")).abs() <= 8).height
    row = one(audit, "interval_coverage", "Male")
    assert (row["value"], row["n"]) == (inside / 400, 400)
    assert (row["ci_lo"], row["ci_hi"]) == wilson(inside, 400)
    assert row["gap_size"] == -row["gap"] > 0.2
    error = one(audit, "mean_error", "Male")
    assert error["gap_size"] == pytest.approx(error["gap"] / float(np.std(truth)))
    warned = large_gaps(audit, 0.2, 0.5)
    assert warned["metric"].to_list()[:2] == ["interval_coverage", "interval_coverage"]
    assert set(warned["metric"]) == {"interval_coverage", "mean_error"}
    assert large_gaps(audit, 0.5, 0.9).is_empty()
    said = describe_gap(row)
    assert said.startswith(f"age: truth within the interval {row['value']:.1%} for Male, ")
    assert said.endswith("for the rest (p < 0.001)")


def test_fairlearn_gives_the_same_figures_of_groups() -> None:
    from fairlearn.metrics import MetricFrame
    from sklearn.metrics import accuracy_score

    frame = labelled().filter(pl.col("said") != "unknown")
    audit = bias_audit(frame, [GENDER], groups=[("ethnicity",), ("gender", "ethnicity")])
    for columns in (["ethnicity"], ["gender", "ethnicity"]):
        groups = {c: frame[c].to_list() for c in columns}
        reference = MetricFrame(
            metrics=accuracy_score,
            y_true=frame["gender"].to_list(),
            y_pred=frame["said"].to_list(),
            sensitive_features=groups,
        )
        for key, value in reference.by_group.items():
            name = " × ".join(key) if isinstance(key, tuple) else key
            assert one(audit, "accuracy", name)["value"] == pytest.approx(value)
        found = audit.filter(ACCURACY, pl.col("group_kind") == " × ".join(columns))["value"]
        assert np.ptp(found.to_numpy()) == pytest.approx(reference.difference())
