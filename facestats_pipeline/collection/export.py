"""Exporting photos: takes the lock of the data folder, then writes the folder."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import polars as pl

from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.core.export.card import export_card
from facestats_pipeline.core.export.given_labels import given_labels
from facestats_pipeline.core.export.layouts import LAYOUTS
from facestats_pipeline.core.export.photos import ExportRefused, export_schema, photos_of
from facestats_pipeline.core.preproc.preproc_table import PICTURED
from facestats_pipeline.core.progress import track
from facestats_pipeline.core.user_files.text_table import LabelsError
from facestats_pipeline.io.card_inputs import LABELS, label_input, weight_inputs
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.erasure.ledger import Ledger
from facestats_pipeline.io.exports import MARKER, ExportFolderTaken, check_folder, new_export
from facestats_pipeline.io.locations import open_locks
from facestats_pipeline.io.user_files import ratings_of


@dataclass(frozen=True)
class Wanted:
    """A requested export: name in LAYOUTS, folder, columns of master (None: all), most photos, and whether to replace an earlier export."""

    layout: str
    folder: Path
    columns: tuple[str, ...] | None = None
    limit: int | None = None
    replace: bool = False


@dataclass(frozen=True)
class Exported:
    """A finished export.

    Attributes:
        out: the folder, absolute.
        layout: a name in LAYOUTS.
        photos: number of photos.
        columns: columns of its rows.
        left_out: reason (withheld, no_picture, limit) → number of photos left out.
        files, bytes: size of the folder.
        seconds: duration.
    """

    out: str
    layout: str
    photos: int
    columns: list[str]
    left_out: dict[str, int]
    files: int
    bytes: int
    seconds: float


def export_to(
    folder: DataFolder, wanted: Wanted, *, use: Sequence[str], on_wait: Callable[[str], None] = lambda holder: None
) -> Exported:
    """Export the photos of a data folder that satisfy `use`.

    It locks the whole data folder, so that an image that is being erased cannot get into the copies. Raises FaceStatsError, with the
    next step, if the folder is taken, there is nothing to export, a picture is missing, or the disk is full.
    """
    started, settings = time.monotonic(), folder.settings
    check_layout(wanted.layout)
    try:
        check_folder(wanted.folder.absolute(), settings.data_dir, settings.raw, replace=wanted.replace)
        with open_locks(settings).hold(what="facestats export", on_wait=on_wait):
            return _export(folder, wanted, tuple(use), started)
    except (ExportFolderTaken, ExportRefused, LabelsError) as refusal:
        raise FaceStatsError(str(refusal)) from None
    except FileNotFoundError as gone:
        raise FaceStatsError(
            f"{gone.filename} is missing, so nothing was exported: `facestats run` makes it again"
        ) from None
    except OSError as error:
        raise FaceStatsError(
            f"cannot write to {wanted.folder}: {error.strerror or error}; nothing was exported"
        ) from None


def _export(folder: DataFolder, wanted: Wanted, use: tuple[str, ...], started: float) -> Exported:
    store, settings = folder.store, folder.settings
    if Ledger(settings.data_dir).journal() is not None:
        raise FaceStatsError("an erasure was interrupted: `facestats erase` completes it, then export")
    master = store.scan("master")
    if not store.shards("master"):
        raise FaceStatsError("there is no master table yet: `facestats run` makes it")
    given = _given(folder)
    schema = export_schema(pl.Schema({**master.collect_schema(), **given.drop("filename").schema}), wanted.columns)
    chosen, left_out = _chosen(folder, master, use, wanted.limit)
    if chosen.is_empty():
        raise FaceStatsError(
            f"no photo to export: {left_out['withheld']} are withheld by {', '.join(use) or 'nothing'}"
        )
    made_at = datetime.now(UTC).strftime("%Y-%m-%d")
    collection = store.collection_fingerprint("master")
    layout = LAYOUTS[wanted.layout]
    where = (settings.data_dir, settings.raw, wanted.folder)
    with new_export(*where, wanted.layout, collection=collection, replace=wanted.replace) as writing:
        photos = photos_of(
            _shards(folder, chosen, given),
            schema,
            lambda shard, image_id: store.jpeg_path(shard, image_id).read_bytes(),
            settings.preproc.size,
        )
        writing.photos = layout.write(track(photos, "Exporting", chosen.height), schema, writing.folder)
        _write_texts(folder, writing.folder, wanted, chosen, list(schema), made_at, use)
        files = [path for path in writing.folder.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
    return Exported(
        out=str(wanted.folder.absolute()),
        layout=wanted.layout,
        photos=writing.photos,
        columns=list(schema),
        left_out=left_out,
        files=len(files),
        bytes=size,
        seconds=round(time.monotonic() - started, 1),
    )


def check_layout(layout: str) -> None:
    """Raises FaceStatsError for an unknown layout."""
    if layout not in LAYOUTS:
        raise FaceStatsError(f"there is no layout {layout!r}; choose one of {', '.join(LAYOUTS)}")


def _chosen(
    folder: DataFolder, master: pl.LazyFrame, use: Sequence[str], limit: int | None
) -> tuple[pl.DataFrame, dict[str, int]]:
    """The photos to export (image_id, shard) in order of arrival, and the number left out by reason."""
    live = master.select("image_id", "shard", "preproc_status", "source", "licence", "consent").collect()
    usable = folder.usable_rows(live.lazy(), use).collect()
    pictured = usable.filter(pl.col("preproc_status").is_in(PICTURED))
    erased = Ledger(folder.settings.data_dir).erased()
    there = pictured.filter([image_id not in erased for image_id in pictured["image_id"]])
    chosen = there.head(limit) if limit is not None else there
    left_out = {
        "withheld": live.height - usable.height,
        "no_picture": usable.height - pictured.height,
        "limit": there.height - chosen.height,
    }
    return chosen.select("image_id", "shard"), left_out


def _given(folder: DataFolder) -> pl.DataFrame:
    names = folder.live_filenames
    labels = folder.labels(names)
    ratings = ratings_of(folder.store)
    return given_labels(
        labels.frame if labels else None, ratings.frame if ratings else None, names, folder.settings.catalogue
    )


def _shards(folder: DataFolder, chosen: pl.DataFrame, given: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The rows to export, shard by shard: master with the human labels and `face_box`."""
    for (shard,), ids in chosen.group_by("shard", maintain_order=True):
        rows = folder.store.read_table("master", str(shard)).join(ids, on="image_id", how="semi")
        boxes = folder.store.read_table("preproc", str(shard), {"image_id", "face_box"})
        rows = rows.join(boxes, on="image_id", how="left", maintain_order="left")
        yield rows.join(given, on="filename", how="left", maintain_order="left")


def _write_texts(
    folder: DataFolder,
    out: Path,
    wanted: Wanted,
    chosen: pl.DataFrame,
    columns: list[str],
    made_at: str,
    use: Sequence[str],
) -> None:
    store, settings, ids = folder.store, folder.settings, chosen.lazy().select("image_id")
    labels = [each for asset in LABELS for each in label_input(store, folder.sources, asset)]
    card = export_card(
        store.scan("manifest").filter(pl.col("status") == "ok").join(ids, on="image_id", how="semi"),
        store.scan("master").join(ids, on="image_id", how="semi"),
        name=wanted.folder.absolute().name,
        made_at=made_at,
        reading=LAYOUTS[wanted.layout].how_to_read(wanted.folder.absolute().name, chosen.height),
        columns=columns,
        inputs=[*labels, *weight_inputs(settings)],
        catalogue=settings.catalogue,
    )
    (out / "README.md").write_text(card, encoding="utf-8")
    facts = {
        "layout": wanted.layout,
        "photos": chosen.height,
        "made_at": made_at,
        "facestats": version("facestats-pipeline"),
        "collection": store.collection_fingerprint("master"),
        "use": list(use),
        "limit": wanted.limit,
    }
    (out / MARKER).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
