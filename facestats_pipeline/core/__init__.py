"""The work itself: pure functions and small classes on arrays, frames and images. No Dagster, and no paths baked in.

The functions that users of FaceStats 4 know can be imported from here; they are loaded when they are first used.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "preprocess_image": "images.decoding",
    "run_preprocessing": "preproc.preprocessing",
    "load_model": "encoders.encoder",
    "extract_embedding": "encoders.embedding",
    "run_embedding": "encoders.embedding",
    "extract_clip_embeddings": "encoders.embedding",
    "get_clip_embedding": "encoders.embedding",
    "get_embedding": "attributes.inference",
    "infer_attributes": "attributes.inference",
    "EmbeddingDataset": "attractiveness.regressor",
    "AttractivenessRegressor": "attractiveness.regressor",
    "run_training": "attractiveness.regressor",
    "score_image": "attractiveness.score_photo",
    "filter_images": "composites.composite_filters",
    "make_composite": "composites.generate",
    "filter_faces": "composites.composite_filters",
    "generate_composite": "composites.generate",
    "run_merge": "metadata.master_table",
}
"""Name → module below `core` that defines it."""

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"facestats_pipeline.core has no {name!r}; it offers {', '.join(_PUBLIC)}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_PUBLIC)
