"""Column schema and lineage for Dagster's page of a table, derived from the table's specification."""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from facestats_pipeline.core.tables import Table


def column_schema(table: Table, written: Mapping[str, pl.DataType] | None = None) -> dg.TableSchema:
    """Columns with types and descriptions. With the schema of a written table, the types are those of that table."""
    columns = table.schema if written is None else written
    return dg.TableSchema(
        [dg.TableColumn(name, str(dtype), table.descriptions.get(name)) for name, dtype in columns.items()]
    )


def column_lineage(table: Table) -> dg.TableColumnLineage:
    """Column → the columns it is made from."""
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(dg.AssetKey(source), name) for source, name in sources]
            for column, sources in table.lineage.items()
        }
    )


def place(table: Table) -> str:
    """Path of the table in the data folder, for display."""
    return f"processed/{table.path}/, one Parquet file a shard" if table.kind == "shards" else f"processed/{table.path}"
