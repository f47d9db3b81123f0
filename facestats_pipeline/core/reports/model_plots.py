"""Figures about models: learning curves, reliability diagram, risk–coverage curve."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from facestats_pipeline.core.drawing.plot_style import (
    BLUE,
    GREEN,
    INK,
    LABEL,
    ORANGE,
    QUIET,
    TICK,
    VERMILLION,
    empty_panel,
    new_figure,
    panel_title,
    style_axes,
)


def plot_learning_curves(
    curves: Sequence[Mapping[str, Any]], *, n: int | None = None, name: str = "score model"
) -> Figure:
    """Training and validation loss, and Pearson's r on the validation rows, over epochs.

    curves: one mapping per epoch with epoch, train_loss, val_loss, val_pearson, as `run_training` returns them. With a key `fold`, each
    fold is a thin line.
    """
    figure, (left, right) = new_figure(*_curve_words(curves, n, name), height=3.4, columns=2)
    if not curves:
        empty_panel(left, "No epoch was trained")
        empty_panel(right, "")
        return figure
    folds: dict[Any, list[Mapping[str, Any]]] = {}
    for row in curves:
        folds.setdefault(row.get("fold"), []).append(row)
    for index, rows in enumerate(folds.values()):
        rows = sorted(rows, key=lambda row: row["epoch"])
        epochs = [row["epoch"] for row in rows]
        width, dots = (2.0 if len(folds) == 1 else 1.2), ("o" if len(rows) < 15 else "")
        for axis, key, colour, label in (
            (left, "train_loss", BLUE, "training"),
            (left, "val_loss", VERMILLION, "validation"),
            (right, "val_pearson", GREEN, "validation"),
        ):
            style = "-" if key != "train_loss" else (0, (4, 2))
            named = label if not index else None
            values = [row[key] for row in rows]
            axis.plot(epochs, values, color=colour, ls=style, label=named, linewidth=width, marker=dots, markersize=4)
    for axis, label in ((left, "Loss"), (right, "Pearson's r")):
        style_axes(axis, grid="y")
        axis.set_xlabel("Epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel_title(axis, label)
    left.legend(frameon=False, fontsize=TICK, loc="center right")
    right.set_ylim(top=max(1.0, right.get_ylim()[1]))
    return figure


def plot_reliability(rows: Sequence[Mapping[str, float]], *, name: str = "model") -> Figure:
    """Reliability diagram with the expected calibration error: accuracy against confidence, and a histogram of the confidence.

    rows: the result of `calibration.reliability` on out-of-fold predictions, as stored in a probe's report.
    """
    if not rows:
        return nothing_to_show(f"{name}: no labelled photo to check its confidence on")
    counts = np.array([row["n"] for row in rows], dtype=np.float64)
    n, weights = int(counts.sum()), counts / counts.sum()
    sure, right = (np.array([row[key] for row in rows]) for key in ("confidence", "accuracy"))
    ece = float(weights @ np.abs(sure - right))
    lean = float(weights @ (sure - right))
    if ece <= 0.03:
        words = "matches its accuracy"
    elif abs(lean) < ece / 2:  # the bins' errors cancel: some lie above the diagonal, some below
        words = "is too high here and too low there"
    else:
        words = f"is {'above' if lean > 0 else 'below'} its accuracy"
    figure, (top, bottom) = new_figure(
        f"{name}: confidence {words}, ECE = {ece:.3f}, n = {n:,}",
        f"Mean confidence {weights @ sure:.1%}, accuracy {weights @ right:.1%}. Dots: photos of similar confidence, with 95% Wilson "
        "intervals. On the dashed line, confidence is right.",
        height=4.9,
        rows=2,
        height_ratios=(3, 1),
    )
    low = min(row["lo"] for row in rows)
    top.plot([low, 1], [low, 1], color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
    for row in rows:
        top.plot([row["confidence"]] * 2, [row["ci_lo"], row["ci_hi"]], color=BLUE, linewidth=1.6)
    top.plot(sure, right, "o", color=BLUE, markersize=6)
    edges = np.array([(row["lo"], row["hi"]) for row in rows])
    bottom.bar(edges.mean(axis=1), counts, width=0.9 * (edges[:, 1] - edges[:, 0]), color=ORANGE)
    for axis in (top, bottom):
        style_axes(axis, grid="y")
        axis.set_xlim(low - 0.01, 1.01)
    top.set_ylabel("Share that was right")
    top.tick_params(labelbottom=False)
    bottom.set_ylabel("Photos")
    bottom.yaxis.set_major_formatter("{x:,.0f}")
    bottom.set_xlabel("Confidence in the most probable class")
    return figure


def plot_risk_coverage(
    rows: Sequence[Mapping[str, float]],
    *,
    name: str = "model",
    n: int | None = None,
    target_error: float | None = None,
    chosen: tuple[float, float] | None = None,
) -> Figure:
    """Risk–coverage curve: error among the answered photos against the share answered, with the target and the chosen threshold.

    Args:
        rows: the result of `calibration.risk_coverage`, as stored in a probe's report.
        n: number of photos.
        target_error: the target for the error among answered photos.
        chosen: (share answered, error among the answered) at the chosen threshold; (0, nan) if it always abstains.
    """
    if not rows:
        return nothing_to_show(f"{name}: no labelled photo to measure errors on")
    ordered = sorted(rows, key=lambda row: row["coverage"])
    everything, of = ordered[-1]["risk"], f"{n:,} photos" if n is not None else "the photos"
    if chosen is None:
        title = f"{name}: {everything:.1%} errors when all of {of} are answered"
    elif chosen[0] > 0:
        title = f"{name}: answers {chosen[0]:.0%} of {of} with {chosen[1]:.1%} errors"
    else:
        title = f"{name}: answers none of {of}, since no threshold meets the target"
    subtitle = f"Answering all of them gives {everything:.1%} errors. Band: 95% Wilson intervals."
    figure, (axis,) = new_figure(title, subtitle, height=3.9)
    style_axes(axis, grid="both")
    coverage, low, high, risk = ([row[key] for row in ordered] for key in ("coverage", "ci_lo", "ci_hi", "risk"))
    axis.fill_between(coverage, low, high, color=BLUE, alpha=0.18, lw=0)
    axis.plot(coverage, risk, color=BLUE, linewidth=2)
    # Not the full range of the band: the intervals of the first few photos reach up to 1.
    axis.set_ylim(0, min(1.0, max(0.02, 2.2 * max(everything, target_error or 0))))
    axis.set_xlim(0, 1.01)
    paper = {
        "facecolor": "white",
        "alpha": 0.8,
        "linewidth": 0,
        "pad": 1,
    }  # words stay readable where they cross the curve
    beside: dict[str, Any] = {"textcoords": "offset points", "color": INK, "fontsize": LABEL, "bbox": paper}
    if target_error is not None:
        axis.axhline(target_error, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
        axis.annotate(f"target {target_error:.0%}", (1, target_error), xytext=(0, -12), ha="right", **beside)
    if chosen is not None and chosen[0] > 0:
        axis.plot([chosen[0]], [chosen[1]], "D", color=VERMILLION, markersize=8, zorder=5)
        side: dict[str, Any] = (
            {"xytext": (8, -16), "ha": "left"} if chosen[0] < 0.3 else {"xytext": (-8, 10), "ha": "right"}
        )
        axis.annotate("chosen threshold", chosen, **side, **beside)
    axis.set_xlabel("Share of photos answered, the most confident first")
    axis.set_ylabel("Share of errors among them")
    axis.xaxis.set_major_formatter(PercentFormatter(1))
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    return figure


def nothing_to_show(title: str) -> Figure:
    """An empty figure whose title gives the reason."""
    figure, (axis,) = new_figure(title, height=2.0)
    empty_panel(axis, "Nothing to show")
    return figure


def _curve_words(curves: Sequence[Mapping[str, Any]], n: int | None, name: str) -> tuple[str, str]:
    if not curves:
        return f"{name}: not trained", ""
    folds: dict[Any, list[Mapping[str, Any]]] = {}
    for row in curves:
        folds.setdefault(row.get("fold"), []).append(row)
    bests = [min(rows, key=lambda row: row["val_loss"]) for rows in folds.values()]
    scores = np.array([row["val_pearson"] for row in bests], dtype=np.float64)
    rated = f", n = {n:,}" if n is not None else ""
    how = "Dashed: training rows. Solid: rows that the model was not trained on."
    name = f"{name[:1].upper()}{name[1:]}"
    if len(bests) == 1:
        epoch, last = bests[0]["epoch"], max(row["epoch"] for row in curves)
        title = f"{name}: Pearson's r {scores[0]:.2f} at its best epoch, {epoch} of {last}{rated}"
        return title, f"Best by validation loss, {bests[0]['val_loss']:.3f}. {how}"
    title = f"{name}: Pearson's r {scores.mean():.2f} ± {scores.std(ddof=1):.2f} over {len(bests)} folds{rated}"
    return title, f"Mean ± standard deviation, each fold at its best validation loss. {how}"
