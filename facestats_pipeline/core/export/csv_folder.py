"""Export as a folder of pictures with one `metadata.csv`, for spreadsheets, scripts, or Hugging Face's `imagefolder`.

Text cells that a spreadsheet would run as a formula get a leading apostrophe (`core.metadata.csv_export`).
"""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from facestats_pipeline.core.export.photos import ExportedPhoto, in_groups
from facestats_pipeline.core.metadata.csv_export import csv_bytes

READ = """\
```python
import polars as pl

faces = pl.read_csv("{folder}/metadata.csv")  # file_name is the picture's path below {folder}
```

`datasets.load_dataset("imagefolder", data_dir="{folder}")` reads it too."""
FILE = "file_name"
"""The column by which `imagefolder` finds a row's picture."""
PER_WRITE = 1_000  # rows in memory at once


def write_csv_folder(photos: Iterable[ExportedPhoto], schema: pl.Schema, folder: Path) -> int:
    """Write `photos` into `folder`/images and metadata.csv. Returns the number of photos."""
    written = 0
    (folder / "images").mkdir(parents=True)
    columns = pl.Schema({FILE: pl.String(), **schema})
    with (folder / "metadata.csv").open("wb") as table:
        for group in in_groups(photos, PER_WRITE):
            rows = []  # one group of photos at a time: memory does not grow with the export
            for photo in group:
                file = folder / "images" / photo.path
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(photo.jpeg)
                rows.append({FILE: f"images/{photo.path}", **photo.row})
            table.write(csv_bytes(pl.DataFrame(rows, schema=columns), header=not written))
            written += len(group)
    return written
