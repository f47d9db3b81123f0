"""The model card of the shipped detector, written from its measured figures.

    python -m facestats_pipeline.core.detector.card --folder models/facestats-detector --command "…"

reads figures.json (as `detector.evaluate --json` writes it) and training_settings.json in the folder and writes README.md there.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from facestats_pipeline.core.reports.card_text import RESPONSIBLE_USE, front_matter, section, table

NAMES = {
    "london": "London portraits, 512 px",
    "canada": "Canadian portraits, 512 px",
    "congress_us": "US Congress, official portraits, 225 × 275 px",
    "fairface_photos": "FairFace photos, 224 px",
}
LEAST = {"london": 99.5, "canada": 99.5, "congress_us": 99.5, "fairface_photos": 98.5}

DATA = """\
Faces: FairFace training images (Kärkkäinen & Joo, *FairFace: Face Attribute Dataset for Balanced Race, Gender, and Age*, WACV 2021,
https://github.com/joojs/fairface), CC BY 4.0, changed: cropped to 128 × 128, turned, scaled, pasted and disturbed; every 18th was held
out for choosing from which score on a face is sure. And faces that the demo draws, with another seed. Their landmarks and boxes are what
MediaPipe's face landmarker (Apache-2.0) sees in them, the mean of a look at the photo and one at its mirror image; a photo in which it
sees no face teaches where a face is, not its landmarks. Backgrounds: crops of pictures in packages of Debian 12, section main (free
licences, among them CC BY-SA, CC0, GPL and public domain): {sources}; crops in which YuNet sees a face are left out. None of these
pictures, of MediaPipe's weights or of YuNet's is in this folder. London, Canada, congress_us and fairface_photos were never trained on
and chose nothing."""

LIMITS = """\
- It finds faces and tells nobody apart.
- It learned from one large set of photos and from pasted pictures: crowds, masks, helmets, faces seen from far below or above and
  profiles are found less often than faces that look at the camera.
- A photo is first seen 192 px large. A face of less than a twelfth of a photo's long side is looked for only where that look hints at
  one, or sees no sure face.
- Landmarks of a face that is turned far away are guesses, as their labels are."""


def _share(part: dict[str, Any]) -> str:
    return f"{part['value']:.1f} ({part['lo']:.1f}–{part['hi']:.1f})"


def _spread(part: dict[str, Any], name: str) -> str:
    return f"{part[name]:.1f} ({part[f'{name}_lo']:.1f}–{part[f'{name}_hi']:.1f})"


def _found(figures: dict[str, Any]) -> str:
    rows = [
        (
            NAMES[name],
            figures[name]["found"]["n"],
            _share(figures[name]["found"]),
            f"{LEAST[name]:.1f}",
            _spread(figures[name]["landmarks"], "median"),
            _spread(figures[name]["landmarks"], "p95"),
        )
        for name in NAMES
    ]
    header = (
        "photos",
        "where YuNet is sure",
        "found, %",
        "at least",
        "landmarks from YuNet's: median, %",
        "95th percentile, %",
    )
    return table(header, rows)


def _beside(figures: dict[str, Any]) -> str:
    rows = [
        (
            "pupils from hand-placed ones, London, median, %",
            *(_spread(figures["pupils"][who], "median") for who in ("ours", "yunet")),
        ),
        ("drawn faces of the demo: exactly one face, %", *(_share(figures["drawn"][who]) for who in ("ours", "yunet"))),
        (
            "groups of 30, faces of 60–300 px of 4000: found, %",
            *(_share(figures["groups"][who]["found"]) for who in ("ours", "yunet")),
        ),
        (
            "most false faces in one group",
            *(f"{figures['groups'][who]['most_false_in_one']}" for who in ("ours", "yunet")),
        ),
        (
            "processor a 512 px photo, one thread, median, ms",
            *(f"{figures['cost'][who]['median_ms']:.1f}" for who in ("ours", "yunet")),
        ),
    ]
    if "face_free" in figures:
        rows.insert(
            2,
            ("face-free pictures without a face, %", *(_share(figures["face_free"][who]) for who in ("ours", "yunet"))),
        )
    return table(("", "this detector", "YuNet, as FaceStats uses it"), rows)


def detector_card(
    figures: dict[str, Any], settings: dict[str, Any], *, command: str, sources: str, remarks: str
) -> str:
    """README.md from what `evaluate.measure` gives and the settings of both runs; `sources` names the packages of backgrounds."""
    steps = " and ".join(f"{settings[name]['steps_done']:,} steps ({name})" for name in ("finder", "landmarker"))
    parts = [
        "# FaceStats-Detector",
        "Finds faces in photos: score, box, and five landmarks (both pupils, tip of the nose, corners of the mouth). Two small networks of "
        "ordinary convolutions: one sees the whole photo 192 px large, the other the chosen face, brought upright, 96 px large. "
        "`facestats` aligns faces with it by default.",
        section(
            "Figures", _found(figures), "Distances are shares of the distance of the eyes.", _beside(figures), remarks
        ),
        section("Limits", LIMITS),
        section(
            "Training data and licence",
            DATA.format(sources=sources),
            "The weights are derived from CC BY 4.0 photos and are given under CC BY 4.0.",
        ),
        section(
            "How it was made",
            f"```\n{command}\n```",
            f"{steps}; every setting is in training_settings.json. Checksums: SHA256SUMS.",
        ),
        section("Responsible use", RESPONSIBLE_USE),
    ]
    header = front_matter({"license": "cc-by-4.0", "pipeline_tag": "object-detection", "tags": ["faces", "facestats"]})
    return header + "\n" + "\n\n".join(parts) + "\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Write the model card of the shipped detector.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--command", required=True, help="the command that trained it")
    parser.add_argument("--sources", required=True, help="the packages of backgrounds, as text")
    parser.add_argument("--remarks", default="", help="a paragraph under the figures")
    given = parser.parse_args()
    figures, settings = (
        json.loads((given.folder / name).read_text()) for name in ("figures.json", "training_settings.json")
    )
    text = detector_card(figures, settings, command=given.command, sources=given.sources, remarks=given.remarks)
    (given.folder / "README.md").write_text(text)


if __name__ == "__main__":
    main()
