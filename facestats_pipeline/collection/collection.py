"""`Collection`: one data folder and all operations on it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.collection.opening import open_pipeline, require_run, settings_for, use_with
from facestats_pipeline.config import Settings
from facestats_pipeline.io.data_folder import DataFolder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from facestats_pipeline.collection.erase import ErasurePreview, Erasures, Watch
    from facestats_pipeline.collection.export import Exported
    from facestats_pipeline.collection.lineage import ImageLineage
    from facestats_pipeline.collection.photo import StoredPhoto
    from facestats_pipeline.collection.pipeline import Pipeline
    from facestats_pipeline.collection.run import RunSummary
    from facestats_pipeline.collection.score import ScoredPhoto, Scorer
    from facestats_pipeline.collection.search import Searcher
    from facestats_pipeline.collection.status import ArtifactState
    from facestats_pipeline.core.composites.composite_specs import CompositeSpec
    from facestats_pipeline.core.composites.groups import GeneratedComposite
    from facestats_pipeline.io.erasure.targets import Target

WATCHED = ("manifest", "preproc", "embeddings_clip", "attributes", "master")
"""Tables whose folders are checked for changes by a run: one for each part of a run."""


class Collection:
    """One data folder with its settings. Cheap to create: models and Dagster are loaded when a method first needs them.

    Every method that fails raises FaceStatsError with the next step. Score and search from one thread at a time, because detectors keep
    state between calls.

    Attributes:
        settings: the merged settings from facestats.yaml, the FACESTATS_* variables and the arguments of `open`.
    """

    def __init__(self, settings: Settings, overrides: Mapping[str, Any] | None = None) -> None:
        self.settings = settings
        self._overrides = dict(overrides or {})
        self._models: tuple[tuple[int, ...], Scorer, Searcher] | None = None

    def __repr__(self) -> str:
        return f"Collection({str(self.settings.data_dir)!r})"

    def close(self) -> None:
        """Close Dagster's connections. The collection can be used again afterwards."""
        if "pipeline" in self.__dict__:
            self.pipeline.instance.dispose()
            del self.__dict__["pipeline"]

    # --- lower layers, for operations without a method here ---------------------------------------------------------------------

    @cached_property
    def folder(self) -> DataFolder:
        """Store, photos and models of the data folder, without Dagster."""
        return DataFolder(self.settings, load_graph=list)

    @cached_property
    def pipeline(self) -> "Pipeline":
        """The Dagster definitions of the data folder and an instance to run them on."""
        return open_pipeline(self.settings)

    # --- make ----------------------------------------------------------------------------------------------------------------------

    def run(
        self,
        *,
        raw: str | Path | None = None,
        encoder: str | None = None,
        labels: str | Path | None = None,
        ratings: str | Path | None = None,
        sources: str | Path | None = None,
        shard_size: int | None = None,
        on_step: Callable[[str], None] = lambda what: None,
        on_wait: Callable[[str], None] = lambda holder: None,
    ) -> "RunSummary":
        """Ingest new photos, then make missing and stale artifacts.

        `raw` (folder of photos), `encoder` and `shard_size` are remembered in the data folder. `labels`, `ratings` and `sources` are CSV
        files that are copied into it. All arguments are checked before any work. `on_step` is called with the name of each step,
        `on_wait` with the holder of the lock if the run has to wait. A failed run raises FaceStatsError with the summary in `done`.
        """
        from facestats_pipeline.collection.run import prepare, require_photos, run

        files = {"raw": raw, "labels": labels, "ratings": ratings, "sources": sources}
        paths = {name: Path(file).expanduser() for name, file in files.items() if file is not None}
        if paths or encoder is not None or shard_size is not None:
            here = self.settings.data_dir
            self._reopen(prepare(here, self._overrides, encoder=encoder, shard_size=shard_size, **paths))
        else:
            require_photos(self.settings)
        summary = run(self.pipeline, on_step=on_step, on_wait=on_wait)
        self.folder.store.refresh()
        if summary.error:
            raise FaceStatsError(summary.error, summary)
        return summary

    def _reopen(self, settings: Settings) -> None:
        self.close()
        self.settings, self._models = settings, None
        self.__dict__.pop("folder", None)

    def status(self, *, on_demand: bool = False) -> "list[ArtifactState]":
        """The status of each artifact, in the order of the graph. Runs and changes nothing."""
        from facestats_pipeline.collection.status import artifact_states

        self._require_run()
        return artifact_states(self.pipeline, on_demand=on_demand)

    def set_aside(self) -> pl.DataFrame:
        """Files of the raw folder that are not live images: filename, status, reason."""
        from facestats_pipeline.collection.status import set_aside

        self._require_run()
        return set_aside(self.folder.store)

    # --- read ----------------------------------------------------------------------------------------------------------------------

    @property
    def master(self) -> pl.LazyFrame:
        """The master table: one row per live image with all its attributes. docs/tables.md lists the columns."""
        return self.table("master")

    @property
    def usable(self) -> pl.LazyFrame:
        """The rows of `master` that satisfy the setting `use`: those that models, composites, search and exports may use."""
        return self.folder.usable_rows(self.master)

    def table(self, name: str) -> pl.LazyFrame:
        """A table by the name of its asset, as a LazyFrame. docs/tables.md lists the tables."""
        from facestats_pipeline.core.table_registry import tables_of

        self._require_run()
        tables, store = tables_of(), self.folder.store
        if name not in tables:
            raise FaceStatsError(f"there is no table {name!r}; there are {', '.join(sorted(tables))}")
        if tables[name].kind == "shards":
            there = bool(store.shards(name))
        elif tables[name].kind == "table":
            there = store.path(name).is_file()
        else:
            there = store.record(name) is not None and store.file(name, tables[name].path).is_file()
        if not there:
            raise FaceStatsError(f"there is no {name} table yet: `facestats run` makes it")
        return pl.scan_parquet(store.file(name, tables[name].path)) if tables[name].kind == "file" else store.scan(name)

    def photo(self, image: str | Path) -> "StoredPhoto":
        """A photo of the collection, by its image id or by its path in the raw folder."""
        from facestats_pipeline.collection.photo import stored_photo

        self._require_run()
        return stored_photo(self.folder, image)

    def lineage(self, image: str | Path) -> "ImageLineage":
        """Every file and row that holds an image, with versions and runs. `image`: an id, a path, or a copy of the photo."""
        from facestats_pipeline.collection.lineage import image_lineage

        self._require_run()
        return image_lineage(self.pipeline, str(image))

    def version(self) -> tuple[int, ...]:
        """A stamp that changes when a run writes something: renaming a file into these folders updates their modification time."""
        store = self.folder.store
        store.refresh()
        watched = [store.path("raw_photos"), store.processed / ".receipts", *map(store.path, WATCHED)]
        return tuple(store.stamp(path) for path in watched)

    # --- score and search ----------------------------------------------------------------------------------------------------------

    @property
    def notes(self) -> list[str]:
        """Warnings for readers of scores, such as an untrained encoder or a missing face model. Loads the encoder."""
        return self._loaded()[0].notes

    def score(self, photo: str | Path | bytes) -> "ScoredPhoto":
        """Attributes and score of a new photo (a file or its bytes), computed as in the pipeline. The photo is not stored.

        The `status` of the result tells when the photo is unreadable or shows no face.
        """
        self._require_run()
        return self._loaded()[0].score(photo if isinstance(photo, bytes) else Path(photo).expanduser())

    def search(self, query: str | Path | bytes, k: int = 10, *, where: Sequence[str] = ()) -> pl.DataFrame:
        """The `k` faces nearest to a text or to the largest face of a picture: rank, cosine, filename, image_id, shard.

        A str that names an existing file is a picture; any other str is a text. `where`: conditions on source, licence and consent,
        for example `licence=CC BY*`.
        """
        from facestats_pipeline.collection.search import is_picture

        self._require_run()
        searcher = self._searcher(where)
        if isinstance(query, str) and not is_picture(query):
            return searcher.by_text(query, k)
        return searcher.by_picture(query if isinstance(query, bytes) else Path(query).expanduser(), k)

    def near(self, vector: "npt.NDArray[np.float32]", k: int = 10, *, where: Sequence[str] = ()) -> pl.DataFrame:
        """The `k` faces nearest to an embedding of shape (d,) from the collection's encoder; same columns as `search`."""
        self._require_run()
        return self._searcher(where).near(vector, k)

    def _searcher(self, where: Sequence[str]) -> "Searcher":
        from facestats_pipeline.collection.search import Searcher

        if not where:
            return self._loaded()[1]
        use = use_with(self.settings, where)
        return Searcher(self._loaded()[1].folder, use)

    def _loaded(self) -> "tuple[Scorer, Searcher]":
        """The scorer and the searcher. They are reloaded when any run has written something since."""
        now = self.version()
        if self._models is None or self._models[0] != now:
            from facestats_pipeline.collection.score import Scorer
            from facestats_pipeline.collection.search import Searcher

            if self._models is not None:  # reload the settings too: the encoder may have changed
                self.__dict__.pop("folder", None)
            self._models = now, Scorer(self.folder), Searcher(self.folder)
        return self._models[1:]

    # --- composites and copies -----------------------------------------------------------------------------------------------------

    def composite(
        self,
        *,
        method: str | None = None,
        strict: bool | None = None,
        weight: str | None = None,
        where: Sequence[str] = (),
        **filters: Any,
    ) -> "GeneratedComposite":
        """The average face of a group: `image` is an RGB picture, `row` has the number of faces and the relaxed filters.

        `filters`: attribute=class (gender, ethnicity, or one of this collection's own), age=(lowest, highest), decile=(lowest, highest);
        none is everyone. `method`, one of mean, aligned and warped, and `strict` (refuse rather than relax) are the settings' by default;
        `weight` is a column of `master` by which faces
        count. Raises FaceStatsError for a group that is refused.
        """
        from facestats_pipeline.core.composites.composite_specs import CompositeSpec, describe_filters

        wanted = self.settings.composites
        try:
            spec = CompositeSpec(
                "composite",
                describe_filters(filters, self.settings.catalogue),
                filters,
                method=method or wanted.method,
                strict=wanted.strict if strict is None else strict,
                floor=wanted.min_n,
                weight=weight,
                catalogue=self.settings.catalogue,
            )
        except (TypeError, ValueError) as problem:
            raise FaceStatsError(str(problem)) from None
        (made,) = self.composites([spec], where=where)
        if made.image is None:
            raise FaceStatsError(f"{made.row['filter']}: {made.row['reason']}")
        return made

    def composites(
        self, specs: "Sequence[CompositeSpec]", *, where: Sequence[str] = (), most: int | None = None
    ) -> "list[GeneratedComposite]":
        """Several composites in one pass over the photos, each of at most `most` photos. A refused one has no image but a reason."""
        from facestats_pipeline.collection.composite import composites_of

        self._require_run()
        return composites_of(self.folder, specs, use=use_with(self.settings, where), most=most)

    def export(
        self,
        layout: str,
        out: str | Path,
        *,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        replace: bool = False,
        where: Sequence[str] = (),
        on_wait: Callable[[str], None] = lambda holder: None,
    ) -> "Exported":
        """Copy pictures and rows into the folder `out`, as huggingface, fiftyone, webdataset or csv; docs/exchange.md describes them.

        `columns` of `master` (default: all that are meaningful outside the data folder); at most `limit` photos. `replace` allows
        replacing an earlier export. `erase` cannot reach the copies, but it names the folder.
        """
        from facestats_pipeline.collection.export import Wanted, export_to

        self._require_run()
        wanted = Wanted(layout, Path(out).expanduser(), tuple(columns) if columns is not None else None, limit, replace)
        return export_to(self.folder, wanted, use=use_with(self.settings, where), on_wait=on_wait)

    # --- people --------------------------------------------------------------------------------------------------------------------

    def label(self, image: str | Path, attribute: str, value: str | None, *, annotator: str) -> None:
        """Add a manual label of one image; None withdraws the annotator's label. It takes effect with the next run."""
        from facestats_pipeline.collection.label import add_label
        from facestats_pipeline.collection.photo import image_id_of
        from facestats_pipeline.core.metadata.manual_label_writer import Label

        self._require_run()
        add_label(self.folder, Label(image_id_of(self.folder, image), attribute, value), annotator)

    def labels(self, annotator: str) -> pl.DataFrame:
        """The current labels of one annotator, without withdrawn ones: image_id, attribute, value."""
        from facestats_pipeline.collection.label import labels_of

        return labels_of(self.folder, annotator)

    def preview_erasure(self, *images: str | Path) -> "ErasurePreview":
        """The places that hold the images and that `erase` would change. Read-only."""
        from facestats_pipeline.collection.erase import preview_erasure

        self._require_run()
        return preview_erasure(self.pipeline, map(str, images))

    def erase(
        self,
        *images: str | Path,
        raw: bool = False,
        remake: bool = True,
        retrain: bool = False,
        confirm: "Callable[[Target], None]" = lambda target: None,
        watch: "Watch" = nullcontext,
    ) -> "Erasures":
        """Erase images and everything derived from them (rows, files, labels, index, composites). Their bytes are refused from then on.

        Args:
            images: image ids, paths in the raw folder, or copies of the photos. An interrupted erasure is completed first.
            raw: also remove the photos from the raw folder.
            remake: make composites, index and reports again now.
            retrain: train again every model that was trained on an erased photo.
            confirm: called with the images found before anything is changed; may raise to cancel.
            watch: a context manager around each long step, to show progress.
        """
        from facestats_pipeline.collection.erase import erase_images

        self._require_run()
        return erase_images(
            self.pipeline, map(str, images), raw=raw, remake=remake, retrain=retrain, confirm=confirm, watch=watch
        )

    def _require_run(self) -> None:
        require_run(self.settings)


def open_collection(data_dir: str | Path | None = None, **settings: Any) -> Collection:
    """Open the collection of a data folder, which holds raw/, labels/ and processed/. The folder need not exist yet.

    Args:
        data_dir: by default $FACESTATS_DATA_DIR, else `data`.
        settings: settings for this process only, such as `shard_size=64`, or `**{"encoder.name": "facestats-mini"}` for nested ones.

    Raises FaceStatsError, which names the setting, for an invalid setting.
    """
    folder = Path(data_dir).expanduser() if data_dir is not None else None
    return Collection(settings_for(folder, **settings), settings)
