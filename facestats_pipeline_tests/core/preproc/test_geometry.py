"""Face geometry on a built face of known proportions; MediaPipe's part where that package and its model are present."""

import importlib.util
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facestats_pipeline.core.images.decoding import encode_jpeg
from facestats_pipeline.core.preproc import face_mesh as mesh
from facestats_pipeline.core.preproc.face_landmarks import FaceLandmarks, LandmarksUnavailable, load_landmarker
from facestats_pipeline.core.preproc.geometry import MEASURES, asymmetry, face_geometry, head_pose
from facestats_pipeline.core.preproc.geometry_table import FACE_GEOMETRY
from facestats_pipeline_tests import hostile
from facestats_pipeline_tests.examples import examples

KNOWN = {
    "interocular": 64.0,
    "face_width": 140.0,
    "face_height": 200.0,
    "face_ratio": 0.7,
    "eye_openness": 0.4,
    "eye_spacing": 36 / 140,
    "nose_width": 0.25,
    "nose_length": 0.26,
    "mouth_width": 0.4,
    "mouth_height": 0.5,
    "jaw_width": 0.8,
    "chin_height": 0.21,
    "asymmetry": 0.0,
}


def built_face(dimensions: int) -> np.ndarray:
    """478 points in exact left–right symmetry about x = 0, the named ones where KNOWN says, the rest at random."""
    rng = np.random.default_rng(0)
    points = rng.uniform((-60, -90, -30), (60, 90, 30), (mesh.POINTS, 3))
    points[np.arange(mesh.POINTS) < mesh.MIRROR] = (points * (-1, 1, 1))[mesh.MIRROR][
        np.arange(mesh.POINTS) < mesh.MIRROR
    ]
    points[np.arange(mesh.POINTS) == mesh.MIRROR, 0] = 0
    for right, left, half_width, y in (
        (mesh.RIGHT_IRIS, mesh.LEFT_IRIS, 32, -20),
        (mesh.RIGHT_EYE_OUTER, mesh.LEFT_EYE_OUTER, 48, -20),
        (mesh.RIGHT_EYE_INNER, mesh.LEFT_EYE_INNER, 18, -20),
        (mesh.RIGHT_LID_UPPER, mesh.LEFT_LID_UPPER, 32, -26),
        (mesh.RIGHT_LID_LOWER, mesh.LEFT_LID_LOWER, 32, -14),
        (mesh.RIGHT_NOSTRIL, mesh.LEFT_NOSTRIL, 17.5, 25),
        (mesh.MOUTH_RIGHT, mesh.MOUTH_LEFT, 28, 45),
        (mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK, 70, -10),
        (mesh.RIGHT_JAW, mesh.LEFT_JAW, 56, 60),
    ):
        points[right], points[left] = (-half_width, y, 0), (half_width, y, 0)
    for index, y in (
        (mesh.FOREHEAD, -100),
        (mesh.CHIN, 100),
        (mesh.NOSE_BRIDGE, -22),
        (mesh.NOSE_BASE, 30),
        (mesh.LIP_TOP, 30),
        (mesh.LIP_BOTTOM, 58),
    ):
        points[index] = (0, y, 0)
    return points[:, :dimensions]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_known_proportions_are_measured(dimensions: int) -> None:
    face = built_face(dimensions)
    assert {name: measure(face) for name, measure in MEASURES.items()} == pytest.approx(KNOWN, abs=1e-6)


@pytest.mark.parametrize(
    ("points", "axis", "factor", "changed"),
    [
        ((mesh.MOUTH_RIGHT, mesh.MOUTH_LEFT), 0, 1.5, {"mouth_width": 1.5, "mouth_height": 1 / 1.5}),
        ((mesh.RIGHT_NOSTRIL, mesh.LEFT_NOSTRIL), 0, 1.2, {"nose_width": 1.2}),
        ((mesh.RIGHT_JAW, mesh.LEFT_JAW), 0, 0.9, {"jaw_width": 0.9}),
        ((mesh.RIGHT_IRIS, mesh.LEFT_IRIS), 0, 1.1, {"interocular": 1.1}),
        (
            (mesh.RIGHT_CHEEK, mesh.LEFT_CHEEK),
            0,
            2.0,
            {
                "face_width": 2,
                "face_ratio": 2,
                "eye_spacing": 0.5,
                "nose_width": 0.5,
                "mouth_width": 0.5,
                "jaw_width": 0.5,
            },
        ),
        (
            (mesh.FOREHEAD, mesh.CHIN),
            1,
            2.0,
            {"face_height": 2, "face_ratio": 0.5, "nose_length": 0.5, "chin_height": (200 - 58) / 400 / 0.21},
        ),
    ],
)
def test_a_part_that_grows_changes_its_own_measures_and_no_other(
    points: tuple[int, int], axis: int, factor: float, changed: dict[str, float]
) -> None:
    face = built_face(2)
    face[list(points), axis] *= factor
    expected = {name: value * changed.get(name, 1.0) for name, value in KNOWN.items()}
    assert {name: measure(face) for name, measure in MEASURES.items()} == pytest.approx(expected, abs=1e-6)


def test_the_mirror_pairs_every_point_with_one_partner() -> None:
    assert np.array_equal(mesh.MIRROR[mesh.MIRROR], np.arange(mesh.POINTS))
    for right, left in (
        (mesh.RIGHT_IRIS, mesh.LEFT_IRIS),
        (mesh.MOUTH_RIGHT, mesh.MOUTH_LEFT),
        (mesh.RIGHT_JAW, mesh.LEFT_JAW),
    ):
        assert mesh.MIRROR[right] == left


@examples(40)
@given(st.floats(0.1, 10), st.floats(-3.1, 3.1), st.floats(-500, 500), st.floats(-500, 500), st.integers(0, 2**31))
def test_ratios_do_not_change_when_a_face_is_moved_turned_or_enlarged(
    scale: float, angle: float, dx: float, dy: float, seed: int
) -> None:
    face = built_face(2) + np.random.default_rng(seed).normal(0, 3, (mesh.POINTS, 2))
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    moved = face @ np.array([[c, -s], [s, c]]).T + (dx, dy)
    for name, measure in MEASURES.items():
        factor = scale if name in ("interocular", "face_width", "face_height") else 1.0
        assert measure(moved) == pytest.approx(measure(face) * factor, rel=1e-6, abs=1e-9), name


def test_a_known_asymmetry_gives_the_known_residual() -> None:
    """One point out of place by d disagrees with its mirror image at two of 478 points by d each (the fit takes almost none of it)."""
    for dimensions in (2, 3):
        face = built_face(dimensions)
        face[mesh.MOUTH_LEFT, 1] += 16
        assert asymmetry(face) == pytest.approx(16 * np.sqrt(2 / mesh.POINTS) / 64, rel=0.02)


def test_a_turned_head_is_not_taken_for_an_asymmetric_one() -> None:
    angle = np.radians(25)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    face = built_face(3) @ turn.T
    assert asymmetry(face) == pytest.approx(0, abs=1e-9)
    assert asymmetry(face[:, :2]) > 0.05


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0, 0, 0), (30, 0, 0), (0, 20, 0), (0, 0, 15), (-40, -10, 0)])
def test_a_known_pose_is_read_from_its_rotation(yaw: float, pitch: float, roll: float) -> None:
    y, p, r = np.radians((yaw, pitch, roll))
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), np.sin(r), 0], [-np.sin(r), np.cos(r), 0], [0, 0, 1]])
    assert head_pose(about_z @ about_y @ about_x) == pytest.approx((yaw, pitch, roll), abs=1e-9)


class BuiltLandmarker:
    """Finds the built face in every picture but dark ones."""

    def find(self, rgb: np.ndarray) -> FaceLandmarks | None:
        if rgb.mean() < 10:
            return None
        return FaceLandmarks((built_face(3) + np.array([128, 128, 0])).astype(np.float32), np.eye(3))


def test_the_table_has_a_row_for_every_photo_with_its_status() -> None:
    light = encode_jpeg(hostile.picture(np.random.default_rng(1), 64, 64))
    dark = hostile.encoded(hostile.picture(np.random.default_rng(1), 64, 64).point(lambda value: 0), "JPEG")
    table = face_geometry(
        [("a", "a", light), ("b", "b", dark), ("c", "c", b"junk"), ("d", "d", Path("gone.jpg"))], BuiltLandmarker()
    )
    assert table.schema == FACE_GEOMETRY.schema
    assert table["status"].to_list() == ["ok", "no_face", "unsupported", "unreadable"]
    assert all(reason for reason in table["reason"].to_list()[1:]) and table["reason"][0] == ""
    row = table.row(0, named=True)
    assert {name: row[name] for name in MEASURES} == pytest.approx(KNOWN, abs=1e-4)
    assert np.array(row["landmarks"]).reshape(478, 2)[mesh.CHIN] == pytest.approx((128, 228))
    assert table["landmarks"].null_count() == table["yaw"].null_count() == 3


def test_every_measure_is_defined_in_words() -> None:
    for name, measure in MEASURES.items():
        assert measure.__name__ == name and measure.__doc__ and len(measure.__doc__) > 25
        assert name in FACE_GEOMETRY.schema


def test_without_a_model_or_the_package_the_next_step_is_named(tmp_path: Path) -> None:
    with pytest.raises(LandmarksUnavailable, match=r"absent\.task.*face_landmarker\.task"):
        load_landmarker(tmp_path / "absent.task")
    (tmp_path / "wrong.task").write_bytes(b"junk")
    with pytest.raises(LandmarksUnavailable, match=r"not a MediaPipe|-e '\.\[landmarks\]'"):
        load_landmarker(tmp_path / "wrong.task")


@pytest.fixture
def landmark_model(shared_data: Path) -> Path:
    """MediaPipe's model; skips where it or the package is absent."""
    if importlib.util.find_spec("mediapipe") is None:
        pytest.skip("the optional package mediapipe is not installed: `make landmarks` runs this")
    model = shared_data.parent / "models" / "face_landmarker.task"
    if not model.is_file():
        pytest.skip("no landmark model: ../shared/models/face_landmarker.task is not beside this checkout")
    return model


@pytest.mark.landmarks
def test_mediapipe_measures_real_portraits_as_faces(shared_data: Path, landmark_model: Path) -> None:
    photos = [
        (path.stem, path.name, path) for path in sorted((shared_data / "london" / "images").glob("*_03.jpg"))[:12]
    ]
    with load_landmarker(landmark_model) as landmarker:
        table = face_geometry(photos, landmarker)
    landmarker.close()  # a second time does nothing
    assert table["status"].to_list() == ["ok"] * 12
    for name, low, high in (
        ("eye_openness", 0.2, 0.5),
        ("mouth_width", 0.28, 0.5),
        ("asymmetry", 0.001, 0.04),
        ("face_ratio", 0.7, 1.0),
    ):
        assert table[name].is_between(low, high).all(), name
    assert table["yaw"].abs().max() < 12 and table["roll"].abs().max() < 12


@pytest.mark.landmarks
@pytest.mark.slow
def test_pupils_are_where_people_placed_them(shared_data: Path, landmark_model: Path) -> None:
    """All 102 neutral faces of london: distance of each iris centre to the pupil that was placed by hand, in interocular distances.

    Run with `-s` to see the figures: median 0.012, 95th percentile 0.022, greatest 0.032.
    """
    london = shared_data / "london"
    placed = pl.read_csv(london / "landmarks.csv.gz").filter(pl.col("point") < 2).sort("file", "point")
    files = placed["file"].unique().sort().to_list()
    by_hand = placed.select("x", "y").to_numpy().reshape(-1, 2, 2)
    with load_landmarker(landmark_model) as landmarker:
        table = face_geometry([(file, file, london / file) for file in files], landmarker)
    assert table["status"].unique().to_list() == ["ok"] and table.height == 102
    found = table["landmarks"].to_numpy().reshape(-1, mesh.POINTS, 2)[:, [mesh.RIGHT_IRIS, mesh.LEFT_IRIS]]
    apart = np.linalg.norm(by_hand[:, 0] - by_hand[:, 1], axis=1)
    off = np.linalg.norm(found - by_hand, axis=2) / apart[:, None]
    middle, most = np.quantile(off, [0.5, 0.95])
    print(
        f"\n{off.size} pupils: median {middle:.4f}, 95th percentile {most:.4f}, greatest {off.max():.4f} of the eyes' distance"
    )
    assert middle < 0.02 and most < 0.03 and off.max() < 0.05
    assert table["interocular"].to_numpy() == pytest.approx(apart, rel=0.03)
