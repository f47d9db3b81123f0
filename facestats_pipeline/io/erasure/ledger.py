"""The ledger of erasures in the folder `erasure/`: a key, keyed digests of image ids, receipts, and the journal of an unfinished erasure.

It is outside `processed/`, because erased images must stay erased when `processed/` is deleted and made again.
"""

import json
import os
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from facestats_pipeline.core.erasure.erased_ids import KEY_BYTES, NOTHING_ERASED, ErasedIds, new_key
from facestats_pipeline.io.store import Store

ERASURES = "erasure"
_FITTED_ON = "basis"
"""Key of `Journal.fitted_on` in the journal file. It stays as it was, so that an erasure begun by an earlier version can be completed."""


@dataclass
class Journal:
    """An unfinished erasure, with image ids and file names in clear text.

    It exists from before the first change until after the last, so that an erasure can be completed after a crash.

    Attributes:
        ids: image ids to erase.
        rows: (filename, image id or None) of the rows of the inventory that become tombstones.
        filenames: file names to remove from labels and logs; without names that another image still has.
        shards: the shards with rows of the images.
        raw: whether to remove the photos from the raw folder.
        before: `asset/shard` → fingerprint of the table before the erasure.
        fitted_on: `Freshness.fitted_on` before the erasure.
        changes: what has been erased so far → count.
        models: model → why it is marked.
        remake: removed artifacts to make again.
    """

    ids: list[str]
    rows: list[tuple[str, str | None]]
    filenames: list[str]
    shards: list[str]
    raw: bool
    before: dict[str, str] = field(default_factory=dict)
    fitted_on: dict[str, str | int] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    remake: list[str] = field(default_factory=list)
    resumed: bool = False

    def count(self, what: str, n: int) -> None:
        """Add `n` to a count of `changes`."""
        if n:
            self.changes[what] = self.changes.get(what, 0) + n


class Ledger:
    """The ledger of one data folder. A data folder under a URI needs `store`, which uploads the files."""

    def __init__(self, data_dir: Path, store: Store | None = None) -> None:
        self.folder = data_dir / ERASURES
        self._store = store

    @classmethod
    def of(cls, store: Store) -> "Ledger":
        """The ledger of a store's data folder."""
        return cls(store.data_dir, store)

    def erased(self) -> ErasedIds:
        """The erased images, as keyed digests. Raises ValueError when there are digests but no valid key."""
        digests = self._read("digests.txt").split()
        try:
            key = bytes.fromhex(self._read("key"))
        except ValueError:
            key = b""
        if digests and len(key) != KEY_BYTES:
            raise ValueError(
                f"{self.folder / 'key'} is missing or damaged, so that erased photos cannot be recognised; "
                "bring it back from a backup, or delete the folder to forget what was erased"
            )
        return ErasedIds(key, frozenset(digests)) if key else NOTHING_ERASED

    def open(self) -> ErasedIds:
        """Like `erased`; creates the key when there is none."""
        if not (known := self.erased()).key:
            self._write("key", new_key().hex())
            return self.erased()
        return known

    def add(self, image_ids: Iterable[str]) -> ErasedIds:
        """Record images as erased; from now on, discovery refuses their bytes."""
        erased = self.open().with_ids(image_ids)
        self._write("digests.txt", "".join(f"{digest}\n" for digest in sorted(erased.digests)))
        return erased

    def journal(self) -> Journal | None:
        """The journal of an unfinished erasure; None when there is none."""
        text = self._read("under-way.json")
        if not text:
            return None
        values = json.loads(text)
        values["fitted_on"] = values.pop(_FITTED_ON, {})
        return Journal(**values | {"rows": [(name, image_id) for name, image_id in values["rows"]]})

    def save(self, journal: Journal) -> None:
        """Save the state of an unfinished erasure."""
        values = asdict(journal)
        values[_FITTED_ON] = values.pop("fitted_on")
        self._write("under-way.json", json.dumps(values))

    def close(self, receipt: dict[str, Any]) -> Path:
        """Write the receipt, remove the journal, and return the receipt's path."""
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"receipts/{moment}-{uuid.uuid4().hex[:6]}.json"
        self._write(name, json.dumps(receipt, indent=1, ensure_ascii=False) + "\n")
        self._remove("under-way.json")
        return self.folder / name

    def _read(self, name: str) -> str:
        try:
            path = self.folder / name
            return (self._store.current(path) if self._store else path).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""

    def _remove(self, name: str) -> None:
        path = self.folder / name
        if self._store is not None:
            self._store.remove(path)
        else:
            path.unlink(missing_ok=True)

    def _write(self, name: str, text: str) -> None:
        """Write atomically, with fsync before later steps rely on it; readable by the owner alone."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = target.with_name(f".{target.name}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(target)
        if self._store is not None:
            self._store.publish(target)
