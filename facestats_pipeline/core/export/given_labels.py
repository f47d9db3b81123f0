"""What people said of the exported photos: their labels and ratings, beside what models say of them."""

import polars as pl

from facestats_pipeline.core.user_files.name_match import match_files

GIVEN = {
    "label_gender": "gender as labels.csv has it; null where nobody said",
    "label_ethnicity": "ethnicity as labels.csv has it; null where nobody said",
    "label_age_bin": "age bin as labels.csv has it; null where nobody said",
    "label_age": "age in years as labels.csv has it; null where nobody said",
    "label_rating": "mean rating as ratings.csv has it; null where nobody rated",
}
"""Column → meaning. Who is in a photo (`identity`) is not among them: it is there to keep a person in one fold, and for nothing else."""
_FROM_LABELS = {
    "gender": "label_gender",
    "ethnicity": "label_ethnicity",
    "age_bin": "label_age_bin",
    "age": "label_age",
}


def given_labels(labels: pl.DataFrame | None, ratings: pl.DataFrame | None, filenames: list[str]) -> pl.DataFrame:
    """`filename` and those columns of GIVEN that anything is said in, one row per photo that is spoken of.

    labels: LABELS_SCHEMA; ratings: file, rating; filenames: of all live images, to match files against. A column in which nothing is said
    is left out, so that an unlabelled collection is exported without empty columns.
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
