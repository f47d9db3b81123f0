"""Preprocessing of one shard: results of an earlier run are reused, the rest is computed while the caller iterates."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from facestats_pipeline.core.ingest.manifest import live
from facestats_pipeline.core.preproc.detection import FaceDetector
from facestats_pipeline.core.preproc.preproc_table import PICTURED, PREPROC
from facestats_pipeline.core.preproc.preprocessing import PreprocSettings, run_preprocessing


@dataclass
class PreprocessedShard:
    """Iterate over `jpegs` to the end, then call `table()`: the table lists only JPEGs that were yielded or existed before.

    manifest: the shard's rows. read(filename, image_id): returns a photo's bytes. previous: the table of an earlier run.
    has_jpeg(image_id): whether the JPEG of an earlier run still exists; rows of `previous` without it are recomputed.
    """

    manifest: pl.DataFrame
    read: Callable[[str, str], bytes]
    settings: PreprocSettings
    detector: FaceDetector | None
    workers: int = 2
    previous: pl.DataFrame | None = None
    has_jpeg: Callable[[str], bool] = lambda image_id: False
    made: list[dict[str, Any]] = field(default_factory=list)

    @property
    def jpegs(self) -> Iterator[tuple[str, bytes]]:
        """Yield (image id, JPEG bytes) of every photo without a reusable result, in order. A photo that cannot be decoded has no JPEG."""
        wanted = live(self.manifest).select("image_id", "filename")
        # Only photos without a reusable result: an interrupted run continues where it stopped.
        rest = wanted.join(self.kept, on=["image_id", "filename"], how="anti", maintain_order="left")
        photos = [(image_id, filename, self._reader(image_id, filename)) for image_id, filename in rest.iter_rows()]
        for photo in run_preprocessing(photos, self.settings, self.detector, workers=self.workers):
            self.made.append(photo.row)
            if photo.jpeg is not None:
                yield photo.image_id, photo.jpeg

    def table(self) -> pl.DataFrame:
        """PREPROC.schema with one row per live image of the shard, in the manifest's order."""
        rows = pl.concat([self.kept, pl.DataFrame(self.made, schema=PREPROC.schema)])
        return (
            live(self.manifest)
            .select("image_id", "filename")
            .join(rows, on=["image_id", "filename"], maintain_order="left")
        )

    @property
    def kept(self) -> pl.DataFrame:
        """Reusable rows of the earlier run: the image is still live and its JPEG, if it has one, still exists."""
        if self.previous is None:
            return pl.DataFrame(schema=PREPROC.schema)
        wanted = self.previous.join(live(self.manifest), on=["image_id", "filename"], how="semi")
        reusable = [
            status not in PICTURED or self.has_jpeg(image_id)
            for image_id, status in wanted.select("image_id", "status").iter_rows()
        ]
        return wanted.filter(pl.Series(reusable, dtype=pl.Boolean))

    def _reader(self, image_id: str, filename: str) -> Callable[[], bytes]:
        return lambda: self.read(filename, image_id)
