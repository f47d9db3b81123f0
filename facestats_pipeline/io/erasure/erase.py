"""Erases images from a data folder in idempotent steps, so that running it again after a crash completes it.

- Tables lose the rows of the images. The recipe of a filtered table then refers to its filtered parents: a current table stays current,
  a stale one stays stale, and nothing is recomputed.
- Artifacts made from many images are removed; the planner makes them again.
- Models lose the images' rows and predictions. They keep their weights, with a mark, until they are trained again.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from facestats_pipeline.core.erasure.erased_ids import ErasedIds
from facestats_pipeline.core.erasure.label_files import Erasing, without_rows
from facestats_pipeline.core.erasure.log_text import scrubber
from facestats_pipeline.core.erasure.model_files import without_images
from facestats_pipeline.core.erasure.tombstones import with_tombstones
from facestats_pipeline.core.metadata.manual_label_writer import writing
from facestats_pipeline.core.preproc.preproc_table import PICTURED
from facestats_pipeline.core.progress import track
from facestats_pipeline.io.erasure import places
from facestats_pipeline.io.erasure.dagster_logs import scrub_logs
from facestats_pipeline.io.erasure.ledger import Journal, Ledger
from facestats_pipeline.io.erasure.targets import Target
from facestats_pipeline.io.freshness import PREPROC, ROOT, Freshness, inventory_inputs
from facestats_pipeline.io.recipes import Recipe
from facestats_pipeline.io.store import Store

ERASING = ".erasing"
LEARNED_FROM_ERASED = "learned_from_erased"
"""Fact in a model's record: digests of erased images that its weights were trained on. Training again writes a record without it."""


@dataclass(frozen=True)
class Eraser:
    """Erases images in one data folder. The caller holds the lock of the whole folder."""

    freshness: Freshness
    raw: Path
    dagster_home: Path

    @property
    def ledger(self) -> Ledger:
        """The ledger of erasures of the data folder."""
        return Ledger.of(self.freshness.store)

    def begin(self, target: Target, *, raw: bool) -> Journal:
        """Write the journal of an erasure before anything is changed."""
        store, graph = self.freshness.store, self.freshness.graph
        self.ledger.open()
        journal = Journal(
            ids=sorted(target.ids),
            rows=list(target.rows.select("filename", "image_id").iter_rows()),
            filenames=sorted(target.filenames),
            shards=target.shards,
            raw=raw,
            before=self._fingerprints(target.shards),
            fitted_on=self.freshness.fitted_on(),
            models=places.models(store, graph, target),
            remake=[name for name in places.aggregates(graph) if store.recipe(name) is not None],
        )
        self.ledger.save(journal)
        return journal

    def carry_out(self, journal: Journal) -> None:
        """Erase the images from every table, file, index and label of the data folder: everything but the logs."""
        erased = self.ledger.add(journal.ids)
        steps: list[Callable[[Journal, ErasedIds], None]] = [
            self._photos, self._labels, self._inventory, self._tables, self._pictures, self._aggregates, self._models,
        ]  # fmt: skip
        for step in track(steps, "Erasing"):
            step(journal, erased)
            self.ledger.save(journal)

    def clean_logs(self, journal: Journal) -> None:
        """Erase ids and names from Dagster's storage. Call it last, because making artifacts again writes logs. Raises LogsBusy."""
        found = (
            scrub_logs(self.dagster_home, scrubber(journal.ids, journal.filenames)) if self.dagster_home.is_dir() else 0
        )
        journal.count("texts in Dagster's logs", found)
        self.ledger.save(journal)

    def _fingerprints(self, shards: list[str]) -> dict[str, str]:
        """`asset/shard` → fingerprint of every table of the shards, as recorded in the recipes of downstream tables."""
        store = self.freshness.store
        root = store.recipe(ROOT)
        found = {f"{ROOT}/{shard}": root.inputs.get(shard, "none") for shard in shards} if root is not None else {}
        for name, shard in places.shard_tables(store, self.freshness.graph, shards):
            if (recipe := store.recipe(name, shard)) is not None:
                found[f"{name}/{shard}"] = recipe.fingerprint
        return found

    # --- steps: each is idempotent, because after a crash all of them run again ------------------------------------------------------

    def _photos(self, journal: Journal, erased: ErasedIds) -> None:
        for path in places.photos(self.raw, journal.rows) if journal.raw else ():
            path.unlink(missing_ok=True)
            journal.count("raw photos", 1)

    def _labels(self, journal: Journal, erased: ErasedIds) -> None:
        names = {*places.collection_names(self.freshness.store), *journal.filenames}
        erasing = Erasing(frozenset(journal.ids), frozenset(journal.filenames), tuple(sorted(names)))
        for path in (path.resolve() for path in places.label_files(self.freshness.store)):
            if path.name.endswith(ERASING):  # temporary file of an interrupted erasure
                path.unlink()
            elif without_rows(path.read_bytes(), erasing)[1]:
                with writing(path):  # locked, because someone may be labelling in the dashboard
                    journal.count(f"rows of labels/{path.name}", _rewrite(path, erasing))
                if path.exists():
                    self.freshness.store.publish(path)
                else:
                    self.freshness.store.remove(path)

    def _inventory(self, journal: Journal, erased: ErasedIds) -> None:
        store = self.freshness.store
        before = store.read_table(ROOT)
        after = with_tombstones(before, journal.rows, erased)
        recipe = store.recipe(ROOT)
        if recipe is not None and not after.equals(before):
            now = inventory_inputs(after)
            inputs = {**recipe.inputs, **{shard: now[shard] for shard in journal.shards}}
            store.write_table(ROOT, None, after, replace(recipe, inputs=inputs))
            journal.count("rows of inventory.parquet made anonymous", len(journal.rows))

    def _tables(self, journal: Journal, erased: ErasedIds) -> None:
        store = self.freshness.store
        for name, shard in places.shard_tables(store, self.freshness.graph, journal.shards):
            before = store.read_table(name, shard)
            if name == "manifest":
                after = with_tombstones(before, journal.rows, erased)
            else:
                after = before.filter(~pl.col("image_id").is_in(journal.ids))
            recipe = store.recipe(name, shard)
            if recipe is None:  # foreign or damaged: made again rather than repaired
                store.forget_table(name, shard)
                continue
            rebased = self._rebased(recipe, shard, journal)
            kept = before["filename"].is_in(after["filename"].implode()).sum()
            changed = before.height - int(kept)
            if changed or rebased != recipe:
                store.write_table(name, shard, after, rebased)
            where = store.path(name).relative_to(store.processed)
            journal.count(f"rows of {where}", changed)

    def _rebased(self, recipe: Recipe, shard: str, journal: Journal) -> Recipe:
        """The recipe with the current fingerprints of those parents that it was up to date with before the erasure."""
        root = self.freshness.store.recipe(ROOT)

        def now(parent: str) -> str | None:
            if parent == ROOT:
                return root.inputs.get(shard) if root is not None else None
            made = self.freshness.store.recipe(parent, shard)
            return made.fingerprint if made is not None else None

        inputs = {
            parent: (now(parent) or known) if journal.before.get(f"{parent}/{shard}") == known else known
            for parent, known in recipe.inputs.items()
        }
        return replace(recipe, inputs=inputs)

    def _pictures(self, journal: Journal, erased: ErasedIds) -> None:
        store, ids = self.freshness.store, frozenset(journal.ids)
        for shard in journal.shards:
            if (recipe := store.recipe(PREPROC, shard)) is not None:
                rows = store.read_table(PREPROC, shard, ["image_id", "status"])
                left = set(rows.filter(pl.col("status").is_in(PICTURED))["image_id"])
                journal.count("preprocessed photos", store.keep_jpegs(shard, left, recipe))
        for _, path in places.pictures(store, ids, journal.shards):  # in shards whose table is damaged or missing
            store.remove(path)
            journal.count("preprocessed photos", 1)
        for path in places.named_after(store.data_dir, ids, but_not=self.raw):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            journal.count("cached files", 1)
        store.clear_temporary()  # partial files of killed runs

    def _aggregates(self, journal: Journal, erased: ErasedIds) -> None:
        for name in places.aggregates(self.freshness.graph):
            journal.count("files made from many images", self.freshness.store.forget(name))
        for path in places.orphans(self.freshness.store):
            self.freshness.store.remove(path)
            journal.count("files made from many images", 1)

    def _models(self, journal: Journal, erased: ErasedIds) -> None:
        store, ids = self.freshness.store, frozenset(journal.ids)
        for name, node in self.freshness.graph.items():
            if not node.refits or name in journal.models:
                continue
            if (record := store.record(name)) is None:
                store.forget(name)  # never made, or incomplete, in which case it is trained again
            elif record.recipe.skipped and dict(record.recipe.fitted_on) == journal.fitted_on:
                # With fewer photos it still cannot be fitted, so the reason for skipping stays current.
                store.write_files(name, {}, replace(record.recipe, fitted_on=self.freshness.fitted_on()), record.facts)
        for path in places.files_with_rows(store):
            before = path.read_bytes()
            if (after := without_images(path.name, before, ids)) is not before:
                with store.replacing(path) as temporary:
                    temporary.write_bytes(after)
        digests = {erased.digest(image_id) for image_id in ids}
        for name in journal.models:
            store.amend(name, {LEARNED_FROM_ERASED: sorted(digests | marks_of(store, name))})


def _rewrite(path: Path, erasing: Erasing) -> int:
    """Remove the images' rows from a label file, and the file itself when no row is left; returns the number of rows."""
    content, n = without_rows(path.read_bytes(), erasing)
    if content is None:
        path.unlink()
    else:
        temporary = path.with_name(f".{path.name}{ERASING}")  # in the same folder: labels may be on another file system
        temporary.write_bytes(content)
        temporary.replace(path)
    return n


def marks_of(store: Store, model: str) -> frozenset[str]:
    """Digests of the erased images that a model's weights were trained on."""
    record = store.last_record(model)
    listed = record.facts.get(LEARNED_FROM_ERASED, ()) if record is not None else ()
    return frozenset(listed) if isinstance(listed, list) else frozenset()


def marked_models(freshness: Freshness) -> dict[str, int]:
    """Model → number of erased images its weights were trained on; only models that have any."""
    counts = {name: len(marks_of(freshness.store, name)) for name, node in freshness.graph.items() if node.refits}
    return {name: count for name, count in counts.items() if count}
