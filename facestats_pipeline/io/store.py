"""The store of a data folder: all artifacts are read and written through it.

There are three kinds of artifacts: tables, with their recipe in the Parquet footer; other files, with their recipe in a separate record;
and preprocessed photos. `folders.py` writes the files atomically and copies them to and from a bucket.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.preproc.preproc_table import PICTURED
from facestats_pipeline.io.folders import Folders
from facestats_pipeline.io.layout import INPUTS, JPEG_SHARDS, SHARD_TABLES, TABLES, table_path
from facestats_pipeline.io.mirror import AT_A_TIME, Mirror
from facestats_pipeline.io.parquet_footer import DAMAGED, FOOTER_KEY, local_recipe, remote_recipe
from facestats_pipeline.io.picture_notes import NOTES_FILE, PictureNotes
from facestats_pipeline.io.recipes import Recipe, digest
from facestats_pipeline.io.remote import StorageUnavailable

if TYPE_CHECKING:
    from facestats_pipeline.io.picture_shards import PictureShards

RECORDS = ".receipts"
"""Folder of the records, one `<asset>.json` each."""
ABSENT = "absent"
"""Fingerprint of a missing user file."""
T = TypeVar("T")


def fingerprint_of(recipes: Mapping[str, Recipe | None]) -> str:
    """Digest over the fingerprints of all shards of a table."""
    return digest([(shard, recipe.fingerprint if recipe else None) for shard, recipe in recipes.items()])


@dataclass(frozen=True)
class Record:
    """Recipe, files and facts of an artifact that is not a table."""

    recipe: Recipe
    files: Mapping[str, int]  # path below the base folder → size in bytes
    facts: Mapping[str, object]  # shown in the run's summary


class Store(Folders):
    """Reads and writes the artifacts of one data folder."""

    def __init__(
        self,
        data_dir: Path,
        models_dir: Path,
        *,
        mirrors: Sequence[Mirror] = (),
        pack_pictures: bool = True,
        catalogue: Catalogue = BUILT_IN,
    ) -> None:
        super().__init__(data_dir, models_dir, mirrors=mirrors)
        home = self._mirror(self.processed)
        self.packs = self._packs_of(home) if home and pack_pictures else None
        self._models_of = {*MODEL_ASSETS, *(attribute.trainer for attribute in catalogue)}
        self._notes = PictureNotes(data_dir / NOTES_FILE)
        # Asset → (stamp and size of its file, recipe). A cache, because the root's recipe lists every shard and is slow to parse.
        self._table_recipes: dict[str, tuple[tuple[int, int | None], Recipe | None]] = {}

    def _packs_of(self, home: Mirror) -> "PictureShards":
        from facestats_pipeline.io.picture_shards import PictureShards

        return PictureShards(home, f"processed/{JPEG_SHARDS}", self._read_footer)

    # --- tables -----------------------------------------------------------------------------------------------------------------

    def path(self, asset: str, shard: str | None = None) -> Path:
        """File of a table or of one shard; without `shard`, the folder of a sharded table. Data in a bucket is fetched first."""
        place = self._place(asset, shard)
        return place if shard is None and asset in SHARD_TABLES else self.current(place)

    def _place(self, asset: str, shard: str | None) -> Path:
        base = self.processed / table_path(asset)
        return base if shard is None else base / f"{shard}.parquet"

    def write_table(self, asset: str, shard: str | None, frame: pl.DataFrame, recipe: Recipe) -> Path:
        """Write a table or one shard of it, with the recipe in the Parquet footer; returns the file."""
        target = self._place(asset, shard)
        with self.replacing(target) as temporary:
            frame.write_parquet(temporary, compression="zstd", metadata={FOOTER_KEY: recipe.to_json()})
        return target

    def read_table(self, asset: str, shard: str | None = None, columns: Collection[str] | None = None) -> pl.DataFrame:
        """A table or one shard of it. With `columns`, only these are read, and those that the file lacks are ignored.

        Raises FileNotFoundError, with the command to run, when the table does not exist, and ValueError when the file is damaged.
        """
        path = self._existing(asset, shard)
        try:
            if columns is None:
                return pl.read_parquet(path)
            return pl.read_parquet(path, columns=[name for name in pl.read_parquet_schema(path) if name in columns])
        except DAMAGED as error:
            what = str(error).partition("\n")[0][:200]
            raise ValueError(f"{path} is damaged ({what}); remove it, and `facestats run` makes it again") from None

    def _existing(self, asset: str, shard: str | None) -> Path:
        path = self.path(asset, shard)
        if not path.is_file():
            part = f" of {shard}" if shard else ""
            raise FileNotFoundError(
                f"{asset}{part} has not been made yet: {path} is missing; `facestats run` makes what is missing"
            )
        return path

    def scan(self, asset: str) -> pl.LazyFrame:
        """The whole table as a LazyFrame; without columns when no shard exists yet.

        Raises FileNotFoundError, with the command to run, for a missing table without shards.
        """
        if asset in TABLES:
            return pl.scan_parquet(self._existing(asset, None))
        places = [self._place(asset, shard) for shard in self.shards(asset)]
        mirror = self._mirror(self.processed)
        files = mirror.fetch_all(mirror.name_of(path) for path in places) if mirror else places
        return pl.scan_parquet(files) if files else pl.LazyFrame()

    def shards(self, asset: str) -> list[str]:
        """Names of a table's existing shards, sorted."""
        listed = self.names(self._place(asset, None))
        return sorted(name.removesuffix(".parquet") for name in listed if fnmatchcase(name, "shard-*.parquet"))

    def previous(self, asset: str, shard: str, code_digest: str) -> pl.DataFrame | None:
        """The shard's stored rows if they were made with the same code and settings and may be reused; else None."""
        recipe = self.recipe(asset, shard)
        return self.read_table(asset, shard) if recipe is not None and recipe.code_digest == code_digest else None

    # --- recipes ----------------------------------------------------------------------------------------------------------------

    def recipe(self, asset: str, shard: str | None = None) -> Recipe | None:
        """The recipe of an artifact; None when the artifact is missing or has no readable recipe."""
        if asset in SHARD_TABLES:
            return self._table_recipe(self._place(asset, shard))
        if asset in TABLES:
            place = self._place(asset, None)
            stamp = (self.stamp(place), self.size(place))
            if self._table_recipes.get(asset, (None, None))[0] != stamp:
                self._table_recipes[asset] = stamp, self._table_recipe(place)
            return self._table_recipes[asset][1]
        record = self.record(asset)
        return record.recipe if record is not None else None

    def recipes(self, asset: str, shards: Sequence[str]) -> dict[str, Recipe | None]:
        """Shard → the recipe of its table."""
        if self._mirror(self.processed) is not None:
            return dict(zip(shards, self._each(lambda shard: self.recipe(asset, shard), asset, shards), strict=True))
        folder = str(self._place(asset, None))
        return {shard: self._recipe_by(lambda: local_recipe(f"{folder}/{shard}.parquet")) for shard in shards}  # noqa: B023  called at once

    def _each(self, read: Callable[[str], T], asset: str, shards: Sequence[str]) -> list[T]:
        """`read` of each shard. Reads from a bucket run in parallel, because each takes tens of milliseconds."""
        if not shards or self._mirror(self.processed) is None:
            return [read(shard) for shard in shards]
        self.shards(asset)  # caches the folder's listing before the threads need it
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            return list(pool.map(read, shards))

    def _table_recipe(self, place: Path) -> Recipe | None:
        return self._recipe_by(lambda: self._read_recipe(place))

    @staticmethod
    def _recipe_by(read: Callable[[], str]) -> Recipe | None:
        try:
            return Recipe.from_json(read())
        except StorageUnavailable:  # a network failure must not look like a missing recipe
            raise
        except (OSError, KeyError, ValueError, TypeError):
            return None

    def input_fingerprint(self, asset: str) -> str:
        """16 hexadecimal characters of the SHA-256 of a user file; ABSENT when it does not exist."""
        try:
            return hashlib.sha256(self.input_path(asset).read_bytes()).hexdigest()[:16]
        except FileNotFoundError:
            return ABSENT

    def input_path(self, asset: str) -> Path:
        """Path of a user file."""
        return self.label_file(INPUTS[asset])

    def label_file(self, name: str) -> Path:
        """Path of a file in the labels folder."""
        return self.current(self.labels / name)

    def _read_recipe(self, path: Path) -> str:
        """The recipe in a table's footer. Of an object only the end is read, and the result is cached by ETag."""
        mirror = self._mirror(path)
        if mirror is None:
            return local_recipe(path)
        return self._read_footer(mirror, mirror.name_of(path))

    @staticmethod
    def _read_footer(mirror: Mirror, name: str) -> str:
        entry = mirror.entry(name)
        if entry is None:
            raise FileNotFoundError(name)
        return mirror.noted(name, entry, lambda: remote_recipe(mirror.remote, name, entry.size))

    def collection_fingerprint(self, asset: str) -> str:
        """Digest over the fingerprints of all shards of a table."""
        return fingerprint_of(self.recipes(asset, self.shards(asset)))

    # --- artifacts that are not tables ------------------------------------------------------------------------------------------

    def record(self, asset: str) -> Record | None:
        """The record of an artifact; None when there is none, or when one of its files is missing or has another size."""
        record = self.last_record(asset)
        if record is None:
            return None
        base = self.base(asset)
        return record if all(self.size(base / name) == size for name, size in record.files.items()) else None

    def file(self, asset: str, name: str) -> Path:
        """Path of a file of an artifact that is not a table."""
        return self.current(self.base(asset) / name)

    def last_record(self, asset: str) -> Record | None:
        """The last record written, even if the files no longer match it."""
        try:
            values = json.loads(self.current(self._record_path(asset)).read_text(encoding="utf-8"))
            return Record(Recipe.from_values(values["recipe"]), values["files"], values["facts"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def records(self) -> list[str]:
        """Names of the artifacts that have a record."""
        listed = self.names(self.processed / RECORDS)
        return sorted(name.removesuffix(".json") for name in listed if name.endswith(".json"))

    def write_files(
        self, asset: str, files: Mapping[str, bytes | Path], recipe: Recipe, facts: Mapping[str, object] | None = None
    ) -> Record:
        """Write an artifact's files, then its record. A Path is a temporary file that is moved. Files of the previous record
        that are not written again are removed.
        """
        base = self.base(asset)
        before = self.last_record(asset)  # not `record`: even if one old file is lost, the others are removed below
        self.remove(
            self._record_path(asset)
        )  # first, so that a crash never leaves a record over a mix of old and new files
        for name, content in files.items():
            with self.replacing(base / name) as temporary:
                if isinstance(content, bytes):
                    temporary.write_bytes(content)
                else:
                    content.replace(temporary)
        record = Record(recipe, {name: (base / name).stat().st_size for name in files}, facts or {})
        self._write_record(asset, record)
        for name in set(before.files if before else ()) - set(files):
            self.remove(base / name)
        return record

    def _write_record(self, asset: str, record: Record) -> None:
        values = {"recipe": json.loads(record.recipe.to_json()), "files": record.files, "facts": record.facts}
        with self.replacing(self._record_path(asset)) as temporary:
            temporary.write_text(json.dumps(values, default=str), encoding="utf-8")

    def amend(self, asset: str, facts: Mapping[str, object]) -> None:
        """Add facts to an artifact's record and update the file sizes, after the caller has changed the files in place."""
        record = self.last_record(asset)
        if record is not None:
            sizes = {name: self.file(asset, name).stat().st_size for name in record.files}
            self._write_record(asset, Record(record.recipe, sizes, {**record.facts, **facts}))

    def forget(self, asset: str) -> int:
        """Remove an artifact without shards; returns the number of files removed. The record is removed last."""
        record = None if asset in TABLES else self.last_record(asset)
        names = record.files if record is not None else ()
        paths = [self._place(asset, None)] if asset in TABLES else [self.base(asset) / name for name in names]
        there = [path for path in paths if self.size(path) is not None]
        for path in there:
            self.remove(path)
        self.remove(self._record_path(asset))
        return len(there)

    def base(self, asset: str) -> Path:
        """The folder to which an artifact's file names are relative."""
        return self.models if asset in self._models_of else self.processed

    def _record_path(self, asset: str) -> Path:
        return self.processed / RECORDS / f"{asset}.json"

    # --- preprocessed photos ----------------------------------------------------------------------------------------------------

    def jpeg_path(self, shard: str, image_id: str) -> Path:
        """Path of a preprocessed photo; a packed shard is unpacked first."""
        path = self.processed / JPEG_SHARDS / shard / f"{image_id}.jpg"
        if self.packs is None:
            return self.current(path)
        self.packs.unpack(shard)
        return path

    def write_jpeg(self, shard: str, image_id: str, jpeg: bytes) -> None:
        """Write one preprocessed photo."""
        if self.packs is not None:
            self.packs.begin(shard)
        target = self.processed / JPEG_SHARDS / shard / f"{image_id}.jpg"
        with self.replacing(target, publish=self.packs is None) as temporary:
            temporary.write_bytes(jpeg)

    def keep_jpegs(self, shard: str, image_ids: set[str], recipe: Recipe) -> int:
        """Remove a shard's preprocessed photos that are not in `image_ids`; returns their number.

        Call it after the last `write_jpeg` of a shard: where JPEGs are packed, it uploads the pack with `recipe`.
        """
        folder = self.processed / JPEG_SHARDS / shard
        if self.packs is not None:
            return self.packs.put(shard, image_ids, {FOOTER_KEY: recipe.to_json()})
        gone = [
            name for name in self.names(folder) if name.endswith(".jpg") and name.removesuffix(".jpg") not in image_ids
        ]
        for name in gone:
            self.remove(folder / name)
        return len(gone)

    def forget_table(self, asset: str, shard: str) -> None:
        """Remove one shard of a table."""
        self.remove(self._place(asset, shard))

    def pictures_are_there(self, shard: str) -> bool:
        """Whether a shard's JPEGs are exactly those that its table lists; True when there is no table.

        Only names are compared, and only when the folder or the table has changed since the last comparison. For packed JPEGs, the
        recipes of the pack and the table are compared.
        """
        if self.packs is not None:
            made = self.recipe("preproc", shard)
            return made is None or self.packs.recipe(shard) == made.to_json()
        if self._mirror(self.processed) is not None:
            return self._names_agree(shard)
        folder, table = self.processed / JPEG_SHARDS / shard, self.path("preproc", shard)
        if not table.is_file():
            return True
        return self._notes.agree(shard, table, folder, lambda: self._names_agree(shard))

    def save_picture_notes(self) -> None:
        """Save the results of `pictures_are_there` for the next process."""
        if self._notes.changed:
            notes = self.data_dir / NOTES_FILE
            # A read-only folder keeps no notes: the next process compares everything again.
            with suppress(OSError), self.replacing(notes, publish=False) as temporary:
                self._notes.write(temporary)

    def prefetch_picture_recipes(self, shards: Sequence[str]) -> None:
        """Read the recipes of packed JPEGs in parallel, so that `pictures_are_there` finds them in the cache."""
        if self.packs is not None:
            self._each(self.packs.recipe, "preproc", shards)

    def check_packed(self, shard: str) -> None:
        """Raises RuntimeError when a shard's packed JPEGs and its table come from different runs and must not be used together."""
        if self.packs is not None and not self.pictures_are_there(shard):
            raise RuntimeError(
                f"the preprocessed photos of {shard} do not match its table: another run is replacing them, or was "
                "interrupted; `facestats run` makes them again"
            )

    def _names_agree(self, shard: str) -> bool:
        table = self.path("preproc", shard)
        if not table.is_file():
            return True
        try:
            rows = pl.read_parquet(table, columns=["image_id", "status"])
        except DAMAGED:
            return False
        named = set(rows.filter(pl.col("status").is_in(PICTURED))["image_id"])
        there = self.names(self.processed / JPEG_SHARDS / shard)
        return named == {name.removesuffix(".jpg") for name in there if name.endswith(".jpg")}

    def drop_pictures(self, shards: Iterable[str]) -> None:
        """Remove the local unpacked copies of these shards' JPEGs. Does nothing when the JPEGs are not packed."""
        if self.packs is not None:
            for shard in shards:
                self.packs.drop(shard)


MODEL_ASSETS = ("attractiveness_regressor", "attractiveness_reference", "cluster_model", "mini_encoder")
"""Assets whose files are in the models folder, beside the trainers of the attributes."""
