"""`Collection`: one data folder, and everything that can be done with it."""

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
"""Tables whose folders change when a run writes something, one for each part of a run."""


class Collection:
    """One data folder with its settings. Cheap to make: models load, and Dagster is imported, when a method first needs them.

    Every method raises FaceStatsError, with the next step, where it cannot do what is asked. Detectors keep state between calls, so one
    thread at a time scores and searches.

    Attributes:
        settings: as facestats.yaml, the FACESTATS_* variables and the arguments of `open` have them.
    """

    def __init__(self, settings: Settings, overrides: Mapping[str, Any] | None = None) -> None:
        self.settings = settings
        self._overrides = dict(overrides or {})
        self._models: tuple[tuple[int, ...], Scorer, Searcher] | None = None

    def __repr__(self) -> str:
        return f"Collection({str(self.settings.data_dir)!r})"

    def close(self) -> None:
        """Close what Dagster has open. The collection can be used again afterwards."""
        if "pipeline" in self.__dict__:
            self.pipeline.instance.dispose()
            del self.__dict__["pipeline"]

    # --- layers below, for what has no method here ------------------------------------------------------------------------------

    @cached_property
    def folder(self) -> DataFolder:
        """Store, photos and models of the data folder, without Dagster."""
        return DataFolder(self.settings, load_graph=list)

    @cached_property
    def pipeline(self) -> "Pipeline":
        """The Dagster definitions of the data folder, with an instance to run them on."""
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
        """Take in new photos, then make whatever is missing or stale.

        `raw` (folder of photos), `encoder` and `shard_size` are remembered in the data folder; `labels`, `ratings` and `sources` are CSV
        files that are copied into it. All are checked before any work. `on_step` is told what is made now, `on_wait` who else works in
        the folder. A run that fails raises FaceStatsError with the summary as `done`.
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
        """How far each artifact is, in the order of the graph. Nothing is run or changed."""
        from facestats_pipeline.collection.status import artifact_states

        self._require_run()
        return artifact_states(self.pipeline, on_demand=on_demand)

    def set_aside(self) -> pl.DataFrame:
        """filename, status, reason: every file of the raw folder that is no live image."""
        from facestats_pipeline.collection.status import set_aside

        self._require_run()
        return set_aside(self.folder.store)

    # --- read ----------------------------------------------------------------------------------------------------------------------

    @property
    def master(self) -> pl.LazyFrame:
        """One row per live image with everything that is known of it; docs/tables.md has the columns."""
        return self.table("master")

    @property
    def usable(self) -> pl.LazyFrame:
        """The rows of `master` that the setting `use` lets through: what models, composites, search and exports see."""
        return self.folder.usable_rows(self.master)

    def table(self, name: str) -> pl.LazyFrame:
        """A table by the name of its asset, lazily; docs/tables.md lists them."""
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
        """A photo of the collection, by its image id or its path in the raw folder."""
        from facestats_pipeline.collection.photo import stored_photo

        self._require_run()
        return stored_photo(self.folder, image)

    def lineage(self, image: str | Path) -> "ImageLineage":
        """Everything that holds an image (an id, a path, or a copy of the photo), with versions and runs."""
        from facestats_pipeline.collection.lineage import image_lineage

        self._require_run()
        return image_lineage(self.pipeline, str(image))

    def version(self) -> tuple[int, ...]:
        """Changes whenever a run writes something: files are renamed into these folders, which sets their time."""
        store = self.folder.store
        store.refresh()
        watched = [store.path("raw_photos"), store.processed / ".receipts", *map(store.path, WATCHED)]
        return tuple(store.stamp(path) for path in watched)

    # --- look at new photos, and for photos ----------------------------------------------------------------------------------------

    @property
    def notes(self) -> list[str]:
        """What a reader of scores should know: no face model, an untrained encoder. Loads the encoder."""
        return self._loaded()[0].notes

    def score(self, photo: str | Path | bytes) -> "ScoredPhoto":
        """Attributes and score of a photo that is not in the collection (a file, or its bytes), as the pipeline does; nothing is kept.

        A photo that cannot be read or shows no face has a `status` that says so.
        """
        self._require_run()
        return self._loaded()[0].score(photo if isinstance(photo, bytes) else Path(photo).expanduser())

    def search(self, query: str | Path | bytes, k: int = 10, *, where: Sequence[str] = ()) -> pl.DataFrame:
        """The `k` faces nearest to a text, or to the largest face of a picture: rank, cosine, filename, image_id, shard.

        A str is a picture where it names a file, else a text. `where`: conditions on source, licence and consent, `licence=CC BY*`.
        """
        from facestats_pipeline.collection.search import is_picture

        self._require_run()
        searcher = self._searcher(where)
        if isinstance(query, str) and not is_picture(query):
            return searcher.by_text(query, k)
        return searcher.by_picture(query if isinstance(query, bytes) else Path(query).expanduser(), k)

    def near(self, vector: "npt.NDArray[np.float32]", k: int = 10, *, where: Sequence[str] = ()) -> pl.DataFrame:
        """The `k` faces nearest to an embedding (d,) of the collection's encoder; columns as of `search`."""
        self._require_run()
        return self._searcher(where).near(vector, k)

    def _searcher(self, where: Sequence[str]) -> "Searcher":
        from facestats_pipeline.collection.search import Searcher

        if not where:
            return self._loaded()[1]
        use = use_with(self.settings, where)
        return Searcher(self._loaded()[1].folder, use)

    def _loaded(self) -> "tuple[Scorer, Searcher]":
        """What scores and what searches; made anew when a run, here or elsewhere, has written something since."""
        now = self.version()
        if self._models is None or self._models[0] != now:
            from facestats_pipeline.collection.score import Scorer
            from facestats_pipeline.collection.search import Searcher

            if self._models is not None:  # the encoder may be another one as well
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
        """The average face of a group; its `image` is an RGB picture, its `row` says how many faces and which filters were relaxed.

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
        """Several composites in one pass over the photos, of at most `most` of them each. One that is refused has no image and a reason."""
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
        """Copy pictures and rows into the folder `out`: huggingface, fiftyone, webdataset or csv. docs/exchange.md says what is in each.

        `columns` of `master` (default: all that mean something elsewhere), at most `limit` photos; `replace` puts it in the place of an
        earlier export. The copies are beyond the reach of `erase`, which names the folder.
        """
        from facestats_pipeline.collection.export import Wanted, export_to

        self._require_run()
        wanted = Wanted(layout, Path(out).expanduser(), tuple(columns) if columns is not None else None, limit, replace)
        return export_to(self.folder, wanted, use=use_with(self.settings, where), on_wait=on_wait)

    # --- people --------------------------------------------------------------------------------------------------------------------

    def label(self, image: str | Path, attribute: str, value: str | None, *, annotator: str) -> None:
        """Add a label of one image; None withdraws what the same annotator said. It counts after the next run."""
        from facestats_pipeline.collection.label import add_label
        from facestats_pipeline.collection.photo import image_id_of
        from facestats_pipeline.core.metadata.manual_label_writer import Label

        self._require_run()
        add_label(self.folder, Label(image_id_of(self.folder, image), attribute, value), annotator)

    def labels(self, annotator: str) -> pl.DataFrame:
        """image_id, attribute, value: what one annotator says now, withdrawn labels left out."""
        from facestats_pipeline.collection.label import labels_of

        return labels_of(self.folder, annotator)

    def preview_erasure(self, *images: str | Path) -> "ErasurePreview":
        """What `erase` would take out: everything that holds the images. Nothing is changed."""
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
        """Erase images for good: rows, files, labels, index entries, their part in composites. Their bytes are never taken in again.

        Args:
            images: image ids, paths in the raw folder, or copies of the photos. An erasure that was interrupted is completed first.
            raw: also remove the photos themselves from the raw folder.
            remake: make composites, index and reports again at once.
            retrain: train again every model that learned from an erased photo.
            confirm: is called with what was found before anything is changed, and may raise to stop.
            watch: a context around each long step, to show its progress in.
        """
        from facestats_pipeline.collection.erase import erase_images

        self._require_run()
        return erase_images(
            self.pipeline, map(str, images), raw=raw, remake=remake, retrain=retrain, confirm=confirm, watch=watch
        )

    def _require_run(self) -> None:
        require_run(self.settings)


def open_collection(data_dir: str | Path | None = None, **settings: Any) -> Collection:
    """The collection of a data folder, which holds raw/, labels/ and processed/; it need not exist yet.

    Args:
        data_dir: by default $FACESTATS_DATA_DIR, else `data`.
        settings: settings for this process alone, `shard_size=64`; those with a dot as `**{"encoder.name": "facestats-mini"}`.

    Raises FaceStatsError for a setting that is wrong, naming it.
    """
    folder = Path(data_dir).expanduser() if data_dir is not None else None
    return Collection(settings_for(folder, **settings), settings)
