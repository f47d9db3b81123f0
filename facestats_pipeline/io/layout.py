"""Where each artifact lies. Paths are relative to `processed/`; those of models to the models folder."""

from facestats_pipeline.core.table_registry import tables_of

SHARD_TABLES: dict[str, str] = {name: table.path for name, table in tables_of().items() if table.kind == "shards"}
"""Directories of one Parquet file per shard: any reader opens the directory as one table."""

TABLES: dict[str, str] = {name: table.path for name, table in tables_of().items() if table.kind == "table"}
"""Single Parquet files."""

JPEG_SHARDS = "preproc"
"""Folder of `<shard>/<image_id>.jpg`."""

COMPOSITES, REPORTS = "composites", "reports"
"""Folders of pictures made from many photos."""

INDEX = "embeddings/embedding_index.usearch"
"""File of the asset embedding_index."""

INPUTS: dict[str, str] = {
    "labels_csv": "labels.csv",
    "ratings_csv": "ratings.csv",
    "manual_labels_csv": "manual_labels.csv",
    "sources_csv": "sources.csv",
    "splits_csv": "splits.csv",
}
"""What people provide, relative to `labels/`."""


def table_path(asset: str) -> str:
    """Path of a table below `processed/`. KeyError for an asset that is no table."""
    return SHARD_TABLES.get(asset) or TABLES[asset]
