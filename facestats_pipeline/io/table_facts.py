"""What Dagster's page of a table shows of its columns: from the table's specification."""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from facestats_pipeline.core.tables import Table


def column_schema(table: Table, written: Mapping[str, pl.DataType] | None = None) -> dg.TableSchema:
    """Columns with types and descriptions; of a table that was just written, with the types that it has."""
    columns = table.schema if written is None else written
    return dg.TableSchema(
        [dg.TableColumn(name, str(dtype), table.descriptions.get(name)) for name, dtype in columns.items()]
    )


def column_lineage(table: Table) -> dg.TableColumnLineage:
    """Which columns each column is made from."""
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(dg.AssetKey(source), name) for source, name in sources]
            for column, sources in table.lineage.items()
        }
    )


def place(table: Table) -> str:
    """Where the table lies in the data folder."""
    return f"processed/{table.path}/, one Parquet file a shard" if table.kind == "shards" else f"processed/{table.path}"
