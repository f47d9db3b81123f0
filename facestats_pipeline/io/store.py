"""The store of a data folder: every byte that the pipeline keeps goes through it.

It keeps three kinds of things: tables, which carry their recipe in the Parquet footer; other files, which have a record beside them; and
preprocessed photos. `folders.py` writes the files whole or not at all, and copies them to and from a bucket.
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
"""Folder of the records: `<asset>.json`."""
ABSENT = "absent"
"""Fingerprint of a user file that is not there."""
T = TypeVar("T")


def fingerprint_of(recipes: Mapping[str, Recipe | None]) -> str:
    """Digest over the fingerprints of all shards of a table."""
    return digest([(shard, recipe.fingerprint if recipe else None) for shard, recipe in recipes.items()])


@dataclass(frozen=True)
class Record:
    """How an artifact that is no table was made, and which files belong to it."""

    recipe: Recipe
    files: Mapping[str, int]  # path below the base folder → bytes
    facts: Mapping[str, object]  # what its summary shows


class Store(Folders):
    """Reads and writes the artifacts of one data folder."""

    def __init__(
        self, data_dir: Path, models_dir: Path, *, mirrors: Sequence[Mirror] = (), pack_pictures: bool = True
    ) -> None:
        super().__init__(data_dir, models_dir, mirrors=mirrors)
        home = self._mirror(self.processed)
        self.packs = self._packs_of(home) if home and pack_pictures else None
        self._notes = PictureNotes(data_dir / NOTES_FILE)
        # Asset → (stamp and size of its file, recipe): the recipe of the root names every shard, and parsing it takes long.
        self._table_recipes: dict[str, tuple[tuple[int, int | None], Recipe | None]] = {}

    def _packs_of(self, home: Mirror) -> "PictureShards":
        from facestats_pipeline.io.picture_shards import PictureShards

        return PictureShards(home, f"processed/{JPEG_SHARDS}", self._read_footer)

    # --- tables -----------------------------------------------------------------------------------------------------------------

    def path(self, asset: str, shard: str | None = None) -> Path:
        """File of a table, or of one shard of it, fetched where the data lie in a bucket; the folder when a table with shards is meant."""
        place = self._place(asset, shard)
        return place if shard is None and asset in SHARD_TABLES else self.current(place)

    def _place(self, asset: str, shard: str | None) -> Path:
        base = self.processed / table_path(asset)
        return base if shard is None else base / f"{shard}.parquet"

    def write_table(self, asset: str, shard: str | None, frame: pl.DataFrame, recipe: Recipe) -> Path:
        """Write a table or one shard of it, with its recipe in the Parquet footer."""
        target = self._place(asset, shard)
        with self.replacing(target) as temporary:
            frame.write_parquet(temporary, compression="zstd", metadata={FOOTER_KEY: recipe.to_json()})
        return target

    def read_table(self, asset: str, shard: str | None = None, columns: Collection[str] | None = None) -> pl.DataFrame:
        """A table or one shard of it, or those of `columns` that it has.

        Raises FileNotFoundError that says what to run, ValueError for a damaged file.
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
        """The whole table, lazily; an empty one without columns when there is no shard yet.

        Raises FileNotFoundError that says what to run, where the table has no shards and is not there.
        """
        if asset in TABLES:
            return pl.scan_parquet(self._existing(asset, None))
        places = [self._place(asset, shard) for shard in self.shards(asset)]
        mirror = self._mirror(self.processed)
        files = mirror.fetch_all(mirror.name_of(path) for path in places) if mirror else places
        return pl.scan_parquet(files) if files else pl.LazyFrame()

    def shards(self, asset: str) -> list[str]:
        """Names of the shards that a table has, in order."""
        listed = self.names(self._place(asset, None))
        return sorted(name.removesuffix(".parquet") for name in listed if fnmatchcase(name, "shard-*.parquet"))

    def previous(self, asset: str, shard: str, code_digest: str) -> pl.DataFrame | None:
        """Rows that an earlier run wrote for this shard with the same code and settings, so that they may be reused; else None."""
        recipe = self.recipe(asset, shard)
        return self.read_table(asset, shard) if recipe is not None and recipe.code_digest == code_digest else None

    # --- recipes ----------------------------------------------------------------------------------------------------------------

    def recipe(self, asset: str, shard: str | None = None) -> Recipe | None:
        """The recipe of an artifact; None when it does not exist or has none."""
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
        """`read` of each shard; several at a time in a bucket, where each answer takes tens of milliseconds."""
        if not shards or self._mirror(self.processed) is None:
            return [read(shard) for shard in shards]
        self.shards(asset)  # lists the folder once
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            return list(pool.map(read, shards))

    def _table_recipe(self, place: Path) -> Recipe | None:
        return self._recipe_by(lambda: self._read_recipe(place))

    @staticmethod
    def _recipe_by(read: Callable[[], str]) -> Recipe | None:
        try:
            return Recipe.from_json(read())
        except StorageUnavailable:  # not to be taken for a table without a recipe
            raise
        except (OSError, KeyError, ValueError, TypeError):
            return None

    def input_fingerprint(self, asset: str) -> str:
        """Digest over the bytes of a user file; ABSENT when there is none."""
        try:
            return hashlib.sha256(self.input_path(asset).read_bytes()).hexdigest()[:16]
        except FileNotFoundError:
            return ABSENT

    def input_path(self, asset: str) -> Path:
        """Path of a user file."""
        return self.label_file(INPUTS[asset])

    def label_file(self, name: str) -> Path:
        """A file of the labels folder."""
        return self.current(self.labels / name)

    def _read_recipe(self, path: Path) -> str:
        """The recipe in a table's footer. Of an object, only the end is read, and once for each content."""
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
        """The record of an artifact; None when it was never made, or when a file of it is missing or of another size."""
        record = self.last_record(asset)
        if record is None:
            return None
        base = self.base(asset)
        return record if all(self.size(base / name) == size for name, size in record.files.items()) else None

    def file(self, asset: str, name: str) -> Path:
        """A file of an artifact that is no table."""
        return self.current(self.base(asset) / name)

    def last_record(self, asset: str) -> Record | None:
        """The record that was written last, even if files that it names are gone or have another size."""
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
        """Write an artifact's files (bytes, or a temporary file to move), then its record; files it no longer has are removed."""
        base = self.base(asset)
        before = self.last_record(asset)  # also when a file is lost: the others are removed below
        self.remove(self._record_path(asset))  # after a crash no record vouches for a mixture of old and new
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
        """Add facts to an artifact's record and note the sizes of its files anew: the caller has changed them."""
        record = self.last_record(asset)
        if record is not None:
            sizes = {name: self.file(asset, name).stat().st_size for name in record.files}
            self._write_record(asset, Record(record.recipe, sizes, {**record.facts, **facts}))

    def forget(self, asset: str) -> int:
        """Remove an artifact without shards, so that it is missing; how many files were removed. Its record goes last."""
        record = None if asset in TABLES else self.last_record(asset)
        names = record.files if record is not None else ()
        paths = [self._place(asset, None)] if asset in TABLES else [self.base(asset) / name for name in names]
        there = [path for path in paths if self.size(path) is not None]
        for path in there:
            self.remove(path)
        self.remove(self._record_path(asset))
        return len(there)

    def base(self, asset: str) -> Path:
        """Folder that an artifact's file names are relative to."""
        return self.models if asset in MODEL_ASSETS else self.processed

    def _record_path(self, asset: str) -> Path:
        return self.processed / RECORDS / f"{asset}.json"

    # --- preprocessed photos ----------------------------------------------------------------------------------------------------

    def jpeg_path(self, shard: str, image_id: str) -> Path:
        """File of a preprocessed photo."""
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
        """Remove the preprocessed photos of a shard that are not in `image_ids`; how many were removed. Ends the writing of JPEGs."""
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
        """Remove one shard of a table, before the JPEGs that it lists are replaced."""
        self.remove(self._place(asset, shard))

    def pictures_are_there(self, shard: str) -> bool:
        """Whether the shard has the JPEG of every row that should have one, and no other; True where there is no table.

        Names alone are compared, and only when the folder or the table has changed since they were last compared. Of JPEGs in one file,
        its recipe is compared with the table's.
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
        """Keep for the next process what `pictures_are_there` found."""
        if self._notes.changed:
            notes = self.data_dir / NOTES_FILE
            # In a folder that may only be read nothing is noted, and everything compared again.
            with suppress(OSError), self.replacing(notes, publish=False) as temporary:
                self._notes.write(temporary)

    def prefetch_picture_recipes(self, shards: Sequence[str]) -> None:
        """Read the recipes of packed JPEGs several at a time, before `pictures_are_there` asks for each."""
        if self.packs is not None:
            self._each(self.packs.recipe, "preproc", shards)

    def check_packed(self, shard: str) -> None:
        """Raises RuntimeError when the packed JPEGs of a shard and its table come from different runs: nothing may be made from both."""
        if self.packs is not None and not self.pictures_are_there(shard):
            raise RuntimeError(
                f"the preprocessed photos of {shard} are not those that its table lists: another run is replacing "
                "them, or ended half way; `facestats run` makes them again"
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
        """Remove the unpacked copies of these shards' JPEGs from this machine; nothing where the JPEGs are not packed."""
        if self.packs is not None:
            for shard in shards:
                self.packs.drop(shard)


MODEL_ASSETS = frozenset(
    {
        "gender_classifier",
        "ethnicity_classifier",
        "age_model",
        "attractiveness_regressor",
        "attractiveness_reference",
        "cluster_model",
        "mini_encoder",
    }
)
"""Artifacts whose files lie in the models folder."""
