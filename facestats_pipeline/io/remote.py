"""Objects under a URI (s3://, gs://, az://, file://) through fsspec: listed, read and written whole, and tried again if need be.

An object appears under its name with one put, or not at all. What is read is compared with the size that was listed, so that a body that
breaks off is never taken for the whole. Credentials come from the usual places of each SDK (environment, profile, instance role) and
appear in no message; neither do the names of photos.

obstore would do with a third fewer lines and half of the processor's time. But one object with a key that it does not take for a path
(`raw//a.jpg`, a control character) fails the listing of all of them, and it reads no AWS profiles.
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
)  # seconds; doubled after each failure, and shortened at random so that workers do not return at once
_BIG = 64 * 2**20  # bytes; what is larger is put in parts, from the disk
_FINAL = (FileNotFoundError, FileExistsError, PermissionError, NotImplementedError, TypeError, AttributeError, KeyError)
"""Errors that trying again does not change."""


class StorageUnavailable(OSError):
    """The store did not answer, or not with the whole answer, however often it was asked."""


class StorageRefused(StorageUnavailable, PermissionError):
    """The store answers, and lets this machine not do what it asked for."""


class CutOff(OSError):
    """Fewer bytes came than were listed."""


@dataclass(frozen=True)
class Entry:
    """An object as it is listed. `etag` changes with its content."""

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
            # Else s3fs asks for the size first: two requests for each photo.
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
        """Names in a folder, without those in folders below it → entry."""

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
        """Every object below a folder, as (name relative to the folder, entry), sorted by name; only those after `after`.

        S3 is asked for a page of 1,000 at a time and begins after the name; other stores list all of it.
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
        """One object as it is now; None where there is none."""
        try:
            return _entry(self._tried("look at", name, lambda: self._fs.info(self._key(name), refresh=True)))
        except FileNotFoundError:
            return None

    def read(self, name: str, *, size: int | None = None) -> bytes:
        """All bytes of an object; `size` of them where that is known. Raises FileNotFoundError."""

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
        """An object into a file, which is overwritten."""

        def get() -> None:
            self._fs.get_file(self._key(name), str(target))
            if (came := target.stat().st_size) != size:
                raise CutOff(f"{came} of {size} bytes came")

        self._tried("read", name, get)

    def upload(self, path: Path, name: str) -> Entry:
        """A file as an object, with one put; what was under the name is replaced."""
        size = path.stat().st_size
        if size <= _BIG or self._on_disk:
            return self.write(name, path.read_bytes())
        self._tried("write", name, lambda: self._fs.put_file(str(path), self._key(name)))
        return self._written(name, size)

    def write(self, name: str, data: bytes) -> Entry:
        """Bytes as an object, with one put; what was under the name is replaced."""
        answer = self._tried("write", name, lambda: self._pipe(name, data))
        if isinstance(answer, Mapping) and answer.get("ETag"):
            return Entry(len(data), str(answer["ETag"]).strip('"'))
        return self._written(name, len(data))

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless there is one of that name already; whether it was written.

        After an answer that was lost, the object that is there may be this one: its content decides.
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
        """Remove objects; those that are not there are passed over."""
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
                target.hardlink_to(temporary)  # fails where there is one already
        else:
            self._fs.pipe_file(self._key(name), data, mode="create")

    @contextmanager
    def _whole(self, name: str, data: bytes) -> Iterator[tuple[Path, Path]]:
        """On a disk, what a put is: (a file with these bytes beside all others, where it is to appear)."""
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
            raise StorageUnavailable(f"{self._named(name)} was written and is not there as it was written")
        return entry

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    def _named(self, name: str) -> str:
        """A name for messages: of a photo, its folder alone."""
        path = PurePosixPath(name)
        is_ours = path.suffix in ("", ".parquet", ".json", ".csv", ".txt")
        return f"{self.uri}/{path if is_ours else path.parent}".removesuffix("/.")

    def _tried(self, verb: str, name: str, do: Callable[[], T]) -> T:
        """What `do` gives, after as many attempts as are allowed. Raises StorageUnavailable, or at once what another try cannot change."""
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
            except Exception as error:  # each SDK has its own classes for a network that fails
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
