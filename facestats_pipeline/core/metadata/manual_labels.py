"""Hand labels: one resolved value per image and attribute, and the agreement between annotators."""

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.joins import conform
from facestats_pipeline.core.metadata.agreement import krippendorff_alpha
from facestats_pipeline.core.metadata.manual_label_file import read_history
from facestats_pipeline.core.tables import Schema

RESOLVED_SCHEMA: Schema = {
    "image_id": pl.String(),
    "attribute": pl.String(),
    "value": pl.String(),
    "annotator": pl.String(),
    "labelled_at": pl.Datetime("us", "UTC"),
    "votes": pl.Int32(),
    "annotators": pl.Int32(),
}
AGREEMENT_SCHEMA: Schema = {
    "attribute": pl.String(),
    "annotators": pl.Int64(),
    "images": pl.Int64(),
    "images_labelled_twice": pl.Int64(),
    "ties": pl.Int64(),
    "alpha": pl.Float64(),
}
SEPARATOR = "; "


@dataclass(frozen=True)
class ManualLabels:
    """The content of manual_labels.csv.

    Attributes:
        frame: RESOLVED_SCHEMA, one row per image and attribute: the value with most votes, null on a tie; the names of its voters (of all
            tied voters on a tie), the latest time, its number of votes and the number of annotators.
        history: all usable lines as written; `counts` tells whether a line is its annotator's last one for that image and attribute.
        rejected: row, column, value, reason of unusable lines.
        agreement: AGREEMENT_SCHEMA, one row per attribute: annotators, labelled images, images with several annotators, ties, and
            Krippendorff's nominal alpha (null if undefined).
    """

    frame: pl.DataFrame
    history: pl.DataFrame
    rejected: pl.DataFrame
    agreement: pl.DataFrame


def read_manual_labels(
    path: Path, *, known_ids: Container[str] | None = None, catalogue: Catalogue = BUILT_IN
) -> ManualLabels:
    """Read manual_labels.csv (columns image_id, attribute, value, annotator, labelled_at).

    Bad lines are rejected one by one; with `known_ids`, so are lines about other images. Raises LabelsError, with the file's name, when the
    file cannot be read or lacks a column.
    """
    history, rejected = read_history(path, known_ids, catalogue)
    one = ["image_id", "attribute", "annotator"]
    # Of two lines with the same time, the later line counts.
    history = history.with_columns(
        counts=pl.struct("labelled_at", "row").rank("ordinal").over(one) == pl.len().over(one),
    )
    votes = history.filter("counts", pl.col("value").is_not_null())
    resolved = resolve_votes(votes)
    return ManualLabels(resolved, history, rejected, _agreement(votes, resolved, catalogue))


def resolve_votes(votes: pl.DataFrame) -> pl.DataFrame:
    """RESOLVED_SCHEMA: one value per image and attribute by majority. votes: image_id, attribute, value, annotator, labelled_at."""
    image = ["image_id", "attribute"]
    counted = votes.with_columns(
        _votes=pl.len().over([*image, "value"]), annotators=pl.col("annotator").n_unique().over(image)
    )
    winners = counted.filter(pl.col("_votes") == pl.col("_votes").max().over(image))
    resolved = winners.group_by(image, maintain_order=True).agg(
        pl.when(pl.col("value").n_unique() == 1).then(pl.col("value").first()).alias("value"),
        pl.col("annotator").sort().str.join(SEPARATOR),
        pl.col("labelled_at").max(),
        pl.col("_votes").first().alias("votes"),
        pl.col("annotators").first(),
    )
    return conform(resolved, RESOLVED_SCHEMA).sort(image)


def _agreement(votes: pl.DataFrame, resolved: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    rows = []
    for attribute in catalogue.names:
        of_it = votes.filter(pl.col("attribute") == attribute)
        decided = resolved.filter(pl.col("attribute") == attribute)
        values = of_it.group_by("image_id", maintain_order=True).agg("value")["value"].to_list()
        rows.append(
            {
                "attribute": attribute,
                "annotators": of_it["annotator"].n_unique(),
                "images": decided.height,
                "images_labelled_twice": int((decided["annotators"] > 1).sum()),
                "ties": decided["value"].null_count(),
                "alpha": krippendorff_alpha(values),
            }
        )
    return pl.DataFrame(rows, schema=AGREEMENT_SCHEMA)
