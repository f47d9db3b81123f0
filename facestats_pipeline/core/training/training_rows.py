"""Labels brought together with the embeddings of the photos they are about."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from facestats_pipeline.core.training.provenance import TrainingRefused
from facestats_pipeline.core.user_files.name_match import match_files


@dataclass(frozen=True)
class TrainingRows:
    """Embeddings x (n, d) float32, and a table of n rows: image_id, filename and the columns of the labels."""

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
    """Join `labels` (column `file` and whatever they say) to embeddings; only labelled rows are held in memory.

    `filenames`: of all live images, to match files against. `shards`: tables with image_id, filename, embedding, model_id. `withheld`:
    those of `filenames` that nothing may be learned from. Raises TrainingRefused when no label matches a photo, when only withheld ones
    have labels, or when the embeddings come from several encoders.
    """
    matched = match_files(labels["file"].to_list(), filenames)
    if not matched:
        example = labels["file"][0] if labels.height else "-"
        raise TrainingRefused(
            f"none of the {labels.height} labelled files is among the {len(filenames)} photos; the column `file` must end like the "
            f"paths below the raw folder (the first one is {len(str(example).split('/'))} folders deep)"
        )
    # Labels are matched against all photos: that one is withheld does not make its label another photo's.
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
    """`rows` with the column `group` of `labels` (LABELS_SCHEMA): who is shown, where labels.csv says so and the rows do not.

    Ratings seldom say who is in a photo, and a person's photos must share a fold all the same.
    """
    if labels is None or "group" in rows.table.columns or labels["group"].null_count() == labels.height:
        return rows
    said = labels.filter(pl.col("group").is_not_null())
    matched = match_files(said["file"].to_list(), filenames)
    names = pl.DataFrame({"file": list(matched), "filename": list(matched.values())})
    groups = said.join(names, on="file").select("filename", "group")
    return replace(rows, table=rows.table.join(groups, on="filename", how="left", maintain_order="left"))


def kinds_of_rows(
    rows: TrainingRows, labels: pl.DataFrame | None, filenames: Sequence[str], kinds: Sequence[str]
) -> dict[str, list[str | None]]:
    """For each of `kinds`, columns of `labels`, the label (n,) that people gave of each row, None where there is none.

    `labels`: `labels_schema`, or None; `filenames`: of all live images, to match files against. Used to report figures by group.
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
