"""The names that users may rely on, and that the import of the package loads nothing heavy."""

import subprocess
import sys

import facestats_pipeline

NAMES = {
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
}
METHODS = {
    "close", "composite", "composites", "erase", "export", "folder", "label", "labels", "lineage", "master", "near", "notes", "photo",
    "pipeline", "preview_erasure", "run", "score", "search", "set_aside", "status", "table", "usable", "version",
}  # fmt: skip


def test_the_public_names() -> None:
    assert set(facestats_pipeline.__all__) == NAMES
    assert {name: getattr(facestats_pipeline, name).__doc__ for name in NAMES}.keys() == NAMES
    assert set(dir(facestats_pipeline)) >= NAMES


def test_what_a_collection_can_do() -> None:
    public = {name for name in vars(facestats_pipeline.Collection) if not name.startswith("_")}
    assert public == METHODS
    assert all(getattr(facestats_pipeline.Collection, name).__doc__ for name in public)


def test_the_import_loads_nothing_heavy() -> None:
    """Neither the package, nor a collection that nothing is asked of."""
    code = (
        "import sys, facestats_pipeline as facestats; light = set(sys.modules); here = facestats.open('nowhere')\n"
        "heavy = {'dagster', 'torch', 'cv2', 'sklearn', 'matplotlib', 'streamlit', 'open_clip'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert not {'polars', 'numpy', 'pydantic'} & light, 'the import of the package alone'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
