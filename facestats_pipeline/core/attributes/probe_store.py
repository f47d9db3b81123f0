"""Stores probes without pickle: scikit-learn models as skops, LightGBM as text, everything else as JSON.

The files are `gender_clf.json` (read first: format, encoder, and SHA-256 of the other files), `gender_clf.skops` or `gender_clf.txt`,
`age_model_years.skops` for years, and `gender_clf_oof.parquet` with out-of-fold probabilities.

A probe for publication is saved without its rows: the number and provenance of its labels stay, data of single images do not.
"""

import hashlib
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skops.io import dumps, get_untrusted_types, loads

from facestats_pipeline.core.attributes.probe_age import TrainedAge
from facestats_pipeline.core.attributes.probe_classifier import TrainedProbe
from facestats_pipeline.core.attributes.probe_models import ProbeModel
from facestats_pipeline.core.attributes.probe_report import FittedRollup
from facestats_pipeline.core.attributes.probes import oof_of
from facestats_pipeline.core.statistics.calibration import Calibration
from facestats_pipeline.core.statistics.top_label import TopLabel
from facestats_pipeline.core.training.provenance import Provenance

__all__ = ["EncoderMismatch", "ProbeError", "check_encoder", "load_probe", "oof_of", "save_probe"]

PROBE_FORMAT = "facestats-probe/1"
AGE_FORMAT = "facestats-age/1"
OOF_YEARS = ("age", "age_lo", "age_hi")

# Types that a skops file may build beyond skops' own list of scikit-learn and NumPy types. Probes need none.
TRUSTED_TYPES: tuple[str, ...] = ()


class ProbeError(Exception):
    """A stored probe cannot be used. The message names the file and the problem."""


class EncoderMismatch(Exception):
    """A model was trained on embeddings of another encoder, so its output would mean nothing."""


def check_encoder(model: str, trained_on: str, given: str) -> None:
    """Raise EncoderMismatch unless `model` was trained on embeddings of the encoder `given` (both are model_ids)."""
    if trained_on != given:
        raise EncoderMismatch(
            f"{model} was trained on embeddings of {trained_on!r} and cannot read those of {given!r}. "
            "Train it again with this encoder, or choose the encoder it was trained on."
        )


def save_probe(probe: TrainedProbe | TrainedAge, folder: Path, stem: str, *, with_rows: bool = True) -> list[Path]:
    """Write a probe as files that begin with `stem`, and return their paths. The JSON comes last, because it marks the probe as complete.

    with_rows=False leaves out the ids of the training images and their out-of-fold probabilities; the count and the provenance stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base = probe.probe if isinstance(probe, TrainedAge) else probe
    contents: dict[str, bytes] = {}
    if isinstance(base.model.model, Pipeline):
        contents[f"{stem}.skops"] = dumps(base.model.model)
    else:
        contents[f"{stem}.txt"] = base.model.model.model_to_string().encode()
    if isinstance(probe, TrainedAge) and probe.ridge is not None:
        contents[f"{stem}_years.skops"] = dumps(probe.ridge)
    card: dict[str, Any] = {"format": PROBE_FORMAT, **_probe_card(base)}
    if with_rows:
        card["image_ids"] = list(base.image_ids)
    if isinstance(probe, TrainedAge):
        years = {k: getattr(probe, k) for k in ("centres", "widths", "ridge_share", "quantile", "coverage", "report")}
        card |= {"format": AGE_FORMAT, "years": years}
    card["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    written = []
    for name, data in contents.items():
        (folder / name).write_bytes(data)
        written.append(folder / name)
    if with_rows and len(base.oof_proba):
        _oof_table(probe).write_parquet(folder / f"{stem}_oof.parquet")
        written.append(folder / f"{stem}_oof.parquet")
    (folder / f"{stem}.json").write_text(json.dumps(card, indent=1, allow_nan=False), encoding="utf-8")
    return [*written, folder / f"{stem}.json"]


def load_probe(
    folder: Path, stem: str, *, encoder_id: str | None = None, source: str = "probe"
) -> TrainedProbe | TrainedAge:
    """Read a probe written by `save_probe`.

    encoder_id: the encoder in use; EncoderMismatch if it is not the probe's. source: "probe", or "shipped" for one that came with
    FaceStats. Raises ProbeError when a file is missing, changed, or holds anything but the expected models.
    """
    path = folder / f"{stem}.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        if card["format"] not in (PROBE_FORMAT, AGE_FORMAT):
            raise ProbeError(
                f"{path}: its format is {card['format']!r}; this version reads {PROBE_FORMAT} and {AGE_FORMAT}"
            )
        contents = {name: _checked(folder, name, digest) for name, digest in card["files"].items()}
        probe = _read_probe(folder, stem, card, contents, source)
        if card["format"] == PROBE_FORMAT:
            out: TrainedProbe | TrainedAge = probe
        else:
            years, name = card["years"], f"{stem}_years.skops"
            ridge = _pipeline(folder / name, contents[name], RidgeCV) if name in contents else None
            numbers = {k: tuple(float(v) for v in years[k]) for k in ("centres", "widths")}
            single = {k: float(years[k]) for k in ("ridge_share", "quantile", "coverage")}
            parts: dict[str, Any] = {**numbers, **single, "oof_years": _read_oof_years(folder / f"{stem}_oof.parquet")}
            out = TrainedAge(probe=probe, ridge=ridge, report=years["report"], **parts)
    except FileNotFoundError as error:
        raise ProbeError(f"{error.filename}: no such file; train the probe or copy all of its files") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProbeError(f"{path}: not a stored probe ({type(error).__name__}: {error})") from error
    if encoder_id is not None:
        check_encoder(str(path), probe.encoder_id, encoder_id)
    return out


def _probe_card(probe: TrainedProbe) -> dict[str, Any]:
    return {
        "created_by": probe.created_by,
        "attribute": probe.attribute,
        "classes": list(probe.classes),
        "kind": probe.model.kind,
        "setting": probe.model.setting,
        "encoder": probe.encoder_id,
        "provenance": probe.provenance.as_dict(),
        "calibration": asdict(probe.calibration),
        "threshold": probe.threshold,
        "target_error": probe.target_error,
        "rollup": asdict(probe.rollup) if probe.rollup else None,
        "report": probe.report,
        "n": probe.labelled,
    }


def _read_probe(folder: Path, stem: str, card: dict[str, Any], contents: dict[str, bytes], source: str) -> TrainedProbe:
    k = len(card["classes"])
    model: Pipeline | lgb.Booster
    if card["kind"] == "logistic":
        model = _pipeline(folder / f"{stem}.skops", contents[f"{stem}.skops"], LogisticRegression)
    else:
        try:
            model = lgb.Booster(model_str=contents[f"{stem}.txt"].decode())
        except lgb.basic.LightGBMError as error:
            raise ProbeError(f"{folder / stem}.txt: not a LightGBM model ({error})") from None
    if not _knows(model, k):
        raise ProbeError(f"{folder / stem}: the model was not trained for the {k} classes that the JSON lists")
    calibration = _calibration(card["calibration"], k)
    rollup = None
    if card["rollup"] is not None:
        r = card["rollup"]
        rollup = FittedRollup(
            tuple(r["classes"]), _calibration(r["calibration"], len(r["classes"])), float(r["threshold"])
        )
    ids = tuple(str(i) for i in card.get("image_ids", ()))
    proba, target, fold = _read_oof(folder / f"{stem}_oof.parquet", ids, k)
    return TrainedProbe(
        attribute=str(card["attribute"]),
        classes=tuple(str(c) for c in card["classes"]),
        model=ProbeModel(str(card["kind"]), model, k, dict(card["setting"])),
        calibration=calibration,
        threshold=float(card["threshold"]),
        target_error=float(card["target_error"]),
        encoder_id=str(card["encoder"]),
        provenance=Provenance(**card["provenance"]),
        image_ids=ids,
        oof_proba=proba,
        oof_target=target,
        oof_fold=fold,
        report=dict(card["report"]),
        rollup=rollup,
        source=source,
        created_by=str(card["created_by"]),
    )


def _checked(folder: Path, name: str, digest: str) -> bytes:
    path = folder / name
    if Path(name).name != name or path.suffix not in (".skops", ".txt"):
        raise ProbeError(f"{folder}: a probe cannot name the file {name[:80]!r} as its own")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise ProbeError(f"{path}: its checksum is not the one in the JSON beside it; the files do not belong together")
    return data


def _pipeline(path: Path, data: bytes, last: type) -> Pipeline:
    """A pipeline of exactly StandardScaler and `last`. Any other content raises ProbeError before it is used."""
    try:
        if foreign := [t for t in get_untrusted_types(data=data) if t not in TRUSTED_TYPES]:
            raise ProbeError(
                f"{path}: holds types that a probe does not need ({', '.join(foreign[:3])}); it was not loaded"
            )
        model = loads(data, trusted=list(TRUSTED_TYPES))
    except ProbeError:
        raise
    except Exception as error:  # skops raises many kinds for files that are not its own
        raise ProbeError(f"{path}: not a skops file ({type(error).__name__})") from None
    if type(model) is not Pipeline or [type(step) for _, step in model.steps] != [StandardScaler, last]:
        raise ProbeError(f"{path}: not a StandardScaler and {last.__name__}")
    return model


def _knows(model: Pipeline | lgb.Booster, k: int) -> bool:
    if isinstance(model, Pipeline):
        return bool(np.array_equal(model[-1].classes_, np.arange(k)))
    return bool(model.num_model_per_iteration() == (1 if k == 2 else k))


def _calibration(card: dict[str, Any], k: int) -> Calibration:
    bias = tuple(float(b) for b in card["bias"])
    temperature = float(card["temperature"])
    top = TopLabel(**card["top_label"]) if "top_label" in card else TopLabel()  # probes of earlier versions lack it
    if len(bias) != k or not temperature > 0 or not top.slope > 0 or not math.isfinite(top.intercept):
        raise ValueError("the calibration does not fit the classes")
    return Calibration(temperature, bias, top)


def _oof_table(trained: TrainedProbe | TrainedAge) -> pl.DataFrame:
    probe = trained.probe if isinstance(trained, TrainedAge) else trained
    columns: dict[str, Any] = {"image_id": list(probe.image_ids), "target": probe.oof_target, "fold": probe.oof_fold}
    if isinstance(trained, TrainedAge) and len(trained.oof_years):
        columns |= {name: trained.oof_years[:, i] for i, name in enumerate(OOF_YEARS)}
    return pl.DataFrame(columns | {f"p_{i}": probe.oof_proba[:, i] for i in range(len(probe.classes))})


def _read_oof_years(path: Path) -> Any:
    """(n, 3) f32 out-of-fold years and bounds; no rows if the table is missing or from an earlier version without them."""
    if not path.is_file() or not set(OOF_YEARS) <= set(pl.read_parquet_schema(path)):
        return np.zeros((0, 3), np.float32)
    return pl.read_parquet(path, columns=list(OOF_YEARS)).select(OOF_YEARS).to_numpy().astype(np.float32)


def _read_oof(path: Path, ids: tuple[str, ...], k: int) -> tuple[Any, Any, Any]:
    """Out-of-fold probabilities, targets and folds; empty arrays if the table is missing, because a probe works without it."""
    if not path.is_file():
        return np.zeros((0, k), np.float32), np.zeros(0, np.intp), np.zeros(0, np.intp)
    try:
        table = pl.read_parquet(path)
        if tuple(table["image_id"]) != ids:
            raise ProbeError(f"{path}: belongs to another training run than the JSON beside it")
        proba = table.select([f"p_{i}" for i in range(k)]).to_numpy().astype(np.float32)
        return proba, table["target"].to_numpy().astype(np.intp), table["fold"].to_numpy().astype(np.intp)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise ProbeError(f"{path}: not the out-of-fold table of a probe ({error})") from None
