"""The figures of the model card, measured through the pipeline's own path: photo → 512 px → encoder, on photos never trained on.

python -m facestats_pipeline.core.mini.figures --data DIR [--model DIR] [--detector FILE] [--json FILE]
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from facestats_pipeline.core.images.decoding import decode_image, preprocess_image
from facestats_pipeline.core.mini.captions import FRAMES
from facestats_pipeline.core.mini.classes import CLASSES
from facestats_pipeline.core.mini.evaluate import CLASS_PHRASES
from facestats_pipeline.core.preproc.detection import FaceDetector, align_face, load_detector
from facestats_pipeline.core.progress import track
from facestats_pipeline.core.statistics.calibration import wilson

Floats = npt.NDArray[np.float32]
FAIRFACE_COLUMN = {"gender": "gender", "ethnicity": "race", "age_bin": "age"}


@dataclass(frozen=True)
class Share:
    """`right` of `n`, with Wilson's 95% interval."""

    right: int
    n: int

    def percent(self) -> dict[str, float]:
        """{value, lo, hi} in percent and n."""
        low, high = wilson(self.right, self.n)
        value = self.right / self.n if self.n else float("nan")
        return {"value": round(100 * value, 2), "lo": round(100 * low, 2), "hi": round(100 * high, 2), "n": self.n}


def embed_files(files: Sequence[Path], encoder: Any, detector: FaceDetector | None) -> Floats:
    """(n, d) f32 unit embeddings of photo files, aligned where a detector is given and finds a face, else plainly fitted."""
    rows = []
    for start in track(range(0, len(files), 32), "Embedding photos"):
        images = []
        for file in files[start : start + 32]:
            data = file.read_bytes()
            image = decode_image(data)
            faces = detector.detect(np.asarray(image)) if detector else []
            images.append(align_face(image, faces[0])[0] if faces else preprocess_image(data))
        rows.append(encoder.encode_images(images))
    return np.concatenate(rows)


def zero_shot_classes(encoder: Any) -> dict[str, Floats]:
    """Per attribute (classes, d): mean direction of every frame × phrase of a class (Radford et al. 2021, §3.1.4)."""
    out = {}
    for name, classes in CLASS_PHRASES.items():
        means = [
            encoder.encode_text([frame.format(phrase) for frame in FRAMES for phrase in phrases]).mean(0)
            for phrases in classes
        ]
        out[name] = np.stack([mean / np.linalg.norm(mean) for mean in means]).astype(np.float32)
    return out


def attribute_figures(scores: dict[str, Floats], labels: pl.DataFrame) -> dict[str, Any]:
    """Accuracy of the best class per attribute that is labelled, over all rows and per race and gender; `labels` has FairFace's columns."""
    out: dict[str, Any] = {}
    for name, score in scores.items():
        truth = labels[FAIRFACE_COLUMN[name]].to_list()
        known = np.array([value in CLASSES[name] for value in truth])
        if not known.any():  # congress_us has no ethnicity
            continue
        right = (
            np.array([CLASSES[name][best] == value for best, value in zip(score.argmax(1), truth, strict=True)]) & known
        )
        out[name] = Share(int(right.sum()), int(known.sum())).percent()
        for group in ("race", "gender"):
            for value in sorted(labels[group].drop_nulls().unique()):
                rows = (labels[group] == value).fill_null(False).to_numpy() & known
                if rows.any():
                    out[f"{name} | {value}"] = Share(int(right[rows].sum()), int(rows.sum())).percent()
    return out


def leave_one_out_pearson(embedded: Floats, ratings: npt.NDArray[np.float64], *, seed: int = 0) -> dict[str, float]:
    """Pearson r of ratings with ridge predictions, each made without its own row, with a bootstrap 95% interval over faces.

    The penalty is chosen by leave-one-out inside the training rows of every fold (scikit-learn's RidgeCV), so nothing of the row
    to be predicted is seen.
    """
    from sklearn.linear_model import RidgeCV

    x, y = embedded.astype(np.float64), ratings
    predicted = np.empty(len(y))
    for row in range(len(y)):
        rest = np.arange(len(y)) != row
        centre, spread = x[rest].mean(0), x[rest].std(0).mean()
        fitted = RidgeCV(np.logspace(-1, 5, 25)).fit((x[rest] - centre) / spread, y[rest])
        predicted[row] = fitted.predict((x[row : row + 1] - centre) / spread)[0]
    rng = np.random.default_rng(seed)
    draws = [np.corrcoef(predicted[i], y[i])[0, 1] for i in rng.integers(len(y), size=(2000, len(y)))]
    low, high = np.quantile(draws, [0.025, 0.975])
    return {
        "value": round(float(np.corrcoef(predicted, y)[0, 1]), 3),
        "lo": round(float(low), 3),
        "hi": round(float(high), 3),
        "n": len(y),
    }


def identity_figures(neutral: Floats, smiling: Floats) -> dict[str, float]:
    """How well the same person is found again: rank-1 retrieval in percent, and the equal error rate of verification in percent.

    `neutral` and `smiling` (n, d): row i of both is the same person.
    """
    cosine = neutral @ smiling.T
    n = len(cosine)
    same, other = np.diag(cosine), cosine[~np.eye(n, dtype=bool)]
    limits = np.sort(same)
    misses = np.arange(n) / n
    false = (other[None, :] >= limits[:, None]).mean(1)
    equal = float(((misses + false) / 2)[np.abs(misses - false).argmin()])
    return {
        "rank1": round(100 * float((cosine.argmax(1) == np.arange(n)).mean()), 1),
        "equal_error": round(100 * equal, 1),
        "n": n,
    }


def measure(
    data: Path, encoder: Any, heads: dict[str, tuple[Floats, Floats]] | None, detector: FaceDetector | None
) -> dict[str, Any]:
    """Every figure on the data sets under `data`. `heads`: attribute → (weight (classes, d), bias), on unit embeddings."""
    prompts = zero_shot_classes(encoder)
    out: dict[str, Any] = {}
    for name in ("fairface_photos", "canada", "congress_us"):
        labels = pl.read_csv(data / name / "labels.csv")
        embedded = embed_files([data / name / file for file in labels["file"]], encoder, detector)
        if heads is not None:
            out[f"{name}, heads"] = attribute_figures(
                {key: embedded @ weight.T + bias for key, (weight, bias) in heads.items()}, labels
            )
        out[f"{name}, zero-shot"] = attribute_figures({key: embedded @ text.T for key, text in prompts.items()}, labels)
    london = pl.read_csv(data / "london" / "labels.csv").sort("file")
    embedded = embed_files([data / "london" / file for file in london["file"]], encoder, detector)
    if heads is not None:
        out["london, heads"] = attribute_figures(
            {key: embedded @ weight.T + bias for key, (weight, bias) in heads.items()}, london
        )
    neutral, smiling = (london["pose"] == pose for pose in ("neutral", "smiling"))
    rated = (neutral & london["attractiveness_1_7"].is_not_null()).to_numpy()
    out["london, rating, leave-one-out Pearson"] = leave_one_out_pearson(
        embedded[rated], london["attractiveness_1_7"].to_numpy()[rated].astype(np.float64)
    )
    people = sorted(set(london["identity"].filter(neutral)) & set(london["identity"].filter(smiling)))
    rows = london.with_row_index()
    pick = [
        rows.filter((pl.col("pose") == pose) & pl.col("identity").is_in(people)).sort("identity")["index"].to_numpy()
        for pose in ("neutral", "smiling")
    ]
    out["london, neutral–smiling"] = identity_figures(embedded[pick[0]], embedded[pick[1]])
    return out


def load_heads(path: Path) -> dict[str, tuple[Floats, Floats]]:
    """The linear classifiers that were trained with the encoder: attribute → (weight (classes, 512), bias (classes,))."""
    from safetensors.numpy import load_file

    tensors = load_file(path)
    return {
        name: (tensors[f"{name}.weight"].astype(np.float32), tensors[f"{name}.bias"].astype(np.float32))
        for name in CLASSES
    }


def main() -> None:
    """Print the figures, aligned and plainly fitted, as JSON."""
    from facestats_pipeline.core.encoders.encoder import load_model

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of fairface_photos, london, canada, congress_us"
    )
    parser.add_argument("--models", type=Path, default=Path("models"), help="folder that holds facestats-mini/")
    parser.add_argument("--detector", type=Path, help="YuNet's ONNX file: photos are aligned as in the pipeline")
    parser.add_argument("--json", type=Path, help="also written here")
    arguments = parser.parse_args()
    encoder = load_model("facestats-mini", models_dir=arguments.models)
    heads = load_heads(arguments.models / "facestats-mini" / "heads.safetensors")
    detector = load_detector(arguments.detector) if arguments.detector else None
    figures = measure(arguments.data, encoder, heads, detector)
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
