"""The models of a data folder, loaded once, for scoring photos that are not in it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facestats_pipeline.collection.errors import FaceStatsError
from facestats_pipeline.core.attractiveness.score_photo import judge
from facestats_pipeline.core.attributes.attribute import Attribute
from facestats_pipeline.core.attributes.inference import Answer, AttributeModels, class_probabilities
from facestats_pipeline.core.attributes.probe_store import EncoderMismatch, ProbeError, load_probe
from facestats_pipeline.core.encoders.errors import EncoderUnavailable
from facestats_pipeline.core.encoders.new_photo import embed_new_photo
from facestats_pipeline.io.data_folder import DataFolder
from facestats_pipeline.io.io_managers import load_checkpoint


@dataclass(frozen=True)
class ScoredPhoto:
    """A photo that is not in the collection, and what the models of the collection say of it.

    Attributes:
        result: `core.attractiveness.score_photo.score_image`'s keys, all JSON-able; without a face every judgement is unknown or None.
        row: the photo's row of the table `preproc`.
        vector: its embedding, (d,) f32, unit length.
        answers: attribute → the probability of each class; empty without a face.
    """

    result: dict[str, Any]
    row: dict[str, Any]
    vector: npt.NDArray[np.float32]
    answers: dict[str, Answer]

    @property
    def status(self) -> str:
        """ok, no_face, or why the photo cannot be used; `result["reason"]` says more."""
        return str(self.result["status"])


class Scorer:
    """Scores photos by the same path as the pipeline: preprocessing, encoder, probes, regressor, reference."""

    def __init__(self, folder: DataFolder) -> None:
        self.folder = folder

    @property
    def notes(self) -> list[str]:
        """What a reader of the scores should know."""
        notes = []
        if self.folder.detector is None:
            notes.append("no face model: the photo was not aligned, and a photo without a face is not noticed")
        if not self.folder.encoder.trained:
            notes.append(f"the encoder {self.folder.encoder.model_id} is untrained: these values mean nothing")
        return notes

    def score(self, photo: bytes | Path) -> ScoredPhoto:
        """What every model says of a photo. Nothing is kept. Raises FaceStatsError when the models need another encoder."""
        folder = self.folder
        try:
            catalogue = folder.settings.catalogue
            row, vector = embed_new_photo(photo, folder.encoder, folder.detector, folder.preproc_settings)
            result = judge(row, vector, folder.encoder, self.models, self.checkpoint, self.reference, catalogue)
            answers = class_probabilities(vector[0], self.models, catalogue) if row["status"] == "ok" else {}
            return ScoredPhoto(result, row, vector[0], answers)
        except ProbeError as problem:
            raise FaceStatsError(str(problem)) from None
        except (EncoderUnavailable, EncoderMismatch) as problem:
            raise FaceStatsError(f"{problem}\n`facestats run` brings the models up to date") from None

    @cached_property
    def models(self) -> AttributeModels:
        """Probes trained here, else shipped ones, else zero-shot."""
        own = AttributeModels({each.name: self._probe(each) for each in self.folder.settings.catalogue})
        return self.folder.attribute_models(own, self.folder.encoder.model_id)

    @cached_property
    def checkpoint(self) -> dict[str, Any] | None:
        """The regressor, or None."""
        path = self._file("attractiveness_regressor")
        return load_checkpoint(path) if path else None

    @cached_property
    def reference(self) -> np.ndarray[Any, Any] | None:
        """The distribution that percentiles are ranks in, or None."""
        path = self._file("attractiveness_reference")
        return np.load(path, allow_pickle=False) if path else None

    def _probe(self, attribute: Attribute) -> Any:
        folder = self.folder.store.base(attribute.trainer)
        return load_probe(folder, attribute.model_stem) if self._file(attribute.trainer) else None

    def _file(self, asset: str) -> Path | None:
        record = self.folder.store.record(asset)
        paths = [self.folder.store.file(asset, name) for name in record.files] if record is not None else []
        return next(iter(paths), None)
