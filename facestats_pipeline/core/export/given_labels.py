"""Labels and ratings that people gave the exported photos, as columns beside the models' predictions."""

import polars as pl

from facestats_pipeline.core.user_files.name_match import match_files

GIVEN = {
    "label_gender": "gender in labels.csv; null without a label",
    "label_ethnicity": "ethnicity in labels.csv; null without a label",
    "label_age_bin": "age bin in labels.csv; null without a label",
    "label_age": "age in years in labels.csv; null without a label",
    "label_rating": "mean rating in ratings.csv; null without a rating",
}
"""Column → description. `identity` is never exported: it serves only to keep the photos of a person in one fold."""
_FROM_LABELS = {
    "gender": "label_gender",
    "ethnicity": "label_ethnicity",
    "age_bin": "label_age_bin",
    "age": "label_age",
}


def given_labels(labels: pl.DataFrame | None, ratings: pl.DataFrame | None, filenames: list[str]) -> pl.DataFrame:
    """`filename` and the columns of GIVEN that have a value, one row per labelled or rated photo.

    labels: LABELS_SCHEMA. ratings: file, rating. filenames: all live images, to match files against. Columns without any value are left
    out, so an unlabelled collection is exported without empty columns.
    """
    given = pl.DataFrame(schema={"filename": pl.String})
    for table, names in ((labels, _FROM_LABELS), (ratings, {"rating": "label_rating"})):
        if table is None:
            continue
        matched = match_files(table["file"].to_list(), filenames)
        pairs = pl.DataFrame(
            {"file": list(matched), "filename": list(matched.values())},
            schema={"file": pl.String, "filename": pl.String},
        )
        said = table.rename(names).join(pairs, on="file").select("filename", *names.values())
        given = given.join(said, on="filename", how="full", coalesce=True)
    return given.select("filename", *(name for name in given.columns[1:] if given[name].null_count() < given.height))
