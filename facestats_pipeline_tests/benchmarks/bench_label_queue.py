"""What the label queue is worth: `python -m facestats_pipeline_tests.benchmarks.bench_label_queue EMBEDDINGS.parquet LABELS.csv`.

Labels are revealed in steps, by the queue and in random order, to the same probe (logistic regression on the embeddings); after each
step it is tested on photos that neither may ask about. Prints the accuracy of gender and ethnicity at each number of labels, mean over
seeds, and how many labels of the queue reach what all random ones reach. EMBEDDINGS: a run's embeddings_clip.parquet.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.linear_model import LogisticRegression

from facestats_pipeline.core.attributes.catalogue import BUILT_IN
from facestats_pipeline.core.joins import conform
from facestats_pipeline.core.labels.labels_file import read_labels
from facestats_pipeline.core.metadata.clusters import fit_clusters
from facestats_pipeline.core.metadata.label_queue import labels_template
from facestats_pipeline.core.metadata.master_table import master_table
from facestats_pipeline.core.training.training_rows import training_rows

NAMES = ("gender", "ethnicity")
Matrix = npt.NDArray[np.float32]
Known = npt.NDArray[np.bool_]


def probes(x: Matrix, truth: pl.DataFrame, known: Known) -> dict[str, LogisticRegression]:
    """A probe for each attribute from the labels that are known."""
    return {
        name: LogisticRegression(C=1.0, max_iter=300).fit(x[known], truth[name].filter(pl.Series(known)).to_list())
        for name in NAMES
    }


def next_by_queue(
    x: Matrix, truth: pl.DataFrame, known: Known, pool: Known, cluster: npt.NDArray[np.int32], step: int
) -> list[int]:
    """Rows of the `step` photos that the queue asks for."""
    table = truth.select("image_id").with_columns(
        preproc_status=pl.lit("ok"), cluster=pl.Series(cluster), predicted_age_bin_kind=pl.lit("out_of_fold")
    )
    for name, probe in probes(x, truth, known).items():
        p = probe.predict_proba(x)
        table = table.with_columns(
            pl.Series(f"{name}_top", probe.classes_[p.argmax(axis=1)].tolist()),
            pl.Series(BUILT_IN[name].p_column, p.max(axis=1).astype(np.float32)),
            pl.Series(f"predicted_{name}_kind", np.where(known, "out_of_fold", "model").tolist()),
        )
    asked = labels_template(conform(table, master_table().schema).filter(pl.Series(pool)), size=step)["image_id"]
    row = {image_id: i for i, image_id in enumerate(truth["image_id"])}
    return [row[image_id] for image_id in asked]


def curve(x: Matrix, truth: pl.DataFrame, by_queue: bool, seed: int, steps: int, step: int) -> list[dict[str, float]]:
    """Accuracy of each attribute on held-out photos after each step."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    held_out, rest = order[: len(x) // 3], order[len(x) // 3 :]
    pool, known = np.zeros(len(x), bool), np.zeros(len(x), bool)
    pool[rest], known[rest[:step]] = True, True
    cluster = fit_clusters(x[rest], seed=seed).assign(x)[1]
    found = []
    for number in range(steps):
        if number:
            waiting = rest[~known[rest]]
            known[next_by_queue(x, truth, known, pool, cluster, step) if by_queue else waiting[:step]] = True
        made = probes(x, truth, known)
        found.append(
            {
                name: float(np.mean(made[name].predict(x[held_out]) == truth[name].to_numpy()[held_out]))
                for name in NAMES
            }
        )
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("embeddings", type=Path, nargs="?")
    parser.add_argument("labels", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--step", type=int, default=100)
    options = parser.parse_args()
    if options.labels is None:
        print("not measured: it needs the embeddings of a run and people's labels of its photos")
        return
    table = pl.read_parquet(options.embeddings)
    rows = training_rows(read_labels(options.labels).frame, table["filename"].to_list(), [table])
    known = pl.Series(rows.table.select(pl.all_horizontal(pl.col(NAMES).is_not_null())).to_series())
    x, truth = rows.x[known.to_numpy()] * np.float32(rows.x.shape[1] ** 0.5), rows.table.filter(known)
    curves = {
        way: [curve(x, truth, way == "queue", seed, options.steps, options.step) for seed in range(options.seeds)]
        for way in ("random", "queue")
    }
    print(f"{len(x)} photos, {rows.encoder_id}, {options.seeds} seeds")
    print("| labels | " + " | ".join(f"{name}, random | {name}, queue" for name in NAMES) + " |")
    print("|--:|" + "--:|" * 4)
    mean = {
        (way, name): np.array([[step[name] for step in one] for one in some]).mean(axis=0)
        for way, some in curves.items()
        for name in NAMES
    }
    for number in range(options.steps):
        cells = [f"{mean[way, name][number]:.3f}" for name in NAMES for way in ("random", "queue")]
        print(f"| {(number + 1) * options.step} | {' | '.join(cells)} |")
    for name in NAMES:
        enough = np.flatnonzero(mean["queue", name] >= mean["random", name][-1])
        reached = f"{(enough[0] + 1) * options.step} by the queue" if len(enough) else "not by the queue"
        print(f"{name}: what {options.steps * options.step} random labels reach is reached with {reached}")


if __name__ == "__main__":
    main()
