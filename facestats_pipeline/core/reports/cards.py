"""Data cards and model cards: what is in a collection, what a model can and cannot do, in Markdown with Hugging Face's header.

Cards hold counts and figures only. No image id and no name of a photo enters them, so that they can be published, and so that erasing
a person leaves nothing of them in a card.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from facestats_pipeline.core.attributes.attribute import UNKNOWN
from facestats_pipeline.core.attributes.catalogue import BUILT_IN, Catalogue
from facestats_pipeline.core.metadata.flag_table import reasons_of
from facestats_pipeline.core.reports.bias_plot import METRIC_WORDS
from facestats_pipeline.core.reports.card_inputs import CardInput, inputs_section, licence_fields, photo_inputs
from facestats_pipeline.core.reports.card_text import NOT_STATED, RESPONSIBLE_USE, cell, front_matter, section, table

Frame = pl.DataFrame | pl.LazyFrame

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


def data_card(
    manifest: Frame,
    master: Frame,
    *,
    name: str = "Face photos",
    description: str = "",
    inputs: Sequence[CardInput] = (),
    catalogue: Catalogue = BUILT_IN,
) -> str:
    """The data card of a collection.

    Args:
        manifest: all shards of `manifest.parquet`: source, licence, consent, bytes, status, format.
        master: all shards of `master.parquet`.
        name: title of the card.
        description: what the owner of the collection says of it, as a paragraph.
        inputs: labels and models that went into it; the photos themselves are listed from the manifest.
        catalogue: the collection's attributes.
    """
    listed, live = manifest.lazy(), master.lazy()
    n = int(live.select(pl.len()).collect().item())
    header = front_matter(
        {
            "pretty_name": name,
            **licence_fields(photo_inputs(listed)),
            "task_categories": ["image-classification", "image-feature-extraction"],
            "tags": ["faces", "facestats"],
            "size_categories": [next((label for limit, label in _SIZES if n < limit), "n>10M")],
        }
    )
    parts = [
        f"# {name}",
        description or f"{n:,} photos of faces with embeddings, attributes and quality measures, made by FaceStats.",
        section("Photos", _statuses(listed), _formats(listed)),
        section("Where they come from", _origins(listed), _unstated(listed, n)),
        section("Who is shown", _shown(live, n, catalogue)),
        section("Quality", _flags(live, n, catalogue)),
        section("How it was made", _made_with(live)),
        inputs_section(inputs),
        section("Limits", _limits(live, n, catalogue)),
        section("Responsible use", RESPONSIBLE_USE),
    ]
    return header + "\n" + "\n\n".join(part for part in parts if part) + "\n"


def model_card(
    report: Mapping[str, Any],
    *,
    name: str,
    bias: pl.DataFrame | None = None,
    inputs: Sequence[CardInput] = (),
    description: str = "",
    kind: str = "classification",
) -> str:
    """The model card of a trained probe or score model.

    Args:
        report: the JSON-able report of the model: `n`, `classes`, `encoder`, `provenance`, `warnings`, and figures, each a number or a
            mapping with `value` and `ci_lo`/`ci_hi` or `se`, or `mean` and `sd`. Lists and names of photos are never printed.
        name: title of the card.
        bias: rows of `bias_audit` about this model.
        inputs: what it was made from; the card's licence cannot be freer than theirs.
        description: one paragraph on what it does.
        kind: `classification` or `regression`.
    """
    figures = _figures(report)
    header = front_matter(
        {
            **licence_fields(inputs),
            "library_name": "facestats",
            "pipeline_tag": "image-classification" if kind == "classification" else "tabular-regression",
            "tags": ["faces", "facestats", kind],
            "model-index": [_index(name, report, figures, kind)] if figures else None,
        }
    )
    warnings = [str(text) for text in report.get("warnings", [])]
    parts = [
        f"# {name}",
        description or _what_it_is(report, kind),
        section("Model", _facts(report)),
        section(
            "Figures",
            _MEASURED if figures else "No figure was measured.",
            _figure_table(figures),
            _classes_table(report),
            _competing_table(report) if kind == "regression" else "",
        ),
        _by_group(report),
        inputs_section(inputs),
        section("Warnings", "\n".join(f"- {text}" for text in warnings)) if warnings else "",
        section("Groups", *_groups(bias)),
        section("Intended use", _INTENDED),
        section("Out of scope", _OUT_OF_SCOPE),
        section("Responsible use", RESPONSIBLE_USE),
    ]
    return header + "\n" + "\n\n".join(part for part in parts if part) + "\n"


_MEASURED = "Measured out of fold: no photo is judged by a model that saw its label. Intervals are 95%."

_INTENDED = (
    "Statistics over many photos of a collection whose people agreed to it: its make-up, its gaps, averages of groups; research on how "
    "such models fail. The model reads embeddings of the encoder named above and of no other."
)

_OUT_OF_SCOPE = (
    "Statements about a single person; identification; decisions about people; photos unlike those it was trained on (other "
    "cameras, poses, drawings); gender or ethnic identity, which no photo shows. Where the model answers `unknown`, do not use its "
    "most probable class in its place."
)

_WORDS = {
    "ece": "Expected calibration error",
    "ece_uncalibrated": "Expected calibration error before calibration",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    "pearson": "Pearson's r",
    "majority_share": "Share of the most frequent class",
    "answered_error": "Error among answered photos",
    "coverage": "Share answered",
    "brier": "Brier score",
    "log_loss": "Log loss",
    "target_error": "Target error",
    "threshold": "Threshold to answer",
    "mean_squared_rating_noise": "Mean squared error of the mean ratings themselves",
    "noise_ceiling_pearson": "Greatest Pearson's r that the noise of the ratings allows",
    "Interval: coverage": "Share of photos whose truth it holds",
    "Interval: nominal": "Share that it is meant to hold",
}
_FACT_KEYS = {
    "attribute": "Attribute",
    "n": "Photos trained on",
    "folds": "Folds",
    "groups": "Groups of near-duplicates, kept together in folds",
    "chosen": "Method",
    "encoder": "Encoder",
    "provenance": "Labels",
    "seed": "Seed",
    "temperature": "Temperature",
    "threshold": "Answers from this probability on",
    "created_by": "Made by",
}

_METRIC_TYPES = {"Mean absolute error": "mae", "Root mean squared error": "rmse", "Pearson's r": "pearsonr"}
"""Figure → the name of its metric in Hugging Face's `evaluate`."""

_TABLES = ("candidates", "recall", "setting", "by_group", "duplicates", "intervals")
"""Parts of a report that are no list of figures."""


def _what_it_is(report: Mapping[str, Any], kind: str) -> str:
    what = str(report.get("attribute", "an attribute")).replace("_", " ")
    verb = "Estimates" if kind == "regression" else "Classifies"
    return f"{verb} {what} from an image embedding of a face, and abstains where there is none or it is unsure."


def _facts(report: Mapping[str, Any]) -> str:
    rows = [(words, report[key]) for key, words in _FACT_KEYS.items() if isinstance(report.get(key), str | int | float)]
    classes = [str(c) for c in report.get("classes", [])]
    return table(("", "value"), rows + ([("Classes", ", ".join(classes))] if classes else []))


def _figures(report: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float, str]]:
    """(name, value, interval) of every figure of a report, one level of nesting deep."""
    found: list[tuple[str, float, str]] = []
    for key, value in report.items():
        if not prefix and (key in _FACT_KEYS or key in _TABLES):
            continue
        words = _WORDS.get(f"{prefix}: {key}", _WORDS.get(key, key.replace("_", " ").capitalize()))
        if prefix:
            words = f"{prefix}: {words if words.startswith('Pearson') else words[:1].lower() + words[1:]}"
        if isinstance(value, float):
            found.append((words, value, _interval(report.get("intervals", {}).get(key, {}))))
        elif isinstance(value, Mapping) and isinstance(value.get("value", value.get("mean")), int | float):
            found.append((words, float(value.get("value", value.get("mean"))), _interval(value)))
        elif isinstance(value, Mapping) and not prefix:
            found += _figures(value, words)
    return found


def _interval(figure: Mapping[str, Any]) -> str:
    if figure.get("ci_lo") is not None and figure.get("ci_hi") is not None:
        return f"{cell(float(figure['ci_lo']))} to {cell(float(figure['ci_hi']))}"
    if figure.get("se") is not None:
        value, reach = float(figure.get("value", figure.get("mean"))), 1.96 * float(figure["se"])
        return f"{cell(value - reach)} to {cell(value + reach)}"
    return f"standard deviation over folds {cell(float(figure['sd']))}" if figure.get("sd") is not None else ""


def _figure_table(figures: list[tuple[str, float, str]]) -> str:
    return table(("Figure", "value", "interval"), figures) if figures else ""


def _classes_table(report: Mapping[str, Any]) -> str:
    recall = report.get("recall")
    if not isinstance(recall, Mapping) or not recall:
        return ""
    rows = [(name, r["n"], float(r["value"]), _interval(r)) for name, r in recall.items()]
    return table(("Class", "n", "recall", "interval"), rows)


def _competing_table(report: Mapping[str, Any]) -> str:
    """Each model that competed to be the score model, by itself; the figures above are of the choice between them."""
    names = ("pearson", "mae", "rmse")
    rows = [
        (kind.replace("_", " "), *(_with_interval(figures.get(name)) for name in names))
        for kind, figures in report.get("candidates", {}).items()
    ]
    return table(("Model", *(_WORDS[name] for name in names)), rows) if rows else ""


def _by_group(report: Mapping[str, Any]) -> str:
    """Error and coverage of the interval in each group that people's labels make, as a regressor's report keeps them."""
    rows = [
        (
            kind.replace("_", " "),
            group,
            f["n"],
            *(_with_interval(f.get(name)) for name in ("coverage", "mae", "mean_error")),
        )
        for kind, groups in report.get("by_group", {}).items()
        for group, f in groups.items()
    ]
    if not rows:
        return ""
    header = ("", "Group", "n", "interval holds", "mean absolute error", "mean error")
    return section(
        "Groups of rated photos", table(header, rows), "95% intervals; a dash stands where a group is too small."
    )


def _with_interval(figure: Mapping[str, Any] | None) -> str | None:
    return None if figure is None else f"{cell(float(figure['value']))} ({_interval(figure)})"


def _groups(bias: pl.DataFrame | None) -> tuple[str, ...]:
    if bias is None or bias.is_empty():
        return ("Not audited: there are no labelled photos to compare groups with.",)
    texts = []
    for metric in bias["metric"].unique(maintain_order=True):
        rows = bias.filter(pl.col("metric") == metric)
        lines = [
            (
                r["group"],
                r["n"],
                r["value"],
                _interval(r) if r["value"] is not None else r["note"],
                r["gap"],
                r["p_adjusted"],
            )
            for r in rows.iter_rows(named=True)
        ]
        heading = f"**{METRIC_WORDS.get(metric, metric)}**"
        texts.append(
            f"{heading}\n\n" + table(("Group", "n", "value", "interval", "gap to the rest", "adjusted p"), lines)
        )
    return ("p-values are adjusted by Holm's method over all groups of a figure.", *texts)


def _p(value: float | None) -> str | float | None:
    return "< 0.001" if value is not None and value < 0.001 else value


def _index(name: str, report: Mapping[str, Any], figures: list[tuple[str, float, str]], kind: str) -> dict[str, Any]:
    metrics = [
        {"type": _METRIC_TYPES.get(name, name.lower().replace(" ", "_")), "name": name, "value": round(value, 4)}
        for name, value, _ in figures
        if ": " not in name  # figures of parts are in the card
    ]
    task = {"type": "image-classification" if kind == "classification" else "tabular-regression"}
    data = {"name": str(report.get("provenance", "user's labels")), "type": "user-labels"}
    return {"name": name, "results": [{"task": task, "dataset": data, "metrics": metrics}]}


def _count(frame: pl.LazyFrame, column: str) -> pl.DataFrame:
    value = pl.col(column).cast(pl.String).replace("", None).fill_null(NOT_STATED).alias("value")
    return frame.group_by(value).len("n").sort(["n", "value"], descending=[True, False]).collect()


def _statuses(listed: pl.LazyFrame) -> str:
    return table(("Status", "photos"), _count(listed, "status").rows())


def _formats(listed: pl.LazyFrame) -> str:
    used = listed.filter(pl.col("status") == "ok")
    megabytes = float(used.select(pl.col("bytes").sum()).collect().item() or 0) / 1e6
    formats = ", ".join(f"{value} {n:,}" for value, n in _count(used, "format").rows())
    return f"{megabytes:,.1f} MB in use. Formats: {formats or 'none'}."


def _origins(listed: pl.LazyFrame) -> str:
    columns = [pl.col(c).replace("", None).fill_null(NOT_STATED) for c in ("source", "licence", "consent")]
    used = listed.filter(pl.col("status") == "ok").group_by(columns).len("n")
    return table(
        ("Source", "licence", "consent", "photos"), used.sort("n", "source", descending=[True, False]).collect().rows()
    )


def _unstated(listed: pl.LazyFrame, n: int) -> str:
    silent = pl.col("consent").replace("", None).is_null() | pl.col("licence").replace("", None).is_null()
    count = int(listed.filter(pl.col("status") == "ok", silent).select(pl.len()).collect().item())
    if not count:
        return ""
    return f"**For {count:,} of {n:,} photos licence or consent is not stated.** Do not publish them before that is settled."


def _shown(live: pl.LazyFrame, n: int, catalogue: Catalogue) -> str:
    tables = ["Final values: what a person labelled, else what a model said, else `unknown`."]
    for attribute in catalogue:
        column = attribute.final_column
        counts = dict(_count(live, column).rows())
        unknown = counts.get(UNKNOWN, 0) + counts.get(NOT_STATED, 0)
        rows = [(value, counts.get(value, 0), _share(counts.get(value, 0), n)) for value in attribute.classes]
        tables.append(table((attribute.title, "photos", "share"), [*rows, (UNKNOWN, unknown, _share(unknown, n))]))
        sources = _count(live, f"{column}_source").rows()
        tables.append("Said by: " + ", ".join(f"{value} {count:,}" for value, count in sources) + ".")
    return "\n\n".join(tables)


def _flags(live: pl.LazyFrame, n: int, catalogue: Catalogue) -> str:
    flagged = int(live.filter(pl.col("flagged")).select(pl.len()).collect().item())
    reasons = (
        live.select(pl.col("reasons").explode().alias("reason")).drop_nulls().group_by("reason").len("n").collect()
    )
    counts = dict(reasons.rows())
    rows = [(reason, counts[reason], words) for reason, words in reasons_of(catalogue).items() if counts.get(reason)]
    text = f"{flagged:,} of {n:,} photos are flagged ({_share(flagged, n)})."
    return f"{text}\n\n{table(('Flag', 'photos', 'meaning'), rows)}" if rows else text


def _made_with(live: pl.LazyFrame) -> str:
    rows = []
    for title, column in (("Detector", "detector"), ("Preprocessing", "preproc_id"), ("Encoder", "model_id")):
        rows += [(title, value, count) for value, count in _count(live, column).rows()]
    return table(("Step", "identity", "photos"), rows)


def _limits(live: pl.LazyFrame, n: int, catalogue: Catalogue) -> str:
    thin: Sequence[str] = []
    for attribute in catalogue:
        counts = dict(_count(live, attribute.final_column).rows())
        thin = [*thin, *(value for value in attribute.classes if counts.get(value, 0) < max(30, 0.01 * n))]
    lines = ["- A collection is not a population: shares here say who was photographed and kept, not who exists."]
    if thin:
        lines.append(f"- Too few photos to say much: {', '.join(thin)}.")
    lines.append("- Values from models carry their errors; see the model cards for how large these are in which group.")
    return "\n".join(lines)


def _share(count: int, n: int) -> str:
    return f"{count / n:.1%}" if n else "–"
