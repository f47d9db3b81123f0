"""The storage module: every byte the pipeline keeps goes through here.

A file appears under its final name complete or not at all: it is written into a temporary folder of the same file system and renamed.
The temporary folder lies beside the datasets, never inside one, where readers would take its files for shards. What a killed process
leaves in it is removed by the next run that has the data folder to itself.
"""

import hashlib
import json
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from facestats_pipeline.core.preproc.faces import PICTURED
from facestats_pipeline.io.layout import INPUTS, JPEG_SHARDS, SHARD_TABLES, TABLES, table_path
from facestats_pipeline.io.recipes import Recipe, digest

FOOTER_KEY = "facestats"
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

    def __init__(self, data_dir: Path, models_dir: Path) -> None:
        self.data_dir = data_dir
        self.processed = data_dir / "processed"
        self.labels = data_dir / "labels"
        self.models = models_dir
        self._made: set[Path] = set()
        self._pictures: dict[str, tuple[tuple[int, int], bool]] = {}

    # --- tables -----------------------------------------------------------------------------------------------------------------

    def path(self, asset: str, shard: str | None = None) -> Path:
        """File of a table, or of one shard of it; the directory when `shard` is None and the table has shards."""
        base = self.processed / table_path(asset)
        return base if shard is None else base / f"{shard}.parquet"

    def write_table(self, asset: str, shard: str | None, frame: pl.DataFrame, recipe: Recipe) -> Path:
        """Write a table or one shard of it, with its recipe in the Parquet footer."""
        target = self.path(asset, shard)
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
        files = [self.path(asset, shard) for shard in self.shards(asset)]
        return pl.scan_parquet(files) if files else pl.LazyFrame()

    def shards(self, asset: str) -> list[str]:
        """Names of the shards that a table has, in order."""
        folder = self.path(asset)
        return sorted(path.stem for path in folder.glob("shard-*.parquet")) if folder.is_dir() else []

    def previous(self, asset: str, shard: str, family: str) -> pl.DataFrame | None:
        """What an earlier run wrote for this shard, if it was made by the same code and settings: its rows may be reused."""
        recipe = self.recipe(asset, shard)
        return self.read_table(asset, shard) if recipe is not None and recipe.family == family else None

    # --- recipes ----------------------------------------------------------------------------------------------------------------

    def recipe(self, asset: str, shard: str | None = None) -> Recipe | None:
        """How an artifact was made; None when it does not exist or is not ours."""
        if asset in SHARD_TABLES or asset in TABLES:
            try:
                metadata = pq.read_metadata(self.path(asset, shard)).metadata or {}  # type: ignore[no-untyped-call]
                return Recipe.from_json(metadata[FOOTER_KEY.encode()].decode())
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
        return self.labels / INPUTS[asset]

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
        whole = all(
            (base / name).is_file() and (base / name).stat().st_size == size for name, size in receipt.files.items()
        )
        return receipt if whole else None

    def last_receipt(self, asset: str) -> Receipt | None:
        """What was written last, whether or not it is still whole."""
        try:
            values = json.loads(self._receipt_path(asset).read_text(encoding="utf-8"))
            return Receipt(Recipe(**values["recipe"]), values["files"], values["facts"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def receipts(self) -> list[str]:
        """Artifacts that are no tables and have a receipt."""
        folder = self.processed / RECEIPTS
        return sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []

    def write_files(
        self, asset: str, files: Mapping[str, bytes | Path], recipe: Recipe, facts: Mapping[str, object] | None = None
    ) -> Receipt:
        """Write an artifact's files (bytes, or a temporary file to move), then its receipt; files it no longer has are removed."""
        base = self.base(asset)
        before = self.last_receipt(asset)  # also of an artifact that has lost a file: the others must not stay behind
        self._receipt_path(asset).unlink(
            missing_ok=True
        )  # after a crash no receipt vouches for a mixture of old and new
        for name, content in files.items():
            with self.replacing(base / name) as temporary:
                if isinstance(content, bytes):
                    temporary.write_bytes(content)
                else:
                    content.replace(temporary)
        receipt = Receipt(recipe, {name: (base / name).stat().st_size for name in files}, facts or {})
        self._write_receipt(asset, receipt)
        for name in set(before.files if before else ()) - set(files):
            (base / name).unlink(missing_ok=True)
        return receipt

    def _write_receipt(self, asset: str, receipt: Receipt) -> None:
        values = {"recipe": json.loads(receipt.recipe.to_json()), "files": receipt.files, "facts": receipt.facts}
        with self.replacing(self._receipt_path(asset)) as temporary:
            temporary.write_text(json.dumps(values, default=str), encoding="utf-8")

    def amend(self, asset: str, facts: Mapping[str, object]) -> None:
        """Add facts to an artifact's receipt, and vouch for its files as they are now: whoever calls changed them and knows them whole."""
        receipt = self.last_receipt(asset)
        if receipt is not None:
            sizes = {name: (self.base(asset) / name).stat().st_size for name in receipt.files}
            self._write_receipt(asset, Receipt(receipt.recipe, sizes, {**receipt.facts, **facts}))

    def forget(self, asset: str) -> int:
        """Remove an artifact without shards, so that it is missing; how many files were removed. Its receipt goes last."""
        receipt = None if asset in TABLES else self.last_receipt(asset)
        names = receipt.files if receipt is not None else ()
        paths = [self.path(asset)] if asset in TABLES else [self.base(asset) / name for name in names]
        there = [path for path in paths if path.is_file()]
        for path in there:
            path.unlink()
        self._receipt_path(asset).unlink(missing_ok=True)
        return len(there)

    def base(self, asset: str) -> Path:
        """Folder that an artifact's file names are relative to."""
        return self.models if asset in MODEL_ASSETS else self.processed

    def _receipt_path(self, asset: str) -> Path:
        return self.processed / RECEIPTS / f"{asset}.json"

    # --- preprocessed photos ----------------------------------------------------------------------------------------------------

    def jpeg_path(self, shard: str, image_id: str) -> Path:
        """File of a preprocessed photo."""
        return self.processed / JPEG_SHARDS / shard / f"{image_id}.jpg"

    def write_jpeg(self, shard: str, image_id: str, jpeg: bytes) -> None:
        """Write one preprocessed photo."""
        with self.replacing(self.jpeg_path(shard, image_id)) as temporary:
            temporary.write_bytes(jpeg)

    def keep_jpegs(self, shard: str, image_ids: set[str]) -> int:
        """Remove the preprocessed photos of a shard that are not in `image_ids`; how many were removed."""
        folder = self.processed / JPEG_SHARDS / shard
        gone = [path for path in folder.glob("*.jpg") if path.stem not in image_ids] if folder.is_dir() else []
        for path in gone:
            path.unlink()
        return len(gone)

    def forget_table(self, asset: str, shard: str) -> None:
        """Remove one shard of a table, because what it speaks of is about to be replaced."""
        self.path(asset, shard).unlink(missing_ok=True)

    def pictures_are_there(self, shard: str) -> bool:
        """Whether the shard has the JPEG of every row that should have one, and no other; True where there is no table.

        Names alone are compared, and only when the folder or the table has changed since they were last compared: 1 ms a shard.
        """
        folder, table = self.processed / JPEG_SHARDS / shard, self.path("preproc", shard)
        if not table.is_file():
            return True
        stamp = (table.stat().st_mtime_ns, folder.stat().st_mtime_ns if folder.is_dir() else 0)
        if self._pictures.get(shard, (None,))[0] != stamp:
            try:
                rows = pl.read_parquet(table, columns=["image_id", "status"])
            except DAMAGED:
                return False
            named = set(rows.filter(pl.col("status").is_in(PICTURED))["image_id"])
            self._pictures[shard] = stamp, named == {path.stem for path in folder.glob("*.jpg")}
        return self._pictures[shard][1]

    # --- writing ----------------------------------------------------------------------------------------------------------------

    @contextmanager
    def replacing(self, target: Path) -> Iterator[Path]:
        """A temporary path to write to; renamed to `target` when the block ends well, removed when it does not."""
        temporary = self.temporary_path(target)
        self._make_folder(target.parent)
        try:
            yield temporary
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

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
        return len(left)

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
