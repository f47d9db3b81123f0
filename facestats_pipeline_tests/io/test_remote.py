"""Objects through a network that fails: the whole content or an error, and messages without secrets and names."""

import itertools
import math
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from facestats_pipeline.core.ingest.identity import PhotoChanged, PhotosUnavailable, image_id
from facestats_pipeline.core.uris import check_uri, shown
from facestats_pipeline.io.photo_objects import PhotoObjects
from facestats_pipeline.io.remote import Remote, StorageUnavailable
from facestats_pipeline_tests.s3_server import BUCKET, FAULTS, FaultyProxy, environment, s3_server

pytestmark = [pytest.mark.slow, pytest.mark.server]
pytest.importorskip("s3fs", reason="the extra s3 is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def connect(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    import s3fs

    proxies = []

    def to(folder: str, every: float = 0, attempts: int = 8) -> tuple[Remote, FaultyProxy | None]:
        address = server
        if every:
            proxies.append(FaultyProxy(server, every))
            address = proxies[-1].address
        for name, value in environment(address).items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()  # the address is of the environment, by which instances are not told apart
        return Remote(f"s3://{BUCKET}/{folder}", attempts=attempts, timeout=20), proxies[-1] if every else None

    yield to
    for proxy in proxies:
        proxy.close()


def test_objects_are_put_listed_read_and_removed(connect) -> None:
    remote, _ = connect("plain")
    written = remote.write("a/one.json", b"1")
    remote.write("a/below/two.json", b"22")
    assert remote.listing("a") == {"one.json": remote.entry("a/one.json")}
    assert remote.entry("a/one.json").etag == written.etag
    assert [name for name, _ in remote.walk("a")] == ["below/two.json", "one.json"]
    assert [name for name, _ in remote.walk("a", after="below/two.json")] == ["one.json"]
    assert remote.read("a/below/two.json", size=2) == b"22"
    assert remote.tail("a/below/two.json", 1, size=2) == b"2"
    remote.remove(["a/one.json", "a/never.json"])
    assert remote.listing("a") == {} and remote.entry("a/one.json") is None
    with pytest.raises(FileNotFoundError, match=r"plain/a/one\.json is not there"):
        remote.read("a/one.json")


def test_an_object_is_read_with_one_request(connect) -> None:
    remote, proxy = connect("one request", every=math.inf)
    remote.write("a/photo.jpg", b"a photo")
    before = proxy.requests.copy()
    assert remote.read("a/photo.jpg", size=7) == b"a photo"
    assert proxy.requests - before == Counter(GET=1)


def test_only_one_of_two_creates_an_object(connect) -> None:
    remote, _ = connect("leases")
    assert remote.create("lease", b"first")
    assert not remote.create("lease", b"second")
    assert remote.read("lease") == b"first"


def test_a_listing_of_many_pages_is_whole_and_can_be_gone_on_with(connect) -> None:
    remote, _ = connect("many")
    names = [f"{i:05d}.jpg" for i in range(1_050)]
    for name in names:
        remote._fs.call_s3("put_object", Bucket=BUCKET, Key=f"many/{name}", Body=b"x")
    assert [name for name, _ in remote.walk()] == names
    assert [name for name, _ in remote.walk(after=names[19])] == names[20:]


def test_keys_that_are_no_paths_are_listed_and_read_beside_the_others(connect) -> None:
    remote, _ = connect("odd")
    names = [
        "a.jpg",
        "a//b.jpg",
        "tab\t.jpg",
        "100%.jpg",
        "%41.jpg",
        "ü 😀.jpg",
        " lead.jpg",
        "#x?.jpg",
        "back\\slash.jpg",
    ]
    for name in names:
        remote._fs.call_s3("put_object", Bucket=BUCKET, Key=f"odd/{name}", Body=name.encode())
    assert sorted(name for name, _ in remote.walk()) == sorted(names)
    for name in names:
        assert remote.read(name) == name.encode()


def test_whatever_the_network_does_the_whole_content_comes(connect, tmp_path: Path) -> None:
    remote, proxy = connect("faulty", every=3, attempts=20)
    contents = {f"{i}.parquet": os.urandom(20_000 + i) for i in range(40)}
    for name, data in contents.items():
        assert remote.write(name, data).size == len(data)
    assert {name: entry.size for name, entry in remote.listing("").items()} == {n: len(d) for n, d in contents.items()}
    for name, data in contents.items():
        assert remote.read(name, size=len(data)) == data
        remote.download(name, tmp_path / name, size=len(data))
        assert (tmp_path / name).read_bytes() == data
    assert remote.create("once", b"mine")
    assert set(proxy.injected) == set(FAULTS), proxy.injected


def test_a_store_that_never_answers_is_an_error_without_names_of_photos(
    connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote, proxy = connect("dead", every=1, attempts=1)
    proxy._kinds = itertools.cycle(("500", "drop"))  # a shortened 404 would be an answer
    with pytest.raises(StorageUnavailable, match=r"could not read s3://faces/dead/folder in 1 attempt") as raised:
        remote.read("folder/anna.jpg")
    assert "anna" not in str(raised.value)

    def silent(name: str, *, size: int | None = None) -> bytes:
        raise raised.value

    monkeypatch.setattr(remote, "read", silent)
    with pytest.raises(PhotosUnavailable):  # the photo is not set aside: the fault is not its own
        PhotoObjects(remote).read("anna.jpg", "0" * 32)


def test_a_photo_that_was_replaced_is_told_from_one_that_came_broken(connect) -> None:
    remote, _ = connect("photos")
    remote.write("a.jpg", b"now")
    photos = PhotoObjects(remote)
    assert photos.read("a.jpg", image_id(b"now")) == b"now"
    with pytest.raises(PhotoChanged):
        photos.read("a.jpg", image_id(b"before"))
    assert [found.filename for found in photos.listed(max_bytes=10)] == ["a.jpg"]
    before = photos.listed(max_bytes=10)[0].mtime_ns
    remote.write("a.jpg", b"new")
    assert photos.listed(max_bytes=10)[0].mtime_ns != before


def test_wrong_credentials_are_said_and_not_repeated(connect, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    connect("plain")
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(PermissionError, match="no credentials for s3://faces/plain"):
        Remote(f"s3://{BUCKET}/plain", attempts=2, timeout=5).read("a.json")


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("s3://key:secret@bucket/x", "credentials"),
        ("s3://bucket/x?key=secret", "query"),
        ("ftp://bucket", "must begin"),
        ("s3:///x", "no bucket"),
        ("data", "must begin"),
    ],
)
def test_addresses_that_are_none_or_hold_secrets_are_refused(uri: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        check_uri(uri)
    assert "secret" not in str(raised.value)
    assert "secret" not in shown(uri)
