"""FaceStats: a folder of face photos to embeddings, attributes, scores, tables, composites and reports.

>>> import facestats_pipeline as facestats
>>> faces = facestats.open("faces")
>>> faces.run(raw="photos")

Start with `open` and `Collection`; docs/python.md describes the rest. Names are loaded on first use, so the import is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facestats_pipeline.collection.collection import Collection
    from facestats_pipeline.collection.collection import open_collection as open
    from facestats_pipeline.collection.erase import ErasurePreview, Erasures
    from facestats_pipeline.collection.errors import FaceStatsError
    from facestats_pipeline.collection.export import Exported
    from facestats_pipeline.collection.lineage import ImageLineage
    from facestats_pipeline.collection.photo import StoredPhoto
    from facestats_pipeline.collection.run import RunSummary
    from facestats_pipeline.collection.score import ScoredPhoto
    from facestats_pipeline.collection.status import ArtifactState

_HOME = {
    "open": ("collection", "open_collection"),
    "Collection": ("collection", "Collection"),
    "FaceStatsError": ("errors", "FaceStatsError"),
    "RunSummary": ("run", "RunSummary"),
    "ArtifactState": ("status", "ArtifactState"),
    "StoredPhoto": ("photo", "StoredPhoto"),
    "ScoredPhoto": ("score", "ScoredPhoto"),
    "Exported": ("export", "Exported"),
    "ImageLineage": ("lineage", "ImageLineage"),
    "ErasurePreview": ("erase", "ErasurePreview"),
    "Erasures": ("erase", "Erasures"),
}
"""Public name → module of `collection` that has it, and its name there."""

__all__ = [
    "ArtifactState",
    "Collection",
    "ErasurePreview",
    "Erasures",
    "Exported",
    "FaceStatsError",
    "ImageLineage",
    "RunSummary",
    "ScoredPhoto",
    "StoredPhoto",
    "open",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, there = _HOME[name]
    return getattr(import_module(f"{__name__}.collection.{module}"), there)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
