"""Opens what the settings name as data, models and photos: local folders, or URIs with local copies."""

from fnmatch import fnmatch

from facestats_pipeline.config import Settings
from facestats_pipeline.core.ingest.photo_source import PhotoFolder, PhotoSource
from facestats_pipeline.io.leases import Leases
from facestats_pipeline.io.locks import FolderLocks
from facestats_pipeline.io.mirror import Mirror
from facestats_pipeline.io.photo_objects import PhotoObjects
from facestats_pipeline.io.remote import Remote
from facestats_pipeline.io.store import Store
from facestats_pipeline.io.weights import DETECTOR_PATTERN, LANDMARKER, MINI


def open_store(settings: Settings) -> Store:
    """The store of the data and models folders. Makes no network request."""
    data_dir = settings.data_dir.resolve() if settings.data_uri is not None else settings.data_dir
    models = settings.models.resolve() if mirrored_models(settings) else settings.models
    mirrors = [
        Mirror(_remote(settings, uri), folder)  # models first: their folder may be inside the data folder
        for uri, folder in ((settings.models_uri, models), (settings.data_uri, data_dir))
        if uri is not None
    ]
    return Store(
        data_dir,
        models,
        mirrors=mirrors,
        pack_pictures=settings.storage.pictures == "parquet",
        catalogue=settings.catalogue,
    )


def bring_weights(settings: Settings, store: Store) -> None:
    """Download weights from a models folder under a URI, so that every machine of a cluster uses the same weights."""
    if not mirrored_models(settings):
        return
    for name in store.names(store.models):
        if fnmatch(name, DETECTOR_PATTERN) or name == LANDMARKER:
            store.current(store.models / name)
    store.files_below(store.models / MINI)


def mirrored_models(settings: Settings) -> bool:
    """Whether the models folder is a local copy of objects under a URI."""
    inside = settings.models.resolve().is_relative_to(settings.data_dir.resolve())
    return settings.models_uri is not None or (settings.data_uri is not None and inside)


def open_photos(settings: Settings) -> PhotoSource:
    """The photos: below `raw_uri`, in `raw_dir`, in `raw/` below `data_uri`, or in `raw/` of the data folder."""
    if settings.raw_uri is not None:
        return PhotoObjects(_remote(settings, settings.raw_uri))
    if settings.raw_dir is None and settings.data_uri is not None:
        return PhotoObjects(_remote(settings, f"{settings.data_uri}/raw"))
    return PhotoFolder(settings.raw)


def open_locks(settings: Settings) -> FolderLocks:
    """The locks of the data folder. A data folder under a URI also gets leases, which other machines see."""
    if settings.data_uri is None:
        return FolderLocks(settings.data_dir)
    leases = Leases(_remote(settings, f"{settings.data_uri}/.locks"), expires_after=settings.storage.lease_seconds)
    return FolderLocks(settings.data_dir, leases)


def _remote(settings: Settings, uri: str) -> Remote:
    return Remote(uri, attempts=settings.storage.attempts, timeout=settings.storage.timeout)
