"""IO managers: they write an asset's return value with its recipe, and load it for downstream assets.

A sharded asset returns a mapping from shard to content, for one shard or a range. An asset that cannot be made returns
`Skipped(reason)`, and downstream assets get None. So one run makes everything that can be made and reports the rest.
"""

import base64
import tempfile
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.erasure.log_text import PREVIEW_START
from facestats_pipeline.core.phases import PHASES, Phases, current, measuring
from facestats_pipeline.core.preproc.preproc_table import PICTURED
from facestats_pipeline.core.table_registry import tables_of
from facestats_pipeline.core.tables import Table
from facestats_pipeline.io.freshness import ROOT, Freshness, inventory_inputs
from facestats_pipeline.io.recipes import Recipe
from facestats_pipeline.io.shard_frames import AllShards, LazyShards
from facestats_pipeline.io.table_facts import column_lineage, column_schema

COLUMNS, NEEDED_BY = "columns", "needed_by"
"""Keys of an input's metadata: the columns to load, or the table whose specification lists them."""

PREVIEW = "![{}](" + PREVIEW_START + "{})"


@dataclass(frozen=True)
class Skipped:
    """Returned by an asset that cannot be made, for example for lack of labels. It is not an error, and no result is invented."""

    reason: str


@dataclass(frozen=True)
class Files:
    """The return value of an asset that makes files: content by name, facts for the summary, names of images to preview."""

    content: Mapping[str, bytes | Path]
    facts: Mapping[str, Any]
    previews: tuple[str, ...] = ()


class RecordedIOManager(dg.IOManager):
    """Base of all IO managers: recipes, data versions, skipping."""

    def __init__(self, freshness: Freshness) -> None:
        self.freshness = freshness
        self.store = freshness.store

    def recipe(self, context: dg.OutputContext, shard: str | None = None, skipped: str = "") -> Recipe:
        """The recipe of the output that is being written."""
        return self.freshness.recipe(_name(context.asset_key), shard, skipped=skipped)

    def report(self, context: dg.OutputContext, recipe: Recipe, facts: Mapping[str, Any]) -> None:
        """Report the data version and the facts of an output to Dagster."""
        context.step_context.set_data_version(context.asset_key, dg.DataVersion(recipe.fingerprint))
        context.add_output_metadata({**facts, **({"skipped": recipe.skipped} if recipe.skipped else {})})

    def write_skipped(self, context: dg.OutputContext, reason: str) -> None:
        """Write a record with the reason for skipping; files of an earlier run are removed."""
        recipe = self.recipe(context, skipped=reason)
        self.store.write_files(_name(context.asset_key), {}, recipe)
        context.log.warning(f"skipped: {reason}")
        self.report(context, recipe, {})

    def recorded_paths(self, context: dg.InputContext) -> dict[str, Path] | None:
        """Files of the upstream artifact; None when it was skipped. Raises FileNotFoundError when it has not been made."""
        asset = _name(context.asset_key)
        record = self.store.record(asset)
        if record is None:
            raise FileNotFoundError(
                f"{asset} has not been made yet; materialize it, or `facestats run` makes what is missing"
            )
        return None if record.recipe.skipped else {name: self.store.file(asset, name) for name in record.files}


class SpecifiedIOManager(RecordedIOManager):
    """Base of the IO managers of tables: knows each table's specification."""

    def __init__(self, freshness: Freshness, tables: Mapping[str, Table] | None = None) -> None:
        super().__init__(freshness)
        self.tables = tables_of() if tables is None else tables

    def column_facts(self, asset: str, frame: pl.DataFrame) -> dict[str, Any]:
        """Column schema and column lineage, for Dagster's page of the asset."""
        table = self.tables[asset]
        return {
            "dagster/column_schema": column_schema(table, frame.schema),
            "dagster/column_lineage": column_lineage(table),
        }

    def columns_wanted(self, context: dg.InputContext) -> Collection[str] | None:
        """The columns an input needs, from its metadata `columns` or from the specification of `needed_by`; None for all."""
        reader = context.definition_metadata.get(NEEDED_BY)
        if reader is not None:
            return self.tables[reader].reads[_name(context.asset_key)]
        columns: Collection[str] | None = context.definition_metadata.get(COLUMNS)
        return columns


class ShardTableIOManager(SpecifiedIOManager):
    """Shard → DataFrame, one Parquet file each. Downstream assets without shards can load all shards as one LazyFrame."""

    def handle_output(self, context: dg.OutputContext, obj: Mapping[str, pl.DataFrame]) -> None:
        """Compute and write one shard at a time, so that only one is in memory."""
        asset = _name(context.asset_key)
        written: pl.DataFrame | None = None
        for shard in obj:
            # Taken before the inputs are read: if one is replaced in between, the result counts as stale, not as current.
            recipe = self.recipe(context, shard)
            started = time.perf_counter()
            with measuring() as phases:
                written = obj[shard]
                if "compute" not in phases.seconds:  # assets that do not time themselves: all but reading and writing
                    phases.add("compute", time.perf_counter() - started - sum(phases.seconds.values()))
                with phases.timing("write"):
                    path = self.store.write_table(asset, shard, written, recipe)
            self.add_shard_facts(context, shard, written, path, phases, time.perf_counter() - started)
        if written is not None:
            context.add_output_metadata(self.column_facts(asset, written))

    def add_shard_facts(
        self, context: dg.OutputContext, shard: str, frame: pl.DataFrame, path: Path, phases: Phases, seconds: float
    ) -> None:
        """Add a shard's metadata to its partition: rows, bytes, seconds of each phase (summed over threads), wall-clock seconds
        and images/s.
        """
        facts = {
            "dagster/row_count": frame.height,
            "bytes": path.stat().st_size,
            **{f"seconds_{phase}": round(phases.seconds.get(phase, 0.0), 3) for phase in PHASES},
            "seconds": round(seconds, 3),
            "images": phases.images,
            "images_per_second": round(phases.images / seconds, 1),
        }
        context.step_context.add_asset_metadata(facts, asset_key=context.asset_key, partition_key=shard)

    def load_input(self, context: dg.InputContext) -> Any:
        """LazyShards over the run's partitions; or, by the input's type annotation, a LazyFrame or AllShards over the whole table.

        Only the columns from `columns_wanted` are read, except for a LazyFrame, which selects its own.
        """
        asset = _name(context.asset_key)
        columns = self.columns_wanted(context)
        wanted = context.dagster_type.typing_type
        if _is_lazy(context):
            return self.store.scan(asset)
        if wanted is AllShards:
            return AllShards(self.store.shards(asset), lambda shard: self.store.read_table(asset, shard, columns))

        def read(shard: str) -> pl.DataFrame:
            with current().timing("read"):
                return self.store.read_table(asset, shard, columns)

        return LazyShards(list(context.asset_partition_keys), read)


@dataclass(frozen=True)
class ShardImages:
    """The preprocessed photos of one shard: the table and the paths of the JPEGs."""

    shard: str
    table: pl.DataFrame
    store: Any

    def path(self, image_id: str) -> Path:
        """Path of an image's JPEG."""
        return Path(self.store.jpeg_path(self.shard, image_id))

    @property
    def pictured(self) -> pl.DataFrame:
        """Rows of the table that have a JPEG."""
        return self.table.filter(pl.col("status").is_in(PICTURED))


# Dagster checks values against annotations at run time and does not support generic classes there.
if TYPE_CHECKING:
    ShardPhotos = LazyShards[ShardImages]
else:
    ShardPhotos = LazyShards


class JpegShardIOManager(ShardTableIOManager):
    """Shard → (table, iterator of (image id, JPEG bytes)). The table is written after the JPEGs and marks the shard as complete."""

    def handle_output(self, context: dg.OutputContext, obj: Mapping[str, Any]) -> None:
        """Write each shard's JPEGs as they arrive, then its table. JPEGs without a row are removed."""
        asset = _name(context.asset_key)

        def write(shard: str) -> pl.DataFrame:
            try:
                return attempt(shard)
            except BaseException:
                self.store.drop_pictures([shard])  # local copies that were never uploaded
                raise

        def attempt(shard: str) -> pl.DataFrame:
            recipe = self.recipe(context, shard)
            result = obj[shard]
            before = self.store.recipe(asset, shard)
            if before is not None and before.code_digest != self.freshness.code_digest(asset):
                # Otherwise, after a crash, the old table would list JPEGs made with the new settings.
                self.store.forget_table(asset, shard)
            for image_id, jpeg in result.jpegs:
                with current().timing("write"):
                    self.store.write_jpeg(shard, image_id, jpeg)
            table: pl.DataFrame = result.table()
            pictured = set(table.filter(pl.col("status").is_in(PICTURED))["image_id"])
            self.store.keep_jpegs(shard, pictured, recipe)
            return table

        super().handle_output(context, LazyShards(list(obj), write))

    def load_input(self, context: dg.InputContext) -> Any:
        """As for tables, but LazyShards hold ShardImages instead of DataFrames."""
        loaded = super().load_input(context)
        if isinstance(loaded, pl.LazyFrame | AllShards):
            return loaded

        def images(shard: str) -> ShardImages:
            self.store.check_packed(shard)
            return ShardImages(shard, loaded[shard], self.store)

        return LazyShards(list(loaded), images)


class TableIOManager(SpecifiedIOManager):
    """A DataFrame in one Parquet file."""

    def handle_output(self, context: dg.OutputContext, obj: pl.DataFrame) -> None:
        """Write the table."""
        asset = _name(context.asset_key)
        recipe = self.recipe(context)
        if asset == ROOT:
            recipe = Recipe(asset, recipe.code_version, recipe.code_digest, inventory_inputs(obj))
        path = self.store.write_table(asset, None, obj, recipe)
        facts = {"dagster/row_count": obj.height, "bytes": path.stat().st_size}
        self.report(context, recipe, {**facts, **self.column_facts(asset, obj)})

    def load_input(self, context: dg.InputContext) -> pl.DataFrame | pl.LazyFrame:
        """The table as a DataFrame, or as a LazyFrame if the input is annotated so."""
        asset = _name(context.asset_key)
        return self.store.scan(asset) if _is_lazy(context) else self.store.read_table(asset)


class FilesIOManager(RecordedIOManager):
    """Writes `Files` (images, JSON, cards, arrays, an index) or `Skipped`; loads name → path, or None when skipped.

    With `previews`, small copies of the images an asset names are stored in Dagster's event log. They show faces.
    """

    def __init__(self, freshness: Freshness, *, previews: bool = False) -> None:
        super().__init__(freshness)
        self.previews = previews

    def handle_output(self, context: dg.OutputContext, obj: Files | Skipped) -> None:
        """Write the files and their record."""
        if isinstance(obj, Skipped):
            self.write_skipped(context, obj.reason)
            return
        recipe = self.recipe(context)
        record = self.store.write_files(_name(context.asset_key), obj.content, recipe, obj.facts)
        shown = previews_of(obj) if self.previews else {}
        facts = {**obj.facts, "files": len(record.files), "bytes": sum(record.files.values())}
        self.report(context, recipe, {**facts, **shown})

    def load_input(self, context: dg.InputContext) -> dict[str, Path] | None:
        """Name → path, or None."""
        return self.recorded_paths(context)


class TorchCheckpointIOManager(RecordedIOManager):
    """A dictionary of tensors and plain values in `<models>/<asset>.pt`. Loading with `weights_only=True` executes no code."""

    def handle_output(self, context: dg.OutputContext, obj: Mapping[str, Any] | Skipped) -> None:
        """Save the checkpoint."""
        if isinstance(obj, Skipped):
            self.write_skipped(context, obj.reason)
            return
        import torch

        asset = _name(context.asset_key)
        name = f"{asset}.pt"
        temporary = self.store.temporary_path(self.store.base(asset) / name)
        torch.save(dict(obj), temporary)
        facts = {key: value for key, value in obj.get("metrics", {}).items() if isinstance(value, int | float | str)}
        recipe = self.recipe(context)
        self.store.write_files(asset, {name: temporary}, recipe, facts)
        self.report(context, recipe, facts)

    def load_input(self, context: dg.InputContext) -> dict[str, Any] | None:
        """The checkpoint on the CPU, or None when it was skipped."""
        paths = self.recorded_paths(context)
        if paths is None:
            return None
        return load_checkpoint(next(iter(paths.values())))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint of tensors and plain values on the CPU. Raises ValueError, with the file, when it holds anything else."""
    import torch

    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} is not a checkpoint of tensors and plain values: {error}") from None
    if not isinstance(loaded, dict):
        raise ValueError(f"{path} holds a {type(loaded).__name__}, not a checkpoint dictionary")
    return loaded


def _is_lazy(context: dg.InputContext) -> bool:
    return context.dagster_type.typing_type is pl.LazyFrame


def _name(key: dg.AssetKey) -> str:
    return key.path[-1]


class ProbeIOManager(RecordedIOManager):
    """A trained probe, saved in the models folder without pickle; loads the probe, or None when it was skipped."""

    def __init__(self, freshness: Freshness, catalogue: Catalogue = BUILT_IN) -> None:
        super().__init__(freshness)
        self.stems = {attribute.trainer: attribute.model_stem for attribute in catalogue}

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Save the probe."""
        if isinstance(obj, Skipped):
            self.write_skipped(context, obj.reason)
            return
        from facestats_pipeline.core.attributes.probe_store import save_probe

        asset = _name(context.asset_key)
        base = self.store.base(asset)
        base.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.store.temporary_path(base / "x").parent) as folder:
            written = {path.name: path for path in save_probe(obj, Path(folder), self.stems[asset])}
            recipe = self.recipe(context)
            facts = {key: value for key, value in obj.metrics.items() if isinstance(value, int | float | str)}
            self.store.write_files(asset, written, recipe, facts)
        self.report(context, recipe, facts)

    def load_input(self, context: dg.InputContext) -> Any:
        """The probe, or None."""
        from facestats_pipeline.core.attributes.probe_store import load_probe

        if self.recorded_paths(context) is None:  # otherwise every file has been fetched by now
            return None
        asset = _name(context.asset_key)
        return load_probe(self.store.base(asset), self.stems[asset])


def previews_of(files: Files) -> dict[str, dg.MetadataValue]:
    """Small copies of the images in `files.previews`, as Markdown images of at most `EVENT_BYTES` of text in total."""
    from facestats_pipeline.core.drawing.preview import EVENT_BYTES, preview

    shown: dict[str, dg.MetadataValue] = {}
    for name in files.previews:
        picture = files.content[name]
        if isinstance(picture, bytes):
            small = preview(picture, EVENT_BYTES // len(files.previews) - len(PREVIEW) - len(name))
            stem = Path(name).stem
            text = PREVIEW.format(stem, base64.b64encode(small).decode())
            shown[f"preview: {stem.replace('_', ' ')}"] = dg.MetadataValue.md(text)
    return shown


def io_managers(
    freshness: Freshness, *, previews: bool = False, catalogue: Catalogue = BUILT_IN
) -> dict[str, dg.IOManager]:
    """IO manager key → IO manager. `catalogue`: the attributes, which decide the columns of tables and the trainers."""
    tables = tables_of(catalogue)
    return {
        "tables": TableIOManager(freshness, tables),
        "shard_tables": ShardTableIOManager(freshness, tables),
        "jpeg_shards": JpegShardIOManager(freshness, tables),
        "files": FilesIOManager(freshness, previews=previews),
        "probes": ProbeIOManager(freshness, catalogue),
        "torch_checkpoints": TorchCheckpointIOManager(freshness),
    }
