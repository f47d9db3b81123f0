"""The list of all places that can hold an image, used by both `facestats lineage` and `facestats erase`.

It is derived from the asset graph. A new artifact needs no change here if it is a sharded table with a column `image_id`, an asset
without shards made from such tables, or a file whose name contains the image id.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from facestats_pipeline.core.erasure.label_files import Erasing, without_rows
from facestats_pipeline.core.erasure.model_files import learned_from
from facestats_pipeline.core.ingest.identity import decode_filename, image_id
from facestats_pipeline.io.erasure.targets import Target
from facestats_pipeline.io.freshness import ROOT, Node
from facestats_pipeline.io.layout import COMPOSITES, INPUTS, REPORTS, TABLES
from facestats_pipeline.io.store import Store

Kind = Literal["photo", "label", "inventory", "table", "picture", "model", "aggregate"]
WHOLE_COLLECTION = "fitted on the whole collection"


@dataclass(frozen=True)
class Place:
    """A place that holds one or more of the images.

    Attributes:
        kind: photo (raw file), label, inventory, table (one shard), picture (preprocessed), model, aggregate (made from many images).
        artifact: the asset, or the file name of a user file.
        path: the file, or the first of several.
        shard: the shard of a table or picture.
        rows: number of rows or files.
        note: how the place holds the image, if that needs an explanation.
    """

    kind: Kind
    artifact: str
    path: Path
    shard: str | None = None
    rows: int = 1
    note: str = ""


def find_places(store: Store, graph: Mapping[str, Node], raw: Path, target: Target) -> list[Place]:
    """Every place that holds an image of `target`, from raw files to reports."""
    rows = list(target.rows.select("filename", "image_id").iter_rows())
    erasing = Erasing(target.ids, target.filenames, collection_names(store))
    found = [Place("photo", "raw file", path) for path in photos(raw, rows)]
    for path in label_files(store):
        n = without_rows(path.read_bytes(), erasing)[1]
        found += [Place("label", path.name, path, rows=n)] if n else []
    found.append(Place("inventory", ROOT, store.path(ROOT), rows=len(rows)))
    for name, shard in shard_tables(store, graph, target.shards):
        n = rows_in(store, name, shard, target.ids)
        found += [Place("table", name, store.path(name, shard), shard, n)] if n else []
    found += [Place("picture", "preproc", path, shard) for shard, path in pictures(store, target.ids, target.shards)]
    for name, why in models(store, graph, target).items():
        found.append(Place("model", name, files_of(store, name)[0], note=why))
    if any(place.kind == "table" for place in found):
        for name in aggregates(graph):
            if files := files_of(store, name):
                found.append(Place("aggregate", name, files[0], rows=len(files)))
    return found


def photos(raw: Path, rows: Sequence[tuple[str, str | None]]) -> list[Path]:
    """The raw files of inventory rows whose content is still that of the row, or could never be read."""
    return [path for name, identity in rows if _still_holds(path := raw / decode_filename(name), identity)]


def _still_holds(path: Path, identity: str | None) -> bool:
    try:
        return path.is_file() and (identity is None or image_id(path.read_bytes()) == identity)
    except OSError:
        return path.is_symlink() or path.exists()  # unreadable, but it exists


def collection_names(store: Store) -> tuple[str, ...]:
    """File names of all present photos, against which the file names of labels are matched."""
    listed = store.read_table(ROOT)
    return tuple(listed.filter(pl.col("state") != "removed")["filename"])


def label_files(store: Store) -> list[Path]:
    """The user files: every file in `labels/`."""
    return store.files_below(store.labels)


def shard_tables(store: Store, graph: Mapping[str, Node], shards: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(asset, shard) of every existing table of these shards, parents first."""
    for name, node in graph.items():
        for shard in shards if node.sharded else ():
            if store.path(name, shard).is_file():
                yield name, shard


def rows_in(store: Store, name: str, shard: str, ids: frozenset[str]) -> int:
    """Number of rows in a shard's table with one of the image ids."""
    hits = pl.scan_parquet(store.path(name, shard)).filter(pl.col("image_id").is_in(list(ids)))
    return int(hits.select(pl.len()).collect().item())


def pictures(store: Store, ids: frozenset[str], shards: Sequence[str]) -> list[tuple[str | None, Path]]:
    """(shard, path) of the existing preprocessed photos of the images."""
    paths = [(shard, store.jpeg_path(shard, image_id)) for shard in shards for image_id in sorted(ids)]
    return [(shard, path) for shard, path in paths if path.is_file()]


def named_after(folder: Path, ids: frozenset[str], *, but_not: Path) -> list[Path]:
    """Files and folders below `folder` with an image id in their name, such as cached previews. The folder `but_not` is skipped."""
    found, passed = [], but_not.resolve()
    for top, folders, files in os.walk(folder):
        here = [name for name in folders if any(image_id in name for image_id in ids)]
        found += [Path(top) / name for name in files if any(image_id in name for image_id in ids)]
        found += [Path(top) / name for name in here]
        folders[:] = [name for name in folders if name not in here and (Path(top) / name).resolve() != passed]
    return found


def aggregates(graph: Mapping[str, Node]) -> list[str]:
    """Assets without shards that are made from the rows of many images, parents first: index, composites, reports, exports."""
    found: list[str] = []
    for name, node in graph.items():
        made_from_rows = any(parent in graph and (graph[parent].sharded or parent in found) for parent in node.parents)
        if (
            not node.sharded
            and not node.refits
            and not node.on_demand
            and name not in (ROOT, *INPUTS)
            and made_from_rows
        ):
            found.append(name)
    return found


def orphans(store: Store) -> list[Path]:
    """Composites and reports that no record names. A run that is killed while it writes leaves such files."""
    named = {path for asset in store.records() for path in files_of(store, asset)}
    found = (path for folder in (COMPOSITES, REPORTS) for path in store.files_below(store.processed / folder))
    return [path for path in found if path not in named]


def models(store: Store, graph: Mapping[str, Node], target: Target) -> dict[str, str]:
    """Model → how it learned from the images; only models that did."""
    embedded = any(
        rows_in(store, name, shard, target.ids)
        for name, shard in shard_tables(store, graph, target.shards)
        if name == "embeddings_clip"
    )
    found: dict[str, str] = {}
    for name, node in graph.items():
        if not node.refits or not (files := files_of(store, name)):
            continue
        contents = [(path.name, path.read_bytes()) for path in files]
        learned = frozenset[str]().union(*(learned_from(*content, target.ids) for content in contents))
        if learned:
            found[name] = f"trained on {len(learned)} of them" if len(target.ids) > 1 else "trained on it"
        elif embedded and not any(remembers_rows(path.name) for path in files):
            found[name] = WHOLE_COLLECTION
    return found


def files_with_rows(store: Store) -> list[Path]:
    """Every file of the models folder that may list training images, including files that no record names."""
    names = sorted(name for name in store.names(store.models) if name.endswith((".json", ".pt", "_oof.parquet")))
    return [store.current(store.models / name) for name in names]


def remembers_rows(name: str) -> bool:
    """Whether files of this type list the images a model was trained on."""
    return name.endswith((".json", ".pt"))


def files_of(store: Store, asset: str) -> list[Path]:
    """The existing files of an asset without shards."""
    if asset in TABLES:
        return [store.path(asset)] if store.path(asset).is_file() else []
    record = store.record(asset)
    return [store.file(asset, name) for name in record.files] if record is not None else []
