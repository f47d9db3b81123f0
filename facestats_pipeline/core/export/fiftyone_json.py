"""Export as a folder that FiftyOne imports as `FiftyOneImageDetectionDataset`: pictures in `data/`, one `labels.json`.

Each photo has one detection: the face with its box, and the columns of its row as attributes. A photo without a known face gets a
detection called `photo` over the whole picture, because FiftyOne would otherwise drop its row.
Source: https://docs.voxel51.com/user_guide/import_datasets.html#fiftyoneimagedetectiondataset
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from facestats_pipeline.core.export.photos import ExportedPhoto, flat

READ = """\
```python
import fiftyone as fo

faces = fo.Dataset.from_dir("{folder}", dataset_type=fo.types.FiftyOneImageDetectionDataset, dynamic=True)
fo.launch_app(faces)
```"""
FACE, WHOLE = "face", "photo"
RESERVED = {"label": "photo_label", "confidence": "photo_confidence", "bounding_box": "box", "tags": "photo_tags"}
"""Column name that clashes with a field of FiftyOne's detections → the attribute name used instead."""


def write_fiftyone(photos: Iterable[ExportedPhoto], schema: pl.Schema, folder: Path) -> int:
    """Write `photos` into `folder`. Returns the number of photos.

    labels.json is written row by row, so memory does not grow with the number of photos.
    """
    written = 0
    (folder / "data").mkdir(parents=True)
    with (folder / "labels.json").open("w", encoding="utf-8") as labels:
        labels.write(f'{{"classes": {json.dumps([FACE, WHOLE])}, "labels": {{')
        for photo in photos:
            file = folder / "data" / photo.path
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(photo.jpeg)
            key = json.dumps(f"{photo.folder}/{photo.image_id}")
            detection = json.dumps([_detection(photo)], ensure_ascii=False, allow_nan=False)
            labels.write(f"{',' if written else ''}\n{key}: {detection}")
            written += 1
        labels.write("\n}}\n")
    return written


def _detection(photo: ExportedPhoto) -> dict[str, Any]:
    values = flat(photo.row)
    detection: dict[str, Any] = {"label": WHOLE, "bounding_box": [0.0, 0.0, 1.0, 1.0]}
    # FiftyOne's boxes are relative to the picture's size.
    if photo.face_box is not None:
        detection = {"label": FACE, "bounding_box": [value / photo.side for value in photo.face_box]}
    if "face_score" in values and photo.face_box is not None:
        detection["confidence"] = values.pop("face_score")
    return {**detection, "attributes": {RESERVED.get(name, name): value for name, value in values.items()}}
