"""The computations: pure functions and small classes on arrays, frames and images. No Dagster, and no hard-coded paths.

The public functions of FaceStats 4 can still be imported from here. Their modules load on first use.
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
"""Public name → module below `core` that defines it."""

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"facestats_pipeline.core has no {name!r}; it offers {', '.join(_PUBLIC)}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_PUBLIC)
