"""Figures: what they show, that nothing overlaps or leaves the page, and that they say so when there is nothing to show."""

import xml.etree.ElementTree as ElementTree
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from facestats_pipeline.core.drawing.plot_style import render, save_figure
from facestats_pipeline.core.reports import bias
from facestats_pipeline.core.reports.bias import Audit, bias_audit
from facestats_pipeline.core.reports.bias_plot import plot_bias, plot_bias_overview
from facestats_pipeline.core.reports.bias_table import bias_table
from facestats_pipeline.core.reports.cluster_faces import plot_cluster_faces
from facestats_pipeline.core.reports.measure_plots import plot_correlations, plot_measures
from facestats_pipeline.core.reports.model_plots import (
    plot_learning_curves,
    plot_reliability,
    plot_risk_coverage,
)
from facestats_pipeline.core.reports.plots import (
    correlations,
    plot_clusters,
    plot_distributions,
    plot_score_associations,
)
from facestats_pipeline.core.statistics.calibration import reliability, risk_coverage
from facestats_pipeline_tests.classes import AGE_BINS, ETHNICITIES, GENDERS

FACE = Image.new("RGB", (96, 96), (10, 200, 10))


def faces(n: int = 900, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.uniform(0, 80, n)
    gender = rng.choice([*GENDERS, "unknown"], n)
    said = np.where(rng.random(n) < 0.9, gender, "Male")
    return pl.DataFrame(
        {
            "image_id": [f"{i:032x}" for i in range(n)],
            "gender_final": gender,
            "ethnicity_final": rng.choice(ETHNICITIES, n),
            "age_bin_final": rng.choice(AGE_BINS, n),
            "age": age,
            "yaw": rng.normal(0, 20, n),
            "sharpness": rng.normal(0, 1, n),
            "brightness": np.full(n, 0.5),
            "attractiveness_raw": -age / 40 + rng.normal(0, 1, n),
            "said": said,
            "p": rng.uniform(0.5, 1, n),
            "pca_x": rng.normal(size=n),
            "pca_y": rng.normal(size=n),
            "cluster": rng.integers(0, 12, n),
        }
    )


def audit_of(frame: pl.DataFrame) -> pl.DataFrame:
    groups = [("gender_final",), ("ethnicity_final",), ("age_bin_final",), ("gender_final", "ethnicity_final")]
    audits = [
        Audit("gender", "said", "gender_final", "p"),
        Audit("attractiveness", "attractiveness_raw", kind="number"),
    ]
    return bias_audit(frame, audits, groups=groups)


def curves(folds: int | None) -> list[dict]:
    one = [{"epoch": e, "train_loss": 1 / e, "val_loss": 1 / e + 0.1, "val_pearson": 1 - 1 / e} for e in range(1, 25)]
    return one if folds is None else [row | {"fold": f} for f in range(folds) for row in one]


def every_figure() -> dict[str, Figure]:
    frame = faces()
    audit = audit_of(frame)
    p, right = frame["p"].to_numpy(), (frame["said"] == frame["gender_final"]).to_numpy()
    return {
        "distributions": plot_distributions(frame),
        "associations": plot_score_associations(correlations(frame), audit.filter(pl.col("metric") == "mean_score")),
        "clusters": plot_clusters(frame),
        "cluster_faces": plot_cluster_faces(frame.head(200), lambda image_id: FACE),
        "measures": plot_measures(frame),
        "correlations": plot_correlations(frame),
        "curves": plot_learning_curves(curves(None), n=102),
        "curves_of_folds": plot_learning_curves(curves(5)),
        "reliability": plot_reliability(reliability(p, right), name="Gender"),
        "risk": plot_risk_coverage(
            risk_coverage(p, right), name="Gender", n=900, target_error=0.05, chosen=(0.6, 0.08)
        ),
        "bias": plot_bias(audit, attribute="gender"),
        "bias_overview": plot_bias_overview(audit),
        "overconfidence": plot_bias(audit, attribute="gender", metric="overconfidence"),
        "no_distributions": plot_distributions(frame.head(0)),
        "no_associations": plot_score_associations(correlations(frame.head(5))),
        "no_clusters": plot_clusters(frame.head(0)),
        "no_cluster_faces": plot_cluster_faces(frame.head(0), lambda image_id: FACE),
        "no_measures": plot_measures(frame.head(0)),
        "no_correlations": plot_correlations(frame.head(5)),
        "no_curves": plot_learning_curves([]),
        "no_reliability": plot_reliability([]),
        "no_risk": plot_risk_coverage([]),
        "no_bias": plot_bias(pl.DataFrame(schema=bias_table().schema), attribute="gender"),
        "no_overview": plot_bias_overview(pl.DataFrame(schema=bias_table().schema)),
    }


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bias, "RESAMPLES", 200)  # intervals of a drawing
        return every_figure()


def test_figures_are_1200_wide_and_no_text_leaves_the_page_or_covers_another(figures: dict[str, Figure]) -> None:
    for name, figure in figures.items():
        assert Image.open(BytesIO(render(figure, "png"))).width == 1200
        page = figure.bbox
        if name == "clusters":
            continue  # numbers of clusters stand where the clusters are, even where clusters overlap
        hidden = set()
        for axis in figure.axes:  # matplotlib keeps tick labels beyond the limits, undrawn
            for labels, limits, index in (
                (axis.get_xticklabels(), axis.get_xlim(), 0),
                (axis.get_yticklabels(), axis.get_ylim(), 1),
            ):
                low, high = sorted(limits)
                hidden |= {id(t) for t in labels if not low - 1e-9 <= t.get_position()[index] <= high + 1e-9}
                if not axis.axison:
                    hidden |= {id(t) for t in labels}
        renderer = figure.canvas.get_renderer()
        boxes = [
            (text.get_text(), text.get_window_extent(renderer).shrunk(0.98, 0.9))
            for text in figure.findobj(Text)
            if text.get_visible() and text.get_text().strip() and id(text) not in hidden
        ]
        assert boxes
        for words, box in boxes:
            assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1, (
                f"{name}: {words!r}"
            )
        for index, (words, box) in enumerate(boxes):
            for other, other_box in boxes[index + 1 :]:
                assert not box.overlaps(other_box), f"{name}: {words!r} covers {other!r}"


@pytest.mark.slow
def test_svg_is_well_formed(figures: dict[str, Figure]) -> None:
    for figure in figures.values():
        assert ElementTree.fromstring(render(figure, "svg")).tag.endswith("svg")


def test_figures_are_saved_in_both_forms(figures: dict[str, Figure], tmp_path: Path) -> None:
    png, svg = save_figure(figures["curves"], tmp_path / "plots" / "curves.v1")
    assert (png.name, svg.name) == ("curves.v1.png", "curves.v1.svg")
    with Image.open(png) as picture:
        assert picture.width == 1200
    assert svg.read_bytes().startswith(b"<?xml")


def test_the_same_data_gives_the_same_bytes() -> None:
    one, two = (plot_distributions(faces()) for _ in range(2))
    assert render(one, "png") == render(two, "png")
    assert render(one, "svg") == render(two, "svg")
    with pytest.raises(ValueError, match="'png' or 'svg'"):
        render(one, "pdf")


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    before = dict(matplotlib.rcParams)
    render(plot_clusters(faces(50)), "svg")
    assert dict(matplotlib.rcParams) == before


def title_of(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.texts).replace("\u00a0", " ").replace("\n", " ")


def test_titles_state_n_and_the_finding(figures: dict[str, Figure]) -> None:
    assert "ethnicity most often East Asian (16%)" in title_of(figures["distributions"])
    assert "age in years goes most with the score: ρ = −0." in title_of(figures["associations"])
    assert "n = 900" in title_of(figures["associations"])
    assert "900 photos in 12 clusters" in title_of(figures["clusters"])
    assert "of 200 photos on the map of 12 clusters" in title_of(figures["cluster_faces"])
    assert "900 photos; half of the ages lie between" in title_of(figures["measures"])
    assert "“Age in years” goes most with the score: ρ = −0." in title_of(figures["correlations"])
    assert "over 5 folds" in title_of(figures["curves_of_folds"])
    assert "n = 102" in title_of(figures["curves"])
    assert "ECE = " in title_of(figures["reliability"]) and "n = 900" in title_of(figures["reliability"])
    assert "answers 60% of 900 photos with 8.0% errors" in title_of(figures["risk"])
    assert "lowest for" in title_of(figures["bias"])
    assert "too few" in title_of(figures["no_bias"])
    assert "figures of groups differ" in title_of(figures["bias_overview"])
    assert "too few" in title_of(figures["no_overview"])


def test_correlations_recover_what_was_put_in() -> None:
    found = {row["measure"]: row for row in correlations(faces()).iter_rows(named=True)}
    assert found["age"]["ci_lo"] < found["age"]["rho"] < found["age"]["ci_hi"] < -0.3
    assert found["sharpness"]["ci_lo"] < 0 < found["sharpness"]["ci_hi"]
    assert found["brightness"]["rho"] is None  # constant: there is no correlation to speak of
    assert "contrast" not in found
    few = faces(20)
    assert correlations(few)["rho"].null_count() == correlations(few).height


def test_every_face_of_the_map_is_drawn_in_a_place_of_its_own() -> None:
    frame = faces(150)
    asked: list[str] = []

    def load(image_id: str) -> Image.Image | bytes:
        asked.append(image_id)
        return b"no picture" if len(asked) == 1 else FACE

    figure = plot_cluster_faces(frame, load)
    (axis,) = figure.axes
    places = {tuple(image.get_extent()) for image in axis.images}
    assert len(places) == len(asked) == len(set(asked)) == len(axis.images)
    assert all(x0 >= 0 and x1 <= 16 and y0 >= 0 and y1 <= 11 for x0, x1, y0, y1 in places)
    pixels = np.asarray(Image.open(BytesIO(render(figure, "png"))).convert("RGB")).astype(int)
    green = (np.abs(pixels - (10, 200, 10)).max(axis=2) < 12).sum()
    assert green > 0.5 * len(asked) * 60 * 60, "faces lie over their frames"


def test_correlations_of_classes_and_measures_are_those_that_were_put_in() -> None:
    frame = faces(900).with_columns(
        attractiveness_raw=pl.when(gender_final="Female").then(1.0).otherwise(pl.col("age") / 1e4)
    )
    drawn = {text.get_text() for text in plot_correlations(frame).axes[0].texts}
    assert any(text.startswith("+.9") for text in drawn), "being female and the score"
    rare = frame.with_columns(
        ethnicity_final=pl.when(pl.int_range(pl.len()) < 3).then(pl.lit("Black")).otherwise(pl.lit("White"))
    )
    labels = [label.get_text() for label in plot_correlations(rare).axes[0].get_yticklabels()]
    assert "Female" in labels and "Black" not in labels, "three photos say nothing"


def test_head_turn_counts_by_its_size() -> None:
    yaw = np.linspace(-40, 40, 81)
    found = correlations(pl.DataFrame({"yaw": yaw, "attractiveness_raw": -np.abs(yaw)}), measures=["yaw"])
    assert found["rho"][0] == pytest.approx(-1)


def test_ece_in_the_title_is_the_calibration_error() -> None:
    p = np.full(100, 0.9)
    right = np.arange(100) < 70
    assert "is above its accuracy, ECE = 0.200, n = 100" in title_of(plot_reliability(reliability(p, right)))


def test_a_png_of_many_points_is_not_solid_and_stays_small() -> None:
    frame = faces(30_000)
    figure = plot_clusters(frame)
    assert "20,000 of them shown" in title_of(figure)
    assert len(render(figure, "svg")) < 2_000_000
    assert Image.open(BytesIO(render(figure, "png"))).width == 1200
