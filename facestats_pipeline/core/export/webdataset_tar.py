"""Export as tar files for `webdataset`: `ID.jpg` and `ID.json` (the row) per photo.

Members have no time and no owner, so the same photos give the same bytes.
Source: https://github.com/webdataset/webdataset (the members of one sample share a key and follow each other).
"""

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from facestats_pipeline.core.export.photos import ExportedPhoto, plain

READ = """\
```python
import webdataset as wds

faces = wds.WebDataset("{folder}/faces-{{000000..{last:06d}}}.tar", shardshuffle=False).decode("pil").to_tuple("jpg", "json")
```"""
PER_TAR = 1_000
"""Photos per tar, about 100 MB: the minimum that WebDataset's documentation recommends."""


def write_webdataset(
    photos: Iterable[ExportedPhoto], schema: pl.Schema, folder: Path, *, per_tar: int = PER_TAR
) -> int:
    """Write `photos` into `folder`/faces-000000.tar, faces-000001.tar, … Returns the number of photos."""
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    left = iter(photos)
    photo = next(left, None)
    while photo is not None:
        with tarfile.open(folder / f"faces-{written // per_tar:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            room = per_tar
            while photo is not None and room:
                row = json.dumps(plain(photo.row), ensure_ascii=False, allow_nan=False).encode()
                _add(tar, f"{photo.image_id}.jpg", photo.jpeg)
                _add(tar, f"{photo.image_id}.json", row)
                written, room = written + 1, room - 1
                photo = next(left, None)
    return written


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o644  # TarInfo's other defaults (time 0, no owner) keep the bytes reproducible
    tar.addfile(member, io.BytesIO(content))
