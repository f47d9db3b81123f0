"""Export as a folder for `datasets.load_dataset`: Parquet files with embedded pictures, `data/train-00000-of-00002.parquet`.

The schema's metadata marks the image column in the way `datasets` does, so pictures are decoded when rows are read.
Source: https://huggingface.co/docs/datasets/image_dataset and `datasets.Features.arrow_schema`.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from facestats_pipeline.core.export.photos import ExportedPhoto, in_groups

READ = """\
```python
from datasets import load_dataset

faces = load_dataset("{folder}", split="train")
faces[0]["image"]  # a Pillow image; every other column is a column of the table below
```"""
PER_FILE = 5_000
"""Photos per Parquet file: some 500 MB of 512×512 JPEGs, the size that Hugging Face's hub recommends."""
PER_GROUP = 100
"""Photos per row group, about 10 MB: a streaming reader loads whole row groups."""
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def write_hugging_face(
    photos: Iterable[ExportedPhoto], schema: pl.Schema, folder: Path, *, per_file: int = PER_FILE
) -> int:
    """Write `photos` into `folder`/data, as the only split `train`, which `datasets` expects of unsplit data. Returns their number."""
    target = folder / "data"
    target.mkdir(parents=True)
    arrow = _arrow_schema(schema)
    written, parts = 0, list[Path]()
    groups = in_groups(photos, min(PER_GROUP, per_file))
    while (group := next(groups, None)) is not None:
        # The file names contain the number of files, which is known only at the end: files are renamed then.
        parts.append(target / f"part-{len(parts):05d}")
        # One writer per file and one row group per `write_table`, so at most PER_GROUP pictures are in memory.
        with pq.ParquetWriter(parts[-1], arrow, compression="zstd") as writer:  # type: ignore[no-untyped-call]
            room = per_file
            while group is not None:
                writer.write_table(_table(group, schema, arrow))  # type: ignore[no-untyped-call]
                written, room = written + len(group), room - len(group)
                group = next(groups, None) if room > 0 else None
    for number, part in enumerate(parts):
        part.rename(target / f"train-{number:05d}-of-{len(parts):05d}.parquet")
    return written


def _arrow_schema(schema: pl.Schema) -> pa.Schema:
    fields = [pa.field("image", IMAGE)]
    fields += [pa.field(field.name, _narrow(field.type)) for field in pl.DataFrame(schema=schema).to_arrow().schema]
    features = {"info": {"features": {"image": {"_type": "Image"}}}}
    return pa.schema(fields, metadata={"huggingface": json.dumps(features)})


def _narrow(kind: pa.DataType) -> pa.DataType:
    """The Arrow type with 32-bit offsets instead of polars' large strings and lists: `datasets` has one feature type for those."""
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_list(kind) or pa.types.is_list(kind):
        return pa.list_(_narrow(kind.value_type))
    return kind


def _table(group: list[ExportedPhoto], schema: pl.Schema, arrow: pa.Schema) -> pa.Table:
    pictures = pa.array([{"bytes": photo.jpeg, "path": f"{photo.image_id}.jpg"} for photo in group], IMAGE)
    columns = pl.DataFrame([photo.row for photo in group], schema=schema).to_arrow()
    named = [columns[name].cast(arrow.field(name).type) for name in schema.names()]
    return pa.Table.from_arrays([pictures, *named], schema=arrow)
