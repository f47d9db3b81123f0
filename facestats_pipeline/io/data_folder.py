"""`DataFolder`: the settings, store, freshness and models of one data folder, which assets and commands share."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from facestats_pipeline.config import DEFAULT_ENCODER, Settings
from facestats_pipeline.core.attributes.catalogue import BUILT_IN
from facestats_pipeline.core.ingest.identity import PhotoChanged
from facestats_pipeline.core.ingest.usage import usable
from facestats_pipeline.io.freshness import Freshness, Node
from facestats_pipeline.io.locations import bring_weights, open_locks, open_photos, open_store

if TYPE_CHECKING:
    from facestats_pipeline.core.attributes.inference import AttributeModels
    from facestats_pipeline.core.attributes.zeroshot import ZeroShot
    from facestats_pipeline.core.encoders.encoder import Encoder
    from facestats_pipeline.core.ingest.sources import Sources
    from facestats_pipeline.core.labels.label_rows import Labels
    from facestats_pipeline.core.preproc.detection import FaceDetector
    from facestats_pipeline.core.preproc.face_landmarks import FaceLandmarker
    from facestats_pipeline.core.preproc.preprocessing import PreprocSettings


class DataFolder:
    """One data folder with its settings. Cheap to create; each model is loaded on first use, once per process."""

    def __init__(self, settings: Settings, load_graph: Callable[[], Iterable[Node]]) -> None:
        self.settings = settings
        self.store = open_store(settings)
        bring_weights(settings, self.store)
        self.photos = open_photos(settings)
        self.locks = open_locks(settings)
        self.freshness = Freshness(self.store, load_graph, settings.refit_growth)
        self._shipped: dict[str, AttributeModels] = {}
        self._zeroshots: dict[str, ZeroShot | None] = {}

    def previous(self, asset: str, shard: str) -> pl.DataFrame | None:
        """The shard's stored rows if they were made with the same code and settings; else None."""
        return self.store.previous(asset, shard, self.freshness.code_digest(asset))

    @property
    def live_filenames(self) -> list[str]:
        """File names of all live images, in the order of the manifest."""
        live = self.store.scan("manifest").filter(pl.col("status") == "ok").select("filename").collect()
        return live["filename"].to_list()

    @property
    def sources(self) -> "Sources":
        """Source, licence and consent of the photos, from sources.csv and the settings."""
        from facestats_pipeline.io.user_files import sources_of

        return sources_of(self.store, self.settings.ingest.model_dump(include={"source", "licence", "consent"}))

    def labels(self, filenames: Sequence[str] | None = None) -> "Labels | None":
        """What people said of the photos `filenames`, by default of all live ones. Raises LabelsError."""
        from facestats_pipeline.io.user_files import labels_of

        names = self.live_filenames if filenames is None else filenames
        settings = self.settings
        return labels_of(self.store, names, in_names=settings.labels.in_names, catalogue=settings.catalogue)

    @property
    def withheld(self) -> set[str]:
        """File names of live images that the setting `use` keeps out of models, composites, search and exports."""
        live = self.store.scan("manifest").filter(pl.col("status") == "ok", ~usable(self.settings.use))
        return set(live.select("filename").collect()["filename"])

    def learnable(self, frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """The shards without withheld rows. Each frame needs a column `filename`."""
        withheld = self.withheld
        return (frame.filter(~pl.col("filename").is_in(withheld)) for frame in frames)

    def usable_rows(self, table: pl.LazyFrame, use: Sequence[str] | None = None) -> pl.LazyFrame:
        """The rows of master that satisfy the conditions `use`; by default those of the setting."""
        return table.filter(usable(tuple(use) if use is not None else self.settings.use))

    def preprocessed(self, rows: pl.DataFrame) -> Callable[[str], Path]:
        """A function from image id to the path of the preprocessed photo. `rows` needs the columns image_id and shard."""
        place = {
            image_id: self.store.jpeg_path(shard, image_id)
            for image_id, shard in rows.select("image_id", "shard").iter_rows()
        }
        return place.__getitem__

    def as_taken(self, rows: pl.DataFrame) -> Callable[[str], bytes]:
        """A function from image id to the bytes of the raw photo. `rows` needs the columns image_id and filename.

        The function raises OSError when the photo is gone or has changed.
        """
        names: dict[str, str] = dict(rows.select("image_id", "filename").iter_rows())

        def load(image_id: str) -> bytes:
            try:
                return self.photos.read(names[image_id], image_id)
            except PhotoChanged as change:
                raise OSError(str(change)) from None

        return load

    @cached_property
    def detector(self) -> "FaceDetector | None":
        """The face detector; None when its model is missing. Photos are then fitted into the square without alignment."""
        from facestats_pipeline.core.preproc.detection import DetectorUnavailable, load_detector
        from facestats_pipeline.io.weights import detector_model

        path = detector_model(self.settings)
        if path is None:
            return None
        if not path.is_dir():
            return load_detector(path)
        # FaceStats' own; who works with YuNet needs no torch.
        from facestats_pipeline.core.detector.detect import load
        from facestats_pipeline.core.detector.export import WeightsRefused

        try:
            return load(path)
        except WeightsRefused as refusal:
            raise DetectorUnavailable(str(refusal)) from None

    @cached_property
    def landmarker(self) -> "FaceLandmarker | None":
        """MediaPipe's face landmarker. None when it is unavailable; `landmarks_absent` then holds the reason."""
        from facestats_pipeline.core.preproc.face_landmarks import LandmarksUnavailable, load_landmarker
        from facestats_pipeline.io.weights import LANDMARKER, landmark_model

        model = landmark_model(self.settings)
        if model is None:
            self.landmarks_absent = f"no face landmark model; place {LANDMARKER} in {self.settings.weights}"
            return None
        try:
            return load_landmarker(model)
        except LandmarksUnavailable as problem:
            self.landmarks_absent = str(problem)
            return None

    landmarks_absent = ""

    @cached_property
    def encoder(self) -> "Encoder":
        """The encoder named in the settings."""
        return self._load_encoder(text=True)

    @cached_property
    def image_encoder(self) -> "Encoder":
        """The encoder without its text tower, to save memory when embedding shards."""
        return self._load_encoder(text=False)

    def _load_encoder(self, *, text: bool) -> "Encoder":
        from facestats_pipeline.core.encoders.encoder import load_model
        from facestats_pipeline.io.weights import encoder_folder

        wanted = self.settings.encoder
        return load_model(
            wanted.name,
            models_dir=encoder_folder(self.settings),
            device=wanted.device,
            precision=wanted.precision,
            seed=self.settings.seed,
            text=text,
        )

    def attribute_models(self, own: "AttributeModels", encoder_id: str | None) -> "AttributeModels":
        """Models that infer attributes from embeddings of `encoder_id`: probes trained here, else shipped probes, else zero-shot.

        The encoder is loaded only if zero-shot is needed. `encoder_id` None means that there are no embeddings: returns `own` unchanged.
        """
        if encoder_id is None:
            return own
        worded = self._templates(encoder_id)
        return own.completed(self.shipped_probes(encoder_id), lambda: self._zeroshot(encoder_id), worded)

    def shipped_probes(self, encoder_id: str) -> "AttributeModels":
        """The probes shipped with an encoder; empty when it has none."""
        from facestats_pipeline.core.attributes.shipped_probes import load_shipped
        from facestats_pipeline.io.weights import shipped_probes

        if encoder_id not in self._shipped:
            self._shipped[encoder_id] = load_shipped(shipped_probes(self.settings), encoder_id)
        return self._shipped[encoder_id]

    def _templates(self, encoder_id: str) -> dict[str, tuple[str, ...]]:
        """attribute → sentences for zero-shot. The shipped encoder's words were learned from captions of the built-in attributes alone."""
        knows = BUILT_IN if encoder_id.partition("@")[0] == DEFAULT_ENCODER else self.settings.catalogue
        return self.settings.zeroshot.templates(knows)

    def _zeroshot(self, encoder_id: str) -> "ZeroShot | None":
        from facestats_pipeline.core.attributes.prompts import prompts_from
        from facestats_pipeline.core.attributes.shipped_probes import shipped_scales
        from facestats_pipeline.core.attributes.zeroshot import build_zeroshot
        from facestats_pipeline.io.weights import shipped_probes

        wanted = self.settings.zeroshot
        if not wanted.enabled or "untrained" in encoder_id:
            return None
        if encoder_id not in self._zeroshots:
            prompts = prompts_from(self._templates(encoder_id), self.settings.catalogue)
            scales = shipped_scales(shipped_probes(self.settings), encoder_id)
            self._zeroshots[encoder_id] = build_zeroshot(self.encoder, prompts, scales)
        return self._zeroshots[encoder_id]

    @cached_property
    def preproc_settings(self) -> "PreprocSettings":
        """The settings that determine the bytes of a preprocessed photo."""
        from facestats_pipeline.core.preproc.preprocessing import PreprocSettings

        wanted = self.settings.preproc
        return PreprocSettings(
            size=wanted.size,
            fit=wanted.fit,
            quality=wanted.quality,
            align=wanted.align,
            min_face_score=wanted.min_face_score,
            max_pixels=self.settings.ingest.max_pixels,
            max_bytes=self.settings.ingest.max_bytes,
        )
