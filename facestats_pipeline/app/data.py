"""All queries of the dashboard, without Streamlit. They are lazy scans, so that a query reads only the columns it needs."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl

from facestats_pipeline.app.filters import EVERYTHING, Filters
from facestats_pipeline.app.pictures import as_png
from facestats_pipeline.collection.collection import WATCHED, Collection
from facestats_pipeline.core.attributes.attribute import UNKNOWN
from facestats_pipeline.core.composites.composite_specs import CompositeSpec
from facestats_pipeline.core.metadata.csv_export import csv_bytes
from facestats_pipeline.core.metadata.flag_table import reasons_of
from facestats_pipeline.core.reports.bias_table import bias_table

Stage = Literal["empty", "begun", "partial", "ready"]

EXPORT_ROWS = 200_000
"""Most rows of a download, which the page keeps in memory. The Parquet files hold all rows."""
FACE = ("image_id", "shard", "filename")


@dataclass(frozen=True)
class Overview:
    """What there is. `files`: manifest status → files; `counts`: column → value, n, in the order of the vocabulary."""

    files: Mapping[str, int]
    shards: int
    images: int
    faces: int
    flagged: int
    labelled: int
    scored: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, pl.DataFrame] = field(default_factory=dict)


class Queries:
    """The pages' queries on one collection. Cheap to create; models are loaded when a page needs them."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.settings = collection.settings
        self.folder = collection.folder
        self.store = self.folder.store

    # --- how far it is ----------------------------------------------------------------------------------------------------------

    def stage(self) -> Stage:
        """One of empty (nothing was made), begun (no master table yet), partial (master lacks shards) and ready."""
        if not self.store.path("raw_photos").is_file():
            return "empty"
        made = len(self.store.shards("master"))
        return "begun" if not made else "partial" if made < self.shards() else "ready"

    def shards(self) -> int:
        """Number of shards in the inventory."""
        return int(pl.scan_parquet(self.store.path("raw_photos")).select(pl.col("shard").n_unique()).collect().item())

    def progress(self) -> dict[str, int]:
        """Table of each stage → number of its shards."""
        return {table: len(self.store.shards(table)) for table in WATCHED}

    # --- rows -------------------------------------------------------------------------------------------------------------------

    def master(self, filters: Filters = EVERYTHING) -> pl.LazyFrame:
        """The master table, filtered, lazily."""
        return filters.apply(self.store.scan("master"), self.settings.catalogue)

    @property
    def counted(self) -> tuple[str, ...]:
        """Columns whose values the pages Overview and Explore count."""
        return (*(attribute.final_column for attribute in self.settings.catalogue), "attractiveness")

    def overview(self) -> Overview:
        """Counts over the whole collection, in one pass over a few columns."""
        files = self.store.scan("manifest").group_by("status").len().sort("len", descending=True)
        about = self.master().select(
            images=pl.len(),
            faces=(pl.col("preproc_status") == "ok").sum(),
            flagged=pl.col("flagged").sum(),
            labelled=pl.col("labelled_at").is_not_null().sum(),
            scored=pl.col("attractiveness_raw").is_not_null().sum(),
            reasons=_tally(pl.col("reasons").explode()),
            **{column: _tally(pl.col(column)) for column in self.counted},
        )
        status, totals = pl.collect_all([files, about])
        found = dict(_values(totals["reasons"]).iter_rows())
        return Overview(
            files=dict(status.iter_rows()),
            shards=self.shards(),
            **totals.select("images", "faces", "flagged", "labelled", "scored").row(0, named=True),
            reasons={reason: found[reason] for reason in reasons_of(self.settings.catalogue) if reason in found},
            counts={column: self._in_order(column, _values(totals[column])) for column in self.counted},
        )

    def counts(self, filters: Filters) -> tuple[int, dict[str, pl.DataFrame]]:
        """Rows that match, and for each of `counted` its values (value, n)."""
        totals = (
            self.master(filters)
            .select(pl.len(), **{column: _tally(pl.col(column)) for column in self.counted})
            .collect()
        )
        return int(totals["len"].item()), {c: self._in_order(c, _values(totals[c])) for c in self.counted}

    def _in_order(self, column: str, counted: pl.DataFrame) -> pl.DataFrame:
        """Rows in the order of the vocabulary (ages from young to old, `unknown` last), else in ascending order."""
        named = [each.classes for each in self.settings.catalogue if each.final_column == column]
        place = {value: i for i, value in enumerate((*named[0], UNKNOWN) if named else ())}
        if not place:
            return counted.sort("value")
        return counted.sort(pl.col("value").replace_strict(place, default=len(place), return_dtype=pl.Int32))

    def clusters(self) -> list[int]:
        """Numbers of the clusters."""
        found = self.master().select(pl.col("cluster").drop_nulls().unique().sort()).collect()
        return list(found["cluster"])

    def histogram(self, filters: Filters, column: str, bins: int = 30) -> pl.DataFrame:
        """A histogram with equal bins: low, high, n. No rows if the column has no values."""
        values = self.master(filters).select(pl.col(column).cast(pl.Float64)).collect()[column]
        known = values.drop_nulls().drop_nans().to_numpy()
        schema = {"low": pl.Float64(), "high": pl.Float64(), "n": pl.Int64()}
        if not len(known):
            return pl.DataFrame(schema=schema)
        n, edges = np.histogram(known, bins=bins)
        return pl.DataFrame({"low": edges[:-1], "high": edges[1:], "n": n}, schema=schema)

    def sortable(self, columns: Sequence[str]) -> list[str]:
        """Those of `columns` by which rows can be sorted."""
        schema = self.store.scan("master").collect_schema()
        return [name for name in columns if not schema[name].is_nested()]

    def numbers(self) -> list[str]:
        """Columns of master that hold measurements."""
        schema = self.store.scan("master").collect_schema()
        return [
            name for name, dtype in schema.items() if dtype.is_numeric() and name not in ("cluster", "attractiveness")
        ]

    def rows(
        self, filters: Filters, columns: Sequence[str], *, sort: str, descending: bool = False, n: int = 200
    ) -> pl.DataFrame:
        """The first `n` rows that match, sorted by one column, nulls last."""
        rows = self.master(filters).sort(sort, descending=descending, nulls_last=True).head(n)
        return rows.select(columns).collect()

    def map_sample(self, filters: Filters, n: int) -> tuple[pl.DataFrame, int]:
        """At most `n` rows that have map coordinates, and the number of all such rows.

        Image ids are digests, so the rows with the smallest ids are a uniform sample. It is the same on every page load.
        """
        placed = self.master(filters).filter(pl.col("pca_x").is_not_null())
        columns = [
            *FACE,
            "pca_x",
            "pca_y",
            "cluster",
            *(each.stem if each.years else each.final_column for each in self.settings.catalogue),
            "attractiveness",
            "flagged",
        ]
        total, sample = pl.collect_all([placed.select(pl.len()), placed.select(columns).bottom_k(n, by="image_id")])
        return sample.sort("image_id"), int(total.item())

    def within(
        self, filters: Filters, x: tuple[float, float], y: tuple[float, float], n: int
    ) -> tuple[pl.DataFrame, int]:
        """At most `n` faces in a rectangle of the map, and the number of all in it. Searches the collection, not the sample."""
        inside = self.master(filters).filter(pl.col("pca_x").is_between(*x), pl.col("pca_y").is_between(*y))
        total, faces = pl.collect_all([inside.select(pl.len()), inside.select(FACE).bottom_k(n, by="image_id")])
        return faces.sort("image_id"), int(total.item())

    def export(self, filters: Filters, columns: Sequence[str], kind: Literal["csv", "parquet"]) -> bytes:
        """The matching rows, at most EXPORT_ROWS, as the bytes of a file. CSV cells that would start a formula are escaped."""
        rows = self.folder.usable_rows(self.master(filters)).select(columns).head(EXPORT_ROWS).collect()
        if kind == "csv":
            return csv_bytes(rows)
        buffer = io.BytesIO()
        rows.write_parquet(buffer)
        return buffer.getvalue()

    def place(self, image_id: str) -> dict[str, Any] | None:
        """image_id, shard, filename of a live image; None when there is no such image."""
        rows = self.master().filter(pl.col("image_id") == image_id).select(FACE).collect()
        return rows.row(0, named=True) if rows.height else None

    def named(self, text: str) -> str | None:
        """The id or stored name of an image in the inventory; else None. Never looks at other files, so that the page reveals none."""
        listed = pl.scan_parquet(self.store.path("raw_photos")).select("image_id", "filename")
        found = listed.filter((pl.col("image_id") == text.lower()) | (pl.col("filename") == text)).head(1).collect()
        return None if found.is_empty() else text.lower() if found["image_id"][0] == text.lower() else text

    # --- composites -------------------------------------------------------------------------------------------------------------

    def composite(self, spec: CompositeSpec) -> tuple[bytes | None, dict[str, Any]]:
        """A composite as PNG (None when it is refused) and its row of the composites table. Raises FaceStatsError."""
        (made,) = self.collection.composites([spec], most=self.settings.dashboard.composite_faces)
        return as_png(made.image) if made.image is not None else None, made.row

    # --- reports ----------------------------------------------------------------------------------------------------------------

    def label_queue(self) -> pl.DataFrame | None:
        """The label queue: the images most worth a label, best first. None when it has not been made."""
        path = self.store.current(self.store.processed / "metadata" / "labels_template.csv")
        return pl.read_csv(path, schema_overrides={"image_id": pl.String}) if path.is_file() else None

    def bias_audit(self) -> tuple[pl.DataFrame | None, str]:
        """(the audit, ""), or (None, why there is none)."""
        record = self.store.record("bias_audit")
        if record is None:
            return None, "the audit has not been made yet: `facestats run` makes it"
        if record.recipe.skipped:
            return None, record.recipe.skipped
        return pl.read_parquet(self.store.file("bias_audit", bias_table().path)), ""


def _tally(column: pl.Expr) -> pl.Expr:
    """Value counts as one list expression, so that all columns are counted in a single read of the files."""
    return column.drop_nulls().value_counts(name="n").implode()


def _values(tally: pl.Series) -> pl.DataFrame:
    """The result of `_tally` as rows of value, n."""
    frame: pl.DataFrame = tally.item().struct.unnest()
    return frame.rename({frame.columns[0]: "value"})
