"""The storage module: every byte the pipeline keeps goes through here.

A file appears under its final name complete or not at all: it is written into a temporary folder of the same file system and renamed.
The temporary folder lies beside the datasets, never inside one, where readers would take its files for shards. What a killed process
leaves in it is removed by the next run that has the data folder to itself.

Where the data lie under a URI, the folder holds copies (see `mirror.py`): paths that are given out are of current copies; what is written
is put when it is whole.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

import polars as pl
import pyarrow.parquet as pq

from facestats_pipeline.core.preproc.faces import PICTURED
from facestats_pipeline.io.layout import INPUTS, JPEG_SHARDS, SHARD_TABLES, TABLES, table_path
from facestats_pipeline.io.mirror import Mirror
from facestats_pipeline.io.parquet_footer import FOOTER_KEY, footer_recipe, remote_footer
from facestats_pipeline.io.picture_shards import PictureShards
from facestats_pipeline.io.recipes import Recipe, digest
from facestats_pipeline.io.remote import StorageUnavailable

TEMPORARY, RECEIPTS = ".tmp", ".receipts"
DAMAGED = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What Polars raises on a damaged Parquet file; the second is no Exception."""
ABSENT = "absent"


@dataclass(frozen=True)
class Receipt:
    """What an artifact that is not a table consists of."""

    recipe: Recipe
    files: Mapping[str, int]  # path below the base folder → bytes
    facts: Mapping[str, object]  # what its summary shows


class Store:
    """Reads and writes the artifacts of one data folder."""

    def __init__(
        self, data_dir: Path, models_dir: Path, *, mirrors: Sequence[Mirror] = (), pack_pictures: bool = True
    ) -> None:
        self.data_dir = data_dir
        self.processed = data_dir / "processed"
        self.labels = data_dir / "labels"
        self.models = models_dir
        self._mirrors = tuple(mirrors)
        home = self._mirror(self.processed)
        self.packs = (
            PictureShards(home, f"processed/{JPEG_SHARDS}", self._read_footer) if home and pack_pictures else None
        )
        self._made: set[Path] = set()
        self._pictures: dict[str, tuple[tuple[int, int], bool]] = {}

    # --- tables -----------------------------------------------------------------------------------------------------------------

    def path(self, asset: str, shard: str | None = None) -> Path:
        """File of a table, or of one shard of it; the directory when `shard` is None and the table has shards."""
        place = self._place(asset, shard)
        return place if shard is None and asset in SHARD_TABLES else self.current(place)

    def _place(self, asset: str, shard: str | None) -> Path:
        base = self.processed / table_path(asset)
        return base if shard is None else base / f"{shard}.parquet"

    def refresh(self) -> None:
        """From now on, see what other machines have written since."""
        for mirror in self._mirrors:
            mirror.refresh()

    def current(self, path: Path) -> Path:
        """A file of the data or models folder, fetched where its copy is not current."""
        mirror = self._mirror(path)
        return path if mirror is None else mirror.fetch(mirror.name_of(path))

    def publish(self, path: Path) -> None:
        """Let others see a file that was written in place. What goes through this class is published by it."""
        mirror = self._mirror(path)
        if mirror is not None:
            mirror.put(path)

    def remove(self, path: Path) -> None:
        """Remove a file, where there is one."""
        mirror = self._mirror(path)
        if mirror is None:
            path.unlink(missing_ok=True)
        else:
            mirror.remove([mirror.name_of(path)])

    def names(self, folder: Path) -> set[str]:
        """Names of the files in a folder, without those below it."""
        mirror = self._mirror(folder)
        if mirror is not None:
            return set(mirror.listing(mirror.name_of(folder)))
        if not folder.is_dir():
            return set()
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}

    def size(self, path: Path) -> int | None:
        """Bytes of a file; None where there is none."""
        mirror = self._mirror(path)
        if mirror is not None:
            entry = mirror.entry(mirror.name_of(path))
            return entry.size if entry is not None else None
        return path.stat().st_size if path.is_file() else None

    def files_below(self, folder: Path) -> list[Path]:
        """Every file in a folder and below it, each current."""
        mirror = self._mirror(folder)
        if mirror is not None:
            name = mirror.name_of(folder)
            return mirror.fetch_all(f"{name}/{below}" for below, _ in mirror.remote.walk(name))
        return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []

    def stamp(self, path: Path) -> int:
        """Changes when a file, or a file in a folder, is written; 0 where there is nothing."""
        mirror = self._mirror(path)
        if mirror is None:
            return path.stat().st_mtime_ns if path.exists() else 0
        name = mirror.name_of(path)
        entries = {name: entry} if (entry := mirror.entry(name)) else mirror.listing(name)
        return int(digest(sorted((each, entry.etag) for each, entry in entries.items())), 16) if entries else 0

    def _mirror(self, path: Path) -> Mirror | None:
        return next((mirror for mirror in self._mirrors if path.is_relative_to(mirror.folder)), None)

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
        path = self.path(asset, shard)
        if not path.is_file():
            part = f" of {shard}" if shard else ""
            raise FileNotFoundError(
                f"{asset}{part} has not been made yet: {path} is missing; `facestats run` makes what is missing"
            )
        try:
            if columns is None:
                return pl.read_parquet(path)
            return pl.read_parquet(path, columns=[name for name in pl.read_parquet_schema(path) if name in columns])
        except DAMAGED as error:
            what = str(error).partition("\n")[0][:200]
            raise ValueError(f"{path} is damaged ({what}); remove it, and `facestats run` makes it again") from None

    def scan(self, asset: str) -> pl.LazyFrame:
        """The whole table, lazily; an empty one without columns when there is no shard yet."""
        if asset in TABLES:
            return pl.scan_parquet(self.path(asset))
        places = [self._place(asset, shard) for shard in self.shards(asset)]
        mirror = self._mirror(self.processed)
        files = mirror.fetch_all(mirror.name_of(path) for path in places) if mirror else places
        return pl.scan_parquet(files) if files else pl.LazyFrame()

    def shards(self, asset: str) -> list[str]:
        """Names of the shards that a table has, in order."""
        listed = (PurePath(name) for name in self.names(self._place(asset, None)))
        return sorted(path.stem for path in listed if path.match("shard-*.parquet"))

    def previous(self, asset: str, shard: str, family: str) -> pl.DataFrame | None:
        """What an earlier run wrote for this shard, if it was made by the same code and settings: its rows may be reused."""
        recipe = self.recipe(asset, shard)
        return self.read_table(asset, shard) if recipe is not None and recipe.family == family else None

    # --- recipes ----------------------------------------------------------------------------------------------------------------

    def recipe(self, asset: str, shard: str | None = None) -> Recipe | None:
        """How an artifact was made; None when it does not exist or is not ours."""
        if asset in SHARD_TABLES or asset in TABLES:
            try:
                return Recipe.from_json(self._read_recipe(self._place(asset, shard)))
            except StorageUnavailable:  # that nobody answers says nothing of what there is
                raise
            except (OSError, KeyError, ValueError, TypeError):
                return None
        receipt = self.receipt(asset)
        return receipt.recipe if receipt is not None else None

    def input_fingerprint(self, asset: str) -> str:
        """Digest over the bytes of a file that people provide; `absent` when there is none."""
        try:
            return hashlib.sha256(self.input_path(asset).read_bytes()).hexdigest()[:16]
        except FileNotFoundError:
            return ABSENT

    def input_path(self, asset: str) -> Path:
        """Path of a file that people provide."""
        return self.label_file(INPUTS[asset])

    def label_file(self, name: str) -> Path:
        """A file of the labels folder."""
        return self.current(self.labels / name)

    def _read_recipe(self, path: Path) -> str:
        """The recipe in a table's footer. Of an object, only the end is read, and once for each content."""
        mirror = self._mirror(path)
        if mirror is None:
            return footer_recipe(pq.read_metadata(path))  # type: ignore[no-untyped-call]
        return self._read_footer(mirror, mirror.name_of(path))

    @staticmethod
    def _read_footer(mirror: Mirror, name: str) -> str:
        entry = mirror.entry(name)
        if entry is None:
            raise FileNotFoundError(name)
        return mirror.noted(name, entry, lambda: footer_recipe(remote_footer(mirror.remote, name, entry.size)))

    def collection_fingerprint(self, asset: str) -> str:
        """Digest over the fingerprints of all shards of a table."""
        recipes = ((shard, self.recipe(asset, shard)) for shard in self.shards(asset))
        return digest([(shard, recipe.fingerprint if recipe else None) for shard, recipe in recipes])

    # --- artifacts that are not tables ------------------------------------------------------------------------------------------

    def receipt(self, asset: str) -> Receipt | None:
        """The receipt of an artifact; None when it was never made, or when a file of it is missing or of another size."""
        receipt = self.last_receipt(asset)
        if receipt is None:
            return None
        base = self.base(asset)
        return receipt if all(self.size(base / name) == size for name, size in receipt.files.items()) else None

    def file(self, asset: str, name: str) -> Path:
        """A file of an artifact that is no table."""
        return self.current(self.base(asset) / name)

    def last_receipt(self, asset: str) -> Receipt | None:
        """What was written last, whether or not it is still whole."""
        try:
            values = json.loads(self.current(self._receipt_path(asset)).read_text(encoding="utf-8"))
            return Receipt(Recipe(**values["recipe"]), values["files"], values["facts"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def receipts(self) -> list[str]:
        """Artifacts that are no tables and have a receipt."""
        listed = self.names(self.processed / RECEIPTS)
        return sorted(name.removesuffix(".json") for name in listed if name.endswith(".json"))

    def write_files(
        self, asset: str, files: Mapping[str, bytes | Path], recipe: Recipe, facts: Mapping[str, object] | None = None
    ) -> Receipt:
        """Write an artifact's files (bytes, or a temporary file to move), then its receipt; files it no longer has are removed."""
        base = self.base(asset)
        before = self.last_receipt(asset)  # also of an artifact that has lost a file: the others must not stay behind
        self.remove(self._receipt_path(asset))  # after a crash no receipt vouches for a mixture of old and new
        for name, content in files.items():
            with self.replacing(base / name) as temporary:
                if isinstance(content, bytes):
                    temporary.write_bytes(content)
                else:
                    content.replace(temporary)
        receipt = Receipt(recipe, {name: (base / name).stat().st_size for name in files}, facts or {})
        self._write_receipt(asset, receipt)
        for name in set(before.files if before else ()) - set(files):
            self.remove(base / name)
        return receipt

    def _write_receipt(self, asset: str, receipt: Receipt) -> None:
        values = {"recipe": json.loads(receipt.recipe.to_json()), "files": receipt.files, "facts": receipt.facts}
        with self.replacing(self._receipt_path(asset)) as temporary:
            temporary.write_text(json.dumps(values, default=str), encoding="utf-8")

    def amend(self, asset: str, facts: Mapping[str, object]) -> None:
        """Add facts to an artifact's receipt, and vouch for its files as they are now: whoever calls changed them and knows them whole."""
        receipt = self.last_receipt(asset)
        if receipt is not None:
            sizes = {name: self.file(asset, name).stat().st_size for name in receipt.files}
            self._write_receipt(asset, Receipt(receipt.recipe, sizes, {**receipt.facts, **facts}))

    def forget(self, asset: str) -> int:
        """Remove an artifact without shards, so that it is missing; how many files were removed. Its receipt goes last."""
        receipt = None if asset in TABLES else self.last_receipt(asset)
        names = receipt.files if receipt is not None else ()
        paths = [self._place(asset, None)] if asset in TABLES else [self.base(asset) / name for name in names]
        there = [path for path in paths if self.size(path) is not None]
        for path in there:
            self.remove(path)
        self.remove(self._receipt_path(asset))
        return len(there)

    def base(self, asset: str) -> Path:
        """Folder that an artifact's file names are relative to."""
        return self.models if asset in MODEL_ASSETS else self.processed

    def _receipt_path(self, asset: str) -> Path:
        return self.processed / RECEIPTS / f"{asset}.json"

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
        """Remove one shard of a table, because what it speaks of is about to be replaced."""
        self.remove(self._place(asset, shard))

    def pictures_are_there(self, shard: str) -> bool:
        """Whether the shard has the JPEG of every row that should have one, and no other; True where there is no table.

        Names alone are compared, and only when the folder or the table has changed since they were last compared: 1 ms a shard. Of
        JPEGs in one file, its recipe is compared with the table's.
        """
        if self.packs is not None:
            made = self.recipe("preproc", shard)
            return made is None or self.packs.recipe(shard) == made.to_json()
        if self._mirror(self.processed) is not None:
            return self._names_agree(shard)
        folder, table = self.processed / JPEG_SHARDS / shard, self.path("preproc", shard)
        if not table.is_file():
            return True
        stamp = (table.stat().st_mtime_ns, folder.stat().st_mtime_ns if folder.is_dir() else 0)
        if self._pictures.get(shard, (None,))[0] != stamp:
            self._pictures[shard] = stamp, self._names_agree(shard)
        return self._pictures[shard][1]

    def check_packed(self, shard: str) -> None:
        """Raises RuntimeError when the shard's JPEGs in one file are of another run than its table, so that nothing is made from both."""
        if self.packs is not None and not self.pictures_are_there(shard):
            raise RuntimeError(
                f"the preprocessed photos of {shard} are not those that its table speaks of: another run is replacing "
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
        there = (PurePath(name) for name in self.names(self.processed / JPEG_SHARDS / shard))
        return named == {path.stem for path in there if path.suffix == ".jpg"}

    def drop_pictures(self, shards: Iterable[str]) -> None:
        """Remove the unpacked copies of these shards' JPEGs from this machine, if copies is what they are."""
        if self.packs is not None:
            for shard in shards:
                self.packs.drop(shard)

    # --- writing ----------------------------------------------------------------------------------------------------------------

    @contextmanager
    def replacing(self, target: Path, *, publish: bool = True) -> Iterator[Path]:
        """A temporary path to write to; renamed to `target` (and published) when the block ends well, removed when it does not."""
        temporary = self.temporary_path(target)
        self._make_folder(target.parent)
        try:
            yield temporary
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if publish:
            self.publish(target)

    def temporary_path(self, target: Path) -> Path:
        """A new name on the same file system as `target`, outside every dataset."""
        folder = (self.models if target.is_relative_to(self.models) else self.processed) / TEMPORARY
        self._make_folder(folder)
        return folder / f"{uuid.uuid4().hex}{target.suffix}"

    def clear_temporary(self) -> int:
        """Remove what killed processes left in the temporary folders; how many entries. Only for whoever has the data folder locked."""
        left = [path for base in (self.processed, self.models) for path in (base / TEMPORARY).glob("*")]
        for path in left:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return len(left) + sum(mirror.tidy() for mirror in self._mirrors)

    def _make_folder(self, folder: Path) -> None:
        if folder not in self._made:  # once a folder, not once a photo
            folder.mkdir(parents=True, exist_ok=True)
            self._made.add(folder)


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
