"""Damaged tables, settings, checkpoints, probes and indexes through their readers: each is read, or refused by the reader's own error.

    python -m facestats_pipeline_tests.robustness.files [--count 300] [--seed 0] [KIND ...]

Prints, for each kind, how many were read and how many refused. Anything else ends the process, with the kind and the number of the file.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from facestats_pipeline_tests.robustness.mutations import mutated, mutated_texts

LABELS = (
    'file,age,gender,race\na.jpg,20-29,Male,White\n"b, c.jpg",3-9,Female,East Asian\nd.jpg,more than 70,female,Black\n'
)
RATINGS = "file,rating,rater\na.jpg,3.5,A\nb.jpg,4,B\nb.jpg,2,A\nc.jpg,1,\n"
MANUAL = (
    "image_id,attribute,value,annotator,labelled_at\n"
    "0123456789abcdef0123456789abcdef,gender,Male,me,2026-01-01T00:00:00Z\n"
    "0123456789abcdef0123456789abcdef,age_bin,20-29,me,2026-01-02T00:00:00Z\n"
)
SOURCES = "path,source,licence,consent\n.,a web page,CC BY 4.0,yes\na/b.jpg,me,CC0,\n"
YAML = "shard_size: 100\npreproc:\n  size: 224\n  fit: pad\nencoder:\n  name: facestats-mini\ningest: {source: me, licence: CC0}\n"


class Reader(NamedTuple):
    """A kind of file: damaged contents, how one is read, and the errors that it may be refused with."""

    contents: Iterable[bytes]
    ending: str
    read: Callable[[Path], object]
    errors: tuple[type[Exception], ...]


def _texts(kind: str, count: int, seed: int) -> Reader:
    from facestats_pipeline.config import SettingsError, load_settings
    from facestats_pipeline.core.ingest.sources import read_sources
    from facestats_pipeline.core.labels.labels_file import read_labels
    from facestats_pipeline.core.labels.ratings import read_ratings
    from facestats_pipeline.core.metadata.manual_labels import read_manual_labels
    from facestats_pipeline.core.user_files.text_table import LabelsError

    def settings(path: Path) -> object:
        return load_settings(path, environ={})

    good, read, error = {
        "labels": (LABELS, read_labels, LabelsError),
        "ratings": (RATINGS, read_ratings, LabelsError),
        "manual": (MANUAL, read_manual_labels, LabelsError),
        "sources": (SOURCES, read_sources, LabelsError),
        "settings": (YAML, settings, SettingsError),
    }[kind]
    return Reader(mutated_texts(good, count, seed), ".yaml" if kind == "settings" else ".csv", read, (error,))  # type: ignore[arg-type]


def _checkpoint(count: int, seed: int, folder: Path) -> Reader:
    import torch

    from facestats_pipeline.io.io_managers import load_checkpoint

    path = folder / "good.pt"
    torch.save({"weight": torch.arange(40.0), "encoder_id": "e@1", "metrics": {"mae": 0.5}}, path)
    return Reader(_bytes(path.read_bytes(), count, seed), ".pt", load_checkpoint, (ValueError,))


def _encoder(count: int, seed: int, folder: Path) -> Reader:
    import torch
    from safetensors.torch import save_file

    from facestats_pipeline.core.encoders.checkpoints import _check_weights
    from facestats_pipeline.core.encoders.errors import EncoderUnavailable

    path = folder / "good.safetensors"
    save_file({"weight": torch.arange(40.0), "bias": torch.zeros(3)}, path)
    return Reader(_bytes(path.read_bytes(), count, seed), ".safetensors", _check_weights, (EncoderUnavailable,))


def _probe(count: int, seed: int, folder: Path) -> Reader:
    import numpy as np

    from facestats_pipeline.core.attributes.catalogue import BUILT_IN
    from facestats_pipeline.core.attributes.probe_store import ProbeError, load_probe, save_probe
    from facestats_pipeline.core.attributes.probes import train_classifier
    from facestats_pipeline.core.training.provenance import Provenance

    rng = np.random.default_rng(0)
    names = [("Male", "Female")[i % 2] for i in range(60)]
    x = rng.normal(size=(60, 8)).astype(np.float32) + np.array([[i % 2] * 8 for i in range(60)], dtype=np.float32)
    probe = train_classifier(
        x,
        names,
        BUILT_IN["gender"],
        image_ids=[f"{i:032x}" for i in range(60)],
        encoder_id="e@1",
        provenance=Provenance("human", "labels.csv", "0" * 64),
        kind="logistic",
    )
    good = {path.name: path.read_bytes() for path in save_probe(probe, folder, "gender_clf")}
    draw = random.Random(seed)

    def read(path: Path) -> object:
        for name, data in good.items():
            (folder / name).write_bytes(data)
        name = draw.choice(sorted(good))
        (folder / name).write_bytes(mutated(good[name], draw))
        return load_probe(folder, "gender_clf")

    return Reader([b""] * count, ".any", read, (ProbeError,))


def _index(count: int, seed: int, folder: Path) -> Reader:
    import numpy as np

    from facestats_pipeline.core.embeddings.index import IndexUnreadable, build_index, load_index

    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    path = folder / "good.usearch"
    build_index([([f"{i:032x}" for i in range(50)], vectors)], model_id="m@1").save(path)

    def read(damaged: Path) -> object:
        return load_index(damaged, view=True).search(vectors[:2], 3)

    return Reader(_bytes(path.read_bytes(), count, seed), ".usearch", read, (IndexUnreadable,))


def _bytes(good: bytes, count: int, seed: int) -> list[bytes]:
    draw = random.Random(seed)
    return [mutated(good, draw) for _ in range(count)]


TEXTS = ("labels", "ratings", "manual", "sources", "settings")
BINARIES = {"checkpoint": _checkpoint, "encoder": _encoder, "probe": _probe, "index": _index}
SLOWEST_SECONDS = 10.0


def meet(kind: str, count: int, seed: int) -> dict[str, float]:
    """Read `count` damaged files of one kind; how many were read and refused, and the slowest."""
    found: dict[str, float] = {"read": 0, "refused": 0, "slowest_seconds": 0.0}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reader = _texts(kind, count, seed) if kind in TEXTS else BINARIES[kind](count, seed, folder)
        for number, data in enumerate(reader.contents):
            path = folder / f"damaged{reader.ending}"
            path.write_bytes(data)
            started = time.monotonic()
            try:
                reader.read(path)
                found["read"] += 1
            except reader.errors as error:
                assert str(error)
                found["refused"] += 1
            except BaseException:
                print(f"{kind} {number} of seed {seed}: {data[:300]!r}", file=sys.stderr)
                raise
            seconds = time.monotonic() - started
            assert seconds < SLOWEST_SECONDS, (kind, number, seconds)
            found["slowest_seconds"] = max(found["slowest_seconds"], round(seconds, 3))
    return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=[*TEXTS, *BINARIES])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(json.dumps({kind: meet(kind, options.count, options.seed) for kind in options.kinds}))


if __name__ == "__main__":
    main()
