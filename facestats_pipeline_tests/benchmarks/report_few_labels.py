"""What a few labels are worth: own probes, the shipped ones adapted to them, and the shipped ones as they are, as a Markdown table.

    python -m facestats_pipeline_tests.benchmarks.report_few_labels [--work DIR] [--labels 60 150 400] [--seeds 3]

Takes the data folders that `report_attributes` makes below --work. Labels are drawn at random, the accuracy is of all other photos with
a label; copies of a photo (equal content or near) are not told apart here. Means over seeds, with the standard deviation between them.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
import polars as pl

from facestats_pipeline.config import PROJECT_ROOT, load_settings
from facestats_pipeline.core.attributes.catalogue import BUILT_IN
from facestats_pipeline.core.attributes.probe_classifier import TrainedProbe
from facestats_pipeline.core.attributes.probes import train_classifier
from facestats_pipeline.core.attributes.shipped_probes import load_shipped
from facestats_pipeline.core.labels.labels_file import read_labels
from facestats_pipeline.core.training.provenance import Provenance
from facestats_pipeline.core.training.training_rows import training_rows
from facestats_pipeline.io.weights import shipped_probes

CASES = (
    ("fairface_photos", "gender"),
    ("fairface_photos", "ethnicity"),
    ("fairface_photos", "age"),
    ("congress_us", "age"),
)


def right(probe: TrainedProbe, x: np.ndarray, y: np.ndarray) -> float:
    """Accuracy in percent."""
    return 100 * float((np.array(probe.classes)[probe.predict_proba(x).argmax(axis=1)] == y).mean())


def measured(name: str, attribute: str, data: Path, folder: Path, counts: list[int], seeds: int) -> None:
    """Rows of the table for one attribute of one set."""
    embedded = pl.read_parquet(folder / "processed" / "embeddings" / "embeddings_clip.parquet")
    labels = read_labels(data / "labels.csv")
    rows = training_rows(labels.frame, embedded["filename"].to_list(), [embedded])
    start = load_shipped(shipped_probes(load_settings(environ={}, data_dir=folder)), rows.encoder_id).classifier(
        attribute
    )
    if start is None:
        raise SystemExit(f"{folder}: no probe of {attribute} is shipped for {rows.encoder_id}")
    column = rows.table[start.attribute]
    has = np.flatnonzero(np.array([v in start.classes for v in column]))
    x, y = rows.x[has], np.array(column.to_list(), dtype=object)[has]
    for n in counts:
        found: dict[str, list[float]] = {"own": [], "adapted": [], "shipped": []}
        for seed in range(seeds):
            order = np.random.default_rng(seed).permutation(len(y))
            few, others = order[:n], order[n:]
            for how, first in (("own", None), ("adapted", start)):
                probe = train_classifier(
                    x[few],
                    y[few].tolist(),
                    BUILT_IN[start.attribute],
                    image_ids=[str(i) for i in few],
                    encoder_id=rows.encoder_id,
                    provenance=Provenance("human", "labels.csv"),
                    start=first,
                    min_per_class=2,
                )
                found[how].append(right(probe, x[others], y[others]))
            found["shipped"].append(right(start, x[others], y[others]))
        cells = " | ".join(f"{np.mean(v):.1f} ± {np.std(v, ddof=1) if seeds > 1 else 0:.1f}" for v in found.values())
        print(f"| {name} | {attribute} | {n} | {cells} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=PROJECT_ROOT.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "facestats-report")
    parser.add_argument("--labels", type=int, nargs="+", default=[60, 150, 400])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| set | attribute | labels | own probe, % right | shipped, adapted | shipped |\n|---|---|--:|--:|--:|--:|")
    for name, attribute in CASES:
        measured(name, attribute, options.data / name, options.work / name, options.labels, options.seeds)


if __name__ == "__main__":
    main()
