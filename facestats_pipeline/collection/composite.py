"""Composites of chosen groups of photos of a data folder."""

from collections.abc import Sequence

from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.core.composites.composite_specs import CompositeSpec
from facestats_pipeline.core.composites.generate import generate_composites
from facestats_pipeline.core.composites.groups import GeneratedComposite
from facestats_pipeline.io.data_folder import DataFolder


def composites_of(
    folder: DataFolder, specs: Sequence[CompositeSpec], *, use: Sequence[str], most: int | None = None
) -> list[GeneratedComposite]:
    """Composites of the photos that satisfy `use`, each of at most `most` photos, in the order of `specs`.

    A refused composite has no image but a reason. Raises FaceStatsError when no composite can be made at all.
    """
    settings = folder.settings
    photos = folder.store.scan("master")
    if photos.head(1).collect().is_empty():
        raise FaceStatsError("there is no master table yet: `facestats run` makes it")
    master = folder.usable_rows(photos, use)
    places = master.select("image_id", "shard", "filename").collect()
    if places.is_empty():
        raise FaceStatsError(f"no photo satisfies {', '.join(use)} (the setting `use` and --where)")
    size = settings.preproc.size
    geometry = folder.store.scan("face_geometry")
    landmarks = folder.store.scan("preproc").select("image_id", "landmarks")
    if specs[0].method != "mean" and landmarks.drop_nulls().head(1).collect().is_empty():
        raise FaceStatsError(
            f"--method {specs[0].method} needs the landmarks of a face model, and the photos were preprocessed without one:\n"
            "use --method mean, or add the face model (see `facestats doctor`) and run again"
        )
    return generate_composites(
        master,
        folder.preprocessed(places),
        specs,
        landmarks=landmarks,
        mesh=geometry.select("image_id", "landmarks") if "landmarks" in geometry.collect_schema() else None,
        plain=folder.as_taken(places),
        size=size,
        landmark_size=size,
        max_images=most or settings.composites.max_images,
    )
