"""What the bias audit looks at: people's labels beside predictions by models that had not seen them."""

import polars as pl

from facestats_pipeline.core.labels.label_match import match_files
from facestats_pipeline.core.labels.vocabulary import ATTRIBUTES
from facestats_pipeline.core.reports.bias import Audit

_CONFIDENCE = {attribute: f"predicted_{attribute}_p" for attribute in ATTRIBUTES}


def audit_frame(master: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Rows of `master` that have a label: gender, ethnicity, age_bin and age_years are the labels; predicted_* are out of fold or null."""
    matched = match_files(labels["file"].to_list(), master["filename"].to_list())
    names = pl.DataFrame(
        {"file": list(matched), "filename": list(matched.values())}, schema={"file": pl.String, "filename": pl.String}
    )
    truth = labels.join(names, on="file").select("filename", "gender", "ethnicity", "age_bin", age_years="age")
    said = [f"predicted_{attribute}{ending}" for attribute in ATTRIBUTES for ending in ("", "_p", "_kind")]
    frame = master.select("filename", "attractiveness_raw", *said).join(truth, on="filename", how="inner")
    held_out = {a: pl.col(f"predicted_{a}_kind") == "out_of_fold" for a in ATTRIBUTES}
    return frame.with_columns(
        pl.when(held_out[a]).then(pl.col(f"predicted_{a}{ending}")).alias(f"predicted_{a}{ending}")
        for a in ATTRIBUTES
        for ending in ("", "_p")
    )


def audits_for(frame: pl.DataFrame) -> list[Audit]:
    """An audit for each attribute that has both labels and predictions, and one of the score where there is one."""
    audits = [
        Audit(attribute, f"predicted_{attribute}", attribute, _CONFIDENCE[attribute])
        for attribute in ATTRIBUTES
        if frame.filter(pl.col(attribute).is_not_null() & pl.col(f"predicted_{attribute}").is_not_null()).height
    ]
    if audits and frame["attractiveness_raw"].drop_nulls().len():
        audits.append(Audit("attractiveness", "attractiveness_raw", kind="number"))
    return audits
