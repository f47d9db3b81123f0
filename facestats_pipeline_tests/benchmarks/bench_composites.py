"""How sharp averages of 102 neutral London portraits are: `python -m facestats_pipeline_tests.benchmarks.bench_composites [--out DIR]`.

Each method averages the same photos at the same size; the gradient energy around the eyes (`core.composites.sharpness`) is printed, and
its ratio to that of the plain mean. `warped` with 478 landmarks needs mediapipe and its model; without them that line says so.
With --out the averages are written as PNG, and beside them those of each gender and ethnicity next to the averages that the
authors of the London set made with 189 hand-placed landmarks (DeBruine & Jones 2017, doi:10.6084/m9.figshare.4055130, CC BY 4.0).
"""

import argparse
import csv
import resource
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from facestats_pipeline.core.composites.face_shapes import mean_shape
from facestats_pipeline.core.composites.generate import Composite, make_composite
from facestats_pipeline.core.composites.sharpness import eye_sharpness
from facestats_pipeline.core.drawing.contact_sheet import contact_sheet
from facestats_pipeline.core.images.decoding import preprocess_image
from facestats_pipeline.core.preproc import face_mesh
from facestats_pipeline.core.preproc.detection import load_detector
from facestats_pipeline.core.preproc.face_landmarks import LandmarksUnavailable, load_landmarker

SHARED = Path(__file__).resolve().parents[3] / "shared"
SIZE = 512
GROUPS = {"african": "black", "easian": "east_asian", "wasian": "west_asian", "white": "white", "multi": None}
Points = npt.NDArray[np.float64]


def five_points(paths: list[Path], detector: Path) -> Points:
    """(n, 5, 2) by YuNet; NaN where no face was found."""
    find = load_detector(detector)
    points = np.full((len(paths), 5, 2), np.nan)
    for row, path in zip(points, paths, strict=True):
        faces = find.detect(np.asarray(preprocess_image(path, size=SIZE)))
        if faces:
            row[:] = max(faces, key=lambda face: face.area).landmarks
    return points


def mesh_points(paths: list[Path], model: Path) -> Points:
    """(n, 478, 2) by MediaPipe; NaN where no face was found. Raises LandmarksUnavailable."""
    points = np.full((len(paths), face_mesh.POINTS, 2), np.nan)
    with load_landmarker(model) as landmarker:
        for row, path in zip(points, paths, strict=True):
            found = landmarker.find(np.asarray(preprocess_image(path, size=SIZE)))
            if found is not None:
                row[:] = found.points[:, :2]
    return points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--london", type=Path, default=SHARED / "data" / "london")
    parser.add_argument("--models", type=Path, default=SHARED / "models")
    parser.add_argument("--out", type=Path, help="folder for the pictures")
    args = parser.parse_args()
    detectors = sorted(args.models.glob("face_detection_yunet*.onnx"))
    if not (args.london / "labels.csv").is_file() or not detectors:
        print(f"skipped: this needs the London set in {args.london} and a YuNet model in {args.models}")
        return
    with (args.london / "labels.csv").open() as file:
        people = [row for row in csv.DictReader(file) if row["pose"] == "neutral"]
    paths = [args.london / row["file"] for row in people]
    five = five_points(paths, detectors[0])
    runs: list[tuple[str, str, Points | None]] = [
        ("mean", "mean", None),
        ("aligned, 5 points", "aligned", five),
        ("warped, optical flow", "warped", five),
    ]
    try:
        mesh = mesh_points(paths, args.models / "face_landmarker.task")
        runs.append(("warped, 478 points", "warped", mesh))
    except LandmarksUnavailable as problem:
        print(f"without 478 points: {problem}")
    shape = mean_shape(five[np.isfinite(five).all(axis=(1, 2))])
    print(f"{len(paths)} photos of {SIZE}×{SIZE}; eyes {np.hypot(*(shape[1] - shape[0])):.0f} px apart")
    print(f"{'':24}{'n':>5}{'sharpness':>11}{'ratio':>8}{'CPU s':>9}")
    plain = None
    made: dict[str, Composite] = {}
    for name, method, points in runs:
        began = time.process_time()
        made[name] = make_composite(paths, size=SIZE, method=method, landmarks=points, landmark_size=SIZE)
        seconds = time.process_time() - began
        energy = eye_sharpness(made[name].image, shape[0], shape[1])
        plain = plain or energy
        print(f"{name:24}{made[name].n_used:>5}{energy:>11.1f}{energy / plain:>8.2f}{seconds:>9.1f}", flush=True)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        captions = [(one.image, f"{name}, n = {one.n_used}") for name, one in made.items()]
        contact_sheet(captions, columns=len(made), thumb=320).save(args.out / "strip.jpg", quality=90)
        for name, one in made.items():
            one.image.save(args.out / f"{name.replace(', ', '_').replace(' ', '_')}.png")
        _beside(args.london, people, paths, runs[1:], args.out)


def _beside(
    london: Path, people: list[dict[str, str]], paths: list[Path], runs: list[tuple[str, str, Points | None]], out: Path
) -> None:
    """For each gender and ethnicity a row: the authors' average, then ours by each method."""
    tiles: list[tuple[Image.Image | Path, str]] = []
    for letter, gender in (("f", "Female"), ("m", "Male")):
        for stem, race in GROUPS.items():
            chosen = [i for i, row in enumerate(people) if row["gender"] == gender and race in (None, row["race_raw"])]
            tiles.append((london / "composites" / f"{letter}_{stem}.jpg", f"{letter}_{stem}, hand-placed landmarks"))
            for name, method, points in runs:
                assert points is not None
                made = make_composite(
                    [paths[i] for i in chosen],
                    size=SIZE,
                    method=method,
                    landmarks=points[chosen],
                    landmark_size=SIZE,
                    min_n=3,
                )
                tiles.append((made.image, f"{name}, n = {made.n_used}"))
    contact_sheet(tiles, columns=1 + len(runs), thumb=360).save(out / "beside.png")


if __name__ == "__main__":
    main()
