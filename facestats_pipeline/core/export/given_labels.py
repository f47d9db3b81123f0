"""Labels and ratings that people gave the exported photos, as columns beside the models' predictions."""

import polars as pl

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.user_files.name_match import match_files


def given_columns(catalogue: Catalogue = BUILT_IN) -> dict[str, str]:
    """Column → description. `identity` is never exported: it serves only to keep the photos of a person in one fold."""
    columns = {each.label_column: f"{each.noun} in labels.csv; null without a label" for each in catalogue}
    for each in catalogue:
        if each.years:
            columns[f"label_{each.stem}"] = f"{each.stem} in years in labels.csv; null without a label"
    return columns | {"label_rating": "mean rating in ratings.csv; null without a rating"}


def given_labels(
    labels: pl.DataFrame | None,
    ratings: pl.DataFrame | None,
    filenames: list[str],
    catalogue: Catalogue = BUILT_IN,
) -> pl.DataFrame:
    """`filename` and those of `given_columns` that have a value, one row per labelled or rated photo.

    labels: `labels_schema`. ratings: file, rating. filenames: all live images, to match files against. Columns without any value are left
    out, so an unlabelled collection is exported without empty columns.
    """
    labelled = {column.removeprefix("label_"): column for column in given_columns(catalogue)}
    rated = {"rating": labelled.pop("rating")}
    given = pl.DataFrame(schema={"filename": pl.String})
    for table, names in ((labels, labelled), (ratings, rated)):
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
