"""Joins labels to the embeddings of their photos."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from facestats_pipeline.core.training.provenance import TrainingRefused
from facestats_pipeline.core.user_files.name_match import match_files


@dataclass(frozen=True)
class TrainingRows:
    """Embeddings x (n, d) float32, and a table of n rows with image_id, filename and the label columns."""

    x: npt.NDArray[np.float32]
    table: pl.DataFrame
    encoder_id: str

    @property
    def image_ids(self) -> list[str]:
        """(n,) image ids."""
        return self.table["image_id"].to_list()


def training_rows(
    labels: pl.DataFrame, filenames: Sequence[str], shards: Iterable[pl.DataFrame], *, withheld: Collection[str] = ()
) -> TrainingRows:
    """Join `labels` (column `file` and label columns) to embeddings. Only labelled rows are held in memory.

    filenames: all live images, to match files against. shards: tables with image_id, filename, embedding, model_id. withheld: filenames
    that must not be used for training. Raises TrainingRefused when no label matches a photo, when all labelled photos are withheld or lack
    an embedding, or when the embeddings come from several encoders.
    """
    matched = match_files(labels["file"].to_list(), filenames)
    if not matched:
        example = labels["file"][0] if labels.height else "-"
        raise TrainingRefused(
            f"none of the {labels.height} labelled files is among the {len(filenames)} photos; the column `file` must end like the "
            f"paths below the raw folder (the first one is {len(str(example).split('/'))} folders deep)"
        )
    # Labels are matched against all photos first: otherwise the label of a withheld photo could match a similarly named one.
    matched = {file: name for file, name in matched.items() if name not in withheld}
    if not matched:
        raise TrainingRefused("the setting `use` keeps every labelled photo out of training")
    names = pl.DataFrame({"file": list(matched), "filename": list(matched.values())})
    wanted = labels.join(names, on="file").drop("file")
    tables, vectors, encoders = [], [], set[str]()
    for shard in shards:
        rows = shard.join(wanted, on="filename", how="inner", maintain_order="left")
        if rows.height:
            vectors.append(rows["embedding"].to_numpy().astype(np.float32, copy=False).reshape(rows.height, -1))
            encoders.update(rows["model_id"].unique())
            tables.append(rows.drop("embedding", "model_id", "preproc_id", strict=False))
    if not tables:
        raise TrainingRefused("none of the labelled photos has an embedding")
    if len(encoders) > 1:
        raise TrainingRefused(
            f"the embeddings come from {len(encoders)} encoders; run the pipeline so that all are current"
        )
    return TrainingRows(np.concatenate(vectors), pl.concat(tables), encoders.pop())


def with_identity(rows: TrainingRows, labels: pl.DataFrame | None, filenames: Sequence[str]) -> TrainingRows:
    """Add the column `group` of `labels` (who is shown), if the rows lack it.

    A ratings file seldom names the people, but a person's photos must share a fold all the same.
    """
    if labels is None or "group" in rows.table.columns or labels["group"].null_count() == labels.height:
        return rows
    grouped = labels.filter(pl.col("group").is_not_null())
    matched = match_files(grouped["file"].to_list(), filenames)
    names = pl.DataFrame({"file": list(matched), "filename": list(matched.values())})
    groups = grouped.join(names, on="file").select("filename", "group")
    return replace(rows, table=rows.table.join(groups, on="filename", how="left", maintain_order="left"))


def kinds_of_rows(
    rows: TrainingRows, labels: pl.DataFrame | None, filenames: Sequence[str], kinds: Sequence[str]
) -> dict[str, list[str | None]]:
    """Kind → the label of each row (n,), None without one, for the columns `kinds` of `labels`. Kinds without labels are left out.

    labels: `labels_schema`, or None. filenames: all live images, to match files against. Reports use it for figures by group.
    """
    if labels is None:
        return {}
    matched = match_files(labels["file"].to_list(), filenames)
    names = pl.DataFrame(
        {"file": list(matched), "filename": list(matched.values())}, schema={"file": pl.String, "filename": pl.String}
    )
    said = labels.join(names, on="file").select("filename", *kinds)
    beside = rows.table.select("filename").join(said, on="filename", how="left", maintain_order="left")
    return {kind: beside[kind].to_list() for kind in kinds if beside[kind].null_count() < beside.height}
