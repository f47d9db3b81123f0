"""Objects under a URI (s3://, gs://, az://, file://) through fsspec, with retries.

Objects are written with one put, so that readers never see part of one. The size of each read is compared with the listed size, so that
a truncated response is an error. Credentials come from the usual places of each SDK (environment, profile, instance role). Messages
contain neither credentials nor names of photos.

obstore would need a third fewer lines and half the CPU time. But a single object key that it rejects as a path (`raw//a.jpg`, a control
character) makes it fail the whole listing, and it does not read AWS profiles.
"""

import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import urlsplit

from facestats_pipeline.core.extras import install_command
from facestats_pipeline.core.uris import EXTRAS, shown

T = TypeVar("T")
_FIRST_WAIT, _LONGEST_WAIT = (
    0.2,
    20.0,
)  # seconds; doubled after each failure, with random jitter so that workers do not retry at the same time
_BIG = 64 * 2**20  # bytes; larger files are uploaded in parts from the disk
_FINAL = (FileNotFoundError, FileExistsError, PermissionError, NotImplementedError, TypeError, AttributeError, KeyError)
"""Errors that are not retried."""


class StorageUnavailable(OSError):
    """All attempts failed: the store did not answer, or sent incomplete answers."""


class StorageRefused(StorageUnavailable, PermissionError):
    """The store denies access."""


class CutOff(OSError):
    """A response had fewer bytes than listed."""


@dataclass(frozen=True)
class Entry:
    """A listed object: size in bytes, ETag (changes with the content), modification time."""

    size: int
    etag: str
    modified: datetime | None = None


class Remote:
    """The objects below one URI, by their names relative to it."""

    def __init__(self, uri: str, *, attempts: int = 8, timeout: float = 60) -> None:
        from fsspec.core import url_to_fs

        self.uri = shown(uri)
        self.attempts = attempts
        scheme = urlsplit(uri).scheme
        options: dict[str, Any] = {"use_listings_cache": False}
        self._whole_at_once: dict[str, Any] = {}
        if scheme == "s3":
            # Otherwise s3fs requests the size first, which makes two requests per photo.
            self._whole_at_once = {"max_concurrency": 1}
            config = {
                "connect_timeout": timeout,
                "read_timeout": timeout,
                "retries": {"max_attempts": 3, "mode": "standard"},
            }
            options["config_kwargs"] = config
        try:
            self._fs, root = url_to_fs(uri, **options)
        except ImportError as error:
            command = install_command(EXTRAS[scheme])
            raise ImportError(f"{self.uri} needs an extra of FaceStats: {command} ({error})") from None
        self._root = str(root).rstrip("/")
        self._on_disk = scheme == "file"

    def __str__(self) -> str:
        return self.uri

    def listing(self, folder: str) -> dict[str, Entry]:
        """Object name → entry, for one folder without its subfolders."""

        def look() -> dict[str, Entry]:
            try:
                found = self._fs.ls(self._key(folder), detail=True)
            except FileNotFoundError:
                return {}
            own = self._key(folder)  # some stores list a folder's marker as an object of the folder
            return {
                PurePosixPath(info["name"]).name: _entry(info)
                for info in found
                if info["type"] == "file" and info["name"].rstrip("/") != own
            }

        return self._tried("list", folder, look)

    def walk(self, folder: str = "", *, after: str = "") -> Iterator[tuple[str, Entry]]:
        """Every object below a folder after the name `after`, as (name relative to the folder, entry), sorted by name.

        S3 is listed in pages of 1,000 from `after` on. Other stores list everything.
        """
        base = self._key(folder)
        if hasattr(self._fs, "call_s3"):
            yield from self._walk_s3(base, after)
            return
        found = self._tried("list", folder, lambda: self._fs.find(base, detail=True))
        names = {str(path)[len(base) :].lstrip("/"): info for path, info in found.items()}
        for name in sorted(names):
            if name > after:
                yield name, _entry(names[name])

    def _walk_s3(self, base: str, after: str) -> Iterator[tuple[str, Entry]]:
        bucket, _, prefix = base.partition("/")
        prefix = f"{prefix}/" if prefix else ""
        start = {"StartAfter": prefix + after} if after else {}
        while True:
            page = self._tried(
                "list",
                "",
                lambda: self._fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **start),  # noqa: B023 called at once
            )
            for info in page.get("Contents", ()):
                if not info["Key"].endswith("/"):
                    yield info["Key"].removeprefix(prefix), _entry(info | {"size": info["Size"]})
            if not page.get("IsTruncated"):
                return
            start = {"ContinuationToken": page["NextContinuationToken"]}

    def entry(self, name: str) -> Entry | None:
        """The current entry of an object; None when it does not exist."""
        try:
            return _entry(self._tried("look at", name, lambda: self._fs.info(self._key(name), refresh=True)))
        except FileNotFoundError:
            return None

    def read(self, name: str, *, size: int | None = None) -> bytes:
        """All bytes of an object. With `size`, a shorter response is retried. Raises FileNotFoundError."""

        def get() -> bytes:
            data: bytes = self._fs.cat_file(self._key(name), **self._whole_at_once)
            if size is not None and len(data) != size:
                raise CutOff(f"{len(data)} of {size} bytes came")
            return data

        return self._tried("read", name, get)

    def tail(self, name: str, n: int, *, size: int) -> bytes:
        """The last `n` bytes of an object of `size` bytes."""
        start = max(size - n, 0)

        def get() -> bytes:
            data: bytes = self._fs.cat_file(self._key(name), start=start, end=size)
            if len(data) != size - start:
                raise CutOff(f"{len(data)} of {size - start} bytes came")
            return data

        return self._tried("read", name, get)

    def download(self, name: str, target: Path, *, size: int) -> None:
        """Download an object of `size` bytes into a file, which is overwritten."""

        def get() -> None:
            self._fs.get_file(self._key(name), str(target))
            if (came := target.stat().st_size) != size:
                raise CutOff(f"{came} of {size} bytes came")

        self._tried("read", name, get)

    def upload(self, path: Path, name: str) -> Entry:
        """Upload a file as an object in one put; replaces an existing object."""
        size = path.stat().st_size
        if size <= _BIG or self._on_disk:
            return self.write(name, path.read_bytes())
        self._tried("write", name, lambda: self._fs.put_file(str(path), self._key(name)))
        return self._written(name, size)

    def write(self, name: str, data: bytes) -> Entry:
        """Write bytes as an object in one put; replaces an existing object."""
        answer = self._tried("write", name, lambda: self._pipe(name, data))
        if isinstance(answer, Mapping) and answer.get("ETag"):
            return Entry(len(data), str(answer["ETag"]).strip('"'))
        return self._written(name, len(data))

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless one of that name exists; returns whether it was written.

        If the response to the put was lost, the existing object may be this one. So its content is compared.
        """
        try:
            self._tried("write", name, lambda: self._create(name, data))
        except FileExistsError:
            try:
                return self.read(name) == data
            except FileNotFoundError:
                return False
        return True

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; missing ones are ignored."""
        for name in names:
            try:
                self._tried("remove", name, lambda: self._fs.rm_file(self._key(name)))  # noqa: B023 called at once
            except FileNotFoundError:
                continue

    def _pipe(self, name: str, data: bytes) -> object:
        if self._on_disk:
            with self._whole(name, data) as (temporary, target):
                temporary.replace(target)
            return None
        return self._fs.pipe_file(self._key(name), data)

    def _create(self, name: str, data: bytes) -> None:
        if self._on_disk:
            with self._whole(name, data) as (temporary, target):
                target.hardlink_to(temporary)  # fails if the target exists
        else:
            self._fs.pipe_file(self._key(name), data, mode="create")

    @contextmanager
    def _whole(self, name: str, data: bytes) -> Iterator[tuple[Path, Path]]:
        """A put on a disk: yields (temporary file with these bytes, target path) for the caller to rename or link."""
        target, temporary = Path(self._key(name)), Path(self._key(f".tmp/{uuid.uuid4().hex}"))
        for path in (target, temporary):
            path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        try:
            yield temporary, target
        finally:
            temporary.unlink(missing_ok=True)

    def _written(self, name: str, size: int) -> Entry:
        entry = self.entry(name)
        if entry is None or entry.size != size:
            raise StorageUnavailable(f"{self._named(name)} was written, but the store does not list it with its size")
        return entry

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    def _named(self, name: str) -> str:
        """An object's name for messages. Of a photo only the folder is shown, because file names may identify people."""
        path = PurePosixPath(name)
        is_ours = path.suffix in ("", ".parquet", ".json", ".csv", ".txt")
        return f"{self.uri}/{path if is_ours else path.parent}".removesuffix("/.")

    def _tried(self, verb: str, name: str, do: Callable[[], T]) -> T:
        """The result of `do`, with retries. Raises StorageUnavailable after the last attempt; errors in _FINAL are raised at once."""
        for attempt in range(1, self.attempts + 1):
            try:
                return do()
            except FileNotFoundError:
                raise FileNotFoundError(f"{self._named(name)} is not there") from None
            except FileExistsError:
                raise FileExistsError(f"{self._named(name)} is there already") from None
            except PermissionError:
                raise StorageRefused(
                    f"no permission to {verb} {self._named(name)}; give this machine access to it"
                ) from None
            except _FINAL:
                raise
            except Exception as error:  # each SDK has its own exception classes for network failures
                kind = type(error).__name__
                if "Credentials" in kind:
                    raise StorageRefused(
                        f"no credentials for {self.uri}: set them where the SDK looks for them (environment, profile, role)"
                    ) from None
                if attempt == self.attempts:
                    why = f"{kind}{f', {error}' if isinstance(error, CutOff) else ''}"
                    raise StorageUnavailable(
                        f"could not {verb} {self._named(name)} in {attempt} attempt{'s' if attempt > 1 else ''} (the last: {why})"
                    ) from None
                time.sleep(min(_FIRST_WAIT * 2 ** (attempt - 1), _LONGEST_WAIT) * random.uniform(0.5, 1))
        raise AssertionError("attempts is at least 1")


def _entry(info: Mapping[str, Any]) -> Entry:
    tag = info.get("ETag") or info.get("etag") or info.get("md5Hash")
    etag = str(tag).strip('"') if tag else f"{info.get('ino', '')}-{info.get('mtime', '')}-{info['size']}"
    when = info.get("LastModified") or info.get("last_modified") or info.get("updated")
    return Entry(int(info["size"]), etag, when if isinstance(when, datetime) else None)
