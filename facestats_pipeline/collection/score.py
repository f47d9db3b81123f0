"""Scores new photos with the models of a data folder, which are loaded once."""

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
    """A new photo with the predictions of the collection's models.

    Attributes:
        result: the keys of `core.attractiveness.score_photo.score_image`, as JSON values; predictions are unknown or None without a face
        row: the photo's row as in the table `preproc`.
        vector: its embedding, shape (d,), float32, unit norm.
        answers: attribute → probability of each class; empty without a face.
    """

    result: dict[str, Any]
    row: dict[str, Any]
    vector: npt.NDArray[np.float32]
    answers: dict[str, Answer]

    @property
    def status(self) -> str:
        """ok, no_face, or the code of a problem with the file; `result["reason"]` explains it."""
        return str(self.result["status"])


class Scorer:
    """Scores photos with the same steps as the pipeline: preprocessing, encoder, probes, regressor, reference distribution."""

    def __init__(self, folder: DataFolder) -> None:
        self.folder = folder

    @property
    def notes(self) -> list[str]:
        """Warnings for readers of the scores."""
        notes = []
        if self.folder.detector is None:
            notes.append("no face model: the photo was not aligned, and a photo without a face is not detected")
        if not self.folder.encoder.trained:
            notes.append(f"the encoder {self.folder.encoder.model_id} is untrained: these values are meaningless")
        return notes

    def score(self, photo: bytes | Path) -> ScoredPhoto:
        """Predictions of every model for a photo, which is not stored. Raises FaceStatsError if the models need another encoder."""
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
        """Probes trained here, else shipped probes, else zero-shot."""
        own = AttributeModels({each.name: self._probe(each) for each in self.folder.settings.catalogue})
        return self.folder.attribute_models(own, self.folder.encoder.model_id)

    @cached_property
    def checkpoint(self) -> dict[str, Any] | None:
        """The regressor; None if there is none."""
        path = self._file("attractiveness_regressor")
        return load_checkpoint(path) if path else None

    @cached_property
    def reference(self) -> np.ndarray[Any, Any] | None:
        """The reference distribution of percentiles; None if there is none."""
        path = self._file("attractiveness_reference")
        return np.load(path, allow_pickle=False) if path else None

    def _probe(self, attribute: Attribute) -> Any:
        folder = self.folder.store.base(attribute.trainer)
        return load_probe(folder, attribute.model_stem) if self._file(attribute.trainer) else None

    def _file(self, asset: str) -> Path | None:
        record = self.folder.store.record(asset)
        paths = [self.folder.store.file(asset, name) for name in record.files] if record is not None else []
        return next(iter(paths), None)
