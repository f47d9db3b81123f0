"""What the attractiveness regressor is worth on london, every figure with its interval, as Markdown tables.

python -m facestats_pipeline_tests.benchmarks.report_attractiveness [--data DIR] [--encoder NAME] [--seeds N]

The 102 neutral portraits with ratings go through the pipeline's own steps (detect, align, embed with the default encoder, cross-validate
by person and duplicate), in about a minute and without a data folder. Everything is measured out of fold: no score is of a model that
saw the photo's rating, and no interval is set by errors of the fold that it is measured on. Folds are drawn anew for each seed.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from facestats_pipeline.config import PROJECT_ROOT, load_settings
from facestats_pipeline.core.attractiveness.regressor import RegressorConfig, run_training
from facestats_pipeline.core.attributes.catalogue import BUILT_IN
from facestats_pipeline.core.attributes.duplicate_groups import duplicate_groups
from facestats_pipeline.core.encoders.embedding import run_embedding
from facestats_pipeline.core.ingest.identity import image_id
from facestats_pipeline.core.labels.labels_file import read_labels
from facestats_pipeline.core.labels.ratings import Ratings, read_ratings
from facestats_pipeline.core.preproc.preprocessing import run_preprocessing
from facestats_pipeline.core.training.training_rows import TrainingRows, kinds_of_rows
from facestats_pipeline.io.data_folder import DataFolder

METRICS = {"pearson": "Pearson's r", "mae": "mean absolute error", "rmse": "root mean squared error"}


def embedded(data: Path, ratings: Ratings, folder: DataFolder) -> TrainingRows:
    """The rated photos with a face, embedded."""
    wanted = ratings.frame.sort("file")
    photos = [(image_id((data / file).read_bytes()), file, data / file) for file in wanted["file"]]
    done = list(run_preprocessing(photos, folder.preproc_settings, folder.detector))
    kept = [i for i, one in enumerate(done) if one.row["status"] == "ok" and one.jpeg is not None]
    x = run_embedding([done[i].jpeg for i in kept], folder.encoder)
    ids = pl.DataFrame({"image_id": [photos[i][0] for i in kept], "filename": [photos[i][1] for i in kept]})
    return TrainingRows(x, pl.concat([ids, wanted[kept]], how="horizontal"), folder.encoder.model_id)


def number(figure: dict[str, float]) -> str:
    """`0.398 (0.320–0.480)`."""
    return f"{figure['value']:.3f} ({figure['ci_lo']:.3f}–{figure['ci_hi']:.3f})"


def percent(share: dict[str, float]) -> str:
    """`90.2% (82.9–94.6)`."""
    return f"{share['value']:.1%} ({100 * share['ci_lo']:.1f}–{100 * share['ci_hi']:.1f})"


def table(title: str, header: list[str], rows: list[list[str]]) -> None:
    """Print a Markdown table under a heading."""
    print(f"\n**{title}**\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=PROJECT_ROOT.parent / "shared" / "data" / "london")
    parser.add_argument("--encoder", help="default: that of the settings")
    parser.add_argument("--seeds", type=int, default=5, help="times the folds are drawn")
    args = parser.parse_args()
    settings = load_settings(environ={}, **({"encoder.name": args.encoder} if args.encoder else {}))
    folder = DataFolder(settings, load_graph=list)
    ratings, labels = read_ratings(args.data / "labels.csv"), read_labels(args.data / "labels.csv")
    rows = embedded(args.data, ratings, folder)
    filenames = rows.table["filename"].to_list()
    people = kinds_of_rows(rows, labels.frame, filenames, BUILT_IN.names)
    person = dict(labels.frame.select("file", "group").iter_rows())
    alike = duplicate_groups(
        rows.image_ids, x=rows.x if folder.encoder.trained else None, groups=[person.get(file) for file in filenames]
    )
    wanted = settings.attractiveness
    runs: list[dict[str, Any]] = [
        run_training(
            rows.x,
            rows.table["rating"].to_numpy(),
            sd=rows.table["sd"].to_numpy(),
            n=rows.table["n"].to_numpy(),
            image_ids=rows.image_ids,
            encoder_id=rows.encoder_id,
            provenance=ratings.provenance,
            duplicates=alike,
            kinds=people,
            files=filenames,
            rating_scale=(1.0, 7.0),
            seed=seed,
            config=RegressorConfig(min_ratings=wanted.min_ratings, coverage=wanted.coverage, max_epochs=wanted.epochs),
        ).metrics
        for seed in range(args.seeds)
    ]
    show(runs, rows)


def show(runs: list[dict[str, Any]], rows: TrainingRows) -> None:
    """Print the tables; seed 0 is what `facestats run` trains."""
    first, rating = runs[0], rows.table["rating"].cast(pl.Float64).to_numpy()
    others = (rating.sum() - rating) / (len(rating) - 1)
    guess = {"mae": np.abs(rating - others).mean(), "rmse": np.sqrt(((rating - others) ** 2).mean())}
    print(f"{args_line(first)}; ratings: mean {rating.mean():.2f}, standard deviation {rating.std(ddof=1):.2f}")
    ceiling = first["noise_ceiling_pearson"]
    print(f"Ceiling of r by the noise of the ratings (sd²/n): {ceiling:.4f}. Warnings: {first['warnings'] or 'none'}.")
    table(
        "Out of fold",
        [
            "figure",
            "chosen model, 95% interval",
            "over folds, mean ± sd",
            "linear alone",
            "mean rating",
            f"over {len(runs)} seeds",
        ],
        [
            [
                words,
                number(first[name]),
                "{mean:.3f} ± {sd:.3f}".format(**first["over_folds"][name]),
                number(first["linear"][name]),
                f"{guess[name]:.3f}" if name in guess else "0",
                f"{np.mean(values := [run[name]['value'] for run in runs]):.3f} ± {np.std(values, ddof=1):.3f}"
                if len(runs) > 1
                else "–",
            ]
            for name, words in METRICS.items()
        ],
    )
    table(
        f"Each model by itself, mean over {len(runs)} seeds ± sd; chosen: {', '.join(sorted({run['chosen'] for run in runs}))}",
        ["model", *METRICS.values()],
        [
            [
                kind,
                *(
                    f"{np.mean(values := [run['candidates'][kind][name]['value'] for run in runs]):.3f} ± {np.std(values):.3f}"
                    for name in METRICS
                ),
            ]
            for kind in first["candidates"]
        ],
    )
    table(
        f"Coverage of the conformal interval, nominal {first['interval']['nominal']:.0%}, half-width "
        f"{first['interval']['half_width']:.2f}",
        ["kind", "group", "n", "coverage", f"over {len(runs)} seeds", "mean absolute error", "mean error"],
        [
            ["all", "all", str(first["measured"]), percent(first["interval"]["coverage"]), _over_seeds(runs), "", ""],
            *(
                [kind, group, str(found["n"]), *_group_cells(runs, kind, group)]
                for kind, groups in first["by_group"].items()
                for group, found in groups.items()
            ),
        ],
    )


def args_line(metrics: dict[str, Any]) -> str:
    """What was trained on what."""
    return f"{metrics['encoder']}; {metrics['provenance']}; n = {metrics['n']}, {metrics['folds']} folds"


def _over_seeds(runs: list[dict[str, Any]], kind: str | None = None, group: str = "") -> str:
    shares = [run["by_group"][kind][group]["coverage"] if kind else run["interval"]["coverage"] for run in runs]
    return f"{np.mean([share['value'] for share in shares]):.1%}"


def _group_cells(runs: list[dict[str, Any]], kind: str, group: str) -> list[str]:
    found = runs[0]["by_group"][kind][group]
    if "coverage" not in found:
        return ["too few", "", "", ""]
    means = [f"{found[name]['value']:.2f} ± {1.96 * found[name]['se']:.2f}" for name in ("mae", "mean_error")]
    return [percent(found["coverage"]), _over_seeds(runs, kind, group), *means]


if __name__ == "__main__":
    main()
