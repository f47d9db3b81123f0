"""Photos → embeddings: order, unreadable photos, every form of input, progress, and agreement with open_clip."""

import io
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from facestats_pipeline.core.encoders import embedding
from facestats_pipeline.core.encoders.embedding import (
    extract_clip_embeddings,
    extract_embedding,
    get_clip_embedding,
    run_embedding,
)
from facestats_pipeline.core.encoders.encoder import Encoder, load_model
from facestats_pipeline.core.encoders.open_clip_compat import import_open_clip, quiet
from facestats_pipeline.core.images.decoding import ImageProblem
from facestats_pipeline.core.phases import measuring
from facestats_pipeline.core.progress import listening


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_model("facestats-test-tiny/untrained", precision="fp32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven 512 px JPEGs, one in a folder of its own."""
    root = tmp_path_factory.mktemp("photos")
    (root / "deep").mkdir()
    for i in range(11):
        rng = np.random.default_rng(i)
        smooth = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize(
            (512, 512), Image.Resampling.BICUBIC
        )
        grain = rng.normal(0, 6, (512, 512, 3))
        pixels = np.clip(np.asarray(smooth) + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / ("deep" if i == 10 else "") / f"{i:02d}.jpg", quality=95)
    return root


@pytest.fixture(scope="module")
def paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jpg")) + sorted(folder.glob("deep/*.jpg"))


def open_clips_own(encoder: Encoder, paths: list[Path]) -> np.ndarray:
    open_clip = import_open_clip()
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        model, _, transform = open_clip.create_model_and_transforms("facestats-test-tiny")
    with torch.inference_mode():
        batch = torch.stack([transform(Image.open(path)) for path in paths])
        return model.eval().encode_image(batch, normalize=True).numpy()


def test_fp32_is_open_clips_own(encoder: Encoder, paths: list[Path]) -> None:
    vectors = run_embedding(paths, encoder)
    assert vectors.dtype == np.float32 and vectors.shape == (11, 512)
    np.testing.assert_allclose(vectors, open_clips_own(encoder, paths), atol=1e-4)


@pytest.mark.parametrize("exact", [None, True])
def test_bf16_with_reduced_decoding_stays_near(encoder: Encoder, paths: list[Path], exact: bool | None) -> None:
    vectors = run_embedding(paths, load_model("facestats-test-tiny/untrained", precision="bf16"), exact=exact)
    assert (vectors * open_clips_own(encoder, paths)).sum(axis=1).min() >= 0.999


def test_reduced_decoding_is_really_reduced(encoder: Encoder, paths: list[Path]) -> None:
    exact, reduced = (run_embedding(paths[:2], encoder, exact=choice) for choice in (True, False))
    assert 1e-7 < np.abs(exact - reduced).max() < 0.02


@pytest.mark.parametrize("batch_size", [1, 3, 11, 50])
@pytest.mark.parametrize("workers", [1, 3])
def test_batches_and_threads_change_nothing(encoder: Encoder, paths: list[Path], batch_size: int, workers: int) -> None:
    expected = np.stack([extract_embedding(path, encoder) for path in paths])
    actual = run_embedding(paths, encoder, batch_size=batch_size, workers=workers)
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_every_form_of_a_photo(encoder: Encoder, paths: list[Path]) -> None:
    forms = [paths[0], paths[0].read_bytes(), Image.open(paths[0])]
    rows = run_embedding(forms, encoder)
    np.testing.assert_allclose(rows[1:], rows[[0, 0]], atol=1e-6)
    np.testing.assert_allclose(get_clip_embedding(str(paths[0]), encoder), rows[0], atol=1e-5)


def test_exif_rotation_is_applied(encoder: Encoder, paths: list[Path], tmp_path: Path) -> None:
    upright = Image.open(paths[0]).crop((0, 0, 512, 384))
    stored = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(stored, "PNG", exif=exif)
    np.testing.assert_allclose(
        extract_embedding(stored.getvalue(), encoder), extract_embedding(upright, encoder), atol=1e-6
    )


def test_unreadable_photos_are_nan_rows_and_counted_without_names(
    encoder: Encoder, paths: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    photos = [paths[0], Path("no-such-photo.jpg"), b"", paths[1].read_bytes()[:900], b"text", paths[2]]
    with caplog.at_level(logging.WARNING):
        rows = run_embedding(photos, encoder, batch_size=2)
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, True, True, True, False]
    assert np.isfinite(rows[[0, 5]]).all()
    assert "4 of 6" in caplog.text and "no-such-photo" not in caplog.text
    with pytest.raises(OSError):
        extract_embedding(Path("no-such-photo.jpg"), encoder)
    with pytest.raises(ImageProblem):
        extract_embedding(b"text", encoder)


def test_no_photos(encoder: Encoder) -> None:
    assert run_embedding([], encoder).shape == (0, 512)
    frame = extract_clip_embeddings([], encoder)
    assert frame.height == 0 and frame.schema["embedding"] == pl.Array(pl.Float32(), 512)


def test_progress_counts_photos(encoder: Encoder, paths: list[Path]) -> None:
    reports: list[tuple[str, int, int | None]] = []
    with listening(lambda *report: reports.append(report)):
        run_embedding(paths, encoder, batch_size=4)
    assert reports == [("Embedding", done, 11) for done in (0, 4, 8, 11)]


@pytest.mark.parametrize("way", ["_in_lanes", "_decoded_ahead"])
def test_decoding_runs_a_bounded_number_of_batches_ahead(
    encoder: Encoder, paths: list[Path], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    read, encode, lock = encoder.input.read, encoder.encode_pixels, threading.Lock()
    decoded, encoded, lead = 0, 0, []

    def counting_read(photo: bytes, *, reduced: bool = False) -> np.ndarray:
        nonlocal decoded
        with lock:
            decoded += 1
            lead.append(decoded - encoded)
        return read(photo, reduced=reduced)

    def counting_encode(pixels: torch.Tensor) -> np.ndarray:
        nonlocal encoded
        result = encode(pixels)
        with lock:
            encoded += len(pixels)
        return result

    monkeypatch.setattr(encoder.input, "read", counting_read)
    monkeypatch.setattr(encoder, "encode_pixels", counting_encode)
    monkeypatch.setattr(embedding, "_in_lanes", getattr(embedding, way))
    with measuring() as phases:
        run_embedding(paths * 10, encoder, batch_size=5, workers=2)
    assert decoded == 110 and max(lead) <= 15
    assert phases.images == 110
    assert min(phases.seconds[phase] for phase in ("read", "decode", "compute")) > 0


def test_the_way_of_a_gpu_gives_the_same_rows(
    encoder: Encoder, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [paths[0], b"text", *paths[1:]]
    in_lanes = run_embedding(photos, encoder, batch_size=3)
    monkeypatch.setattr(embedding, "_in_lanes", embedding._decoded_ahead)
    np.testing.assert_allclose(run_embedding(photos, encoder, batch_size=3, workers=3), in_lanes, atol=1e-5)


def test_torchs_threads_are_what_they_were(encoder: Encoder, paths: list[Path]) -> None:
    before = torch.get_num_threads()
    inside: list[int] = []
    with ThreadPoolExecutor(1) as later:
        run_embedding(paths, encoder, batch_size=2, workers=2)
        inside.append(later.submit(torch.get_num_threads).result())
    assert [torch.get_num_threads(), *inside] == [before, before]


@pytest.mark.parametrize("way", ["_in_lanes", "_decoded_ahead"])
def test_a_failing_forward_pass_ends_the_threads(
    encoder: Encoder, paths: list[Path], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(embedding, "_in_lanes", getattr(embedding, way))

    def fail(pixels: torch.Tensor) -> np.ndarray:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(encoder, "encode_pixels", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        run_embedding(paths * 10, encoder, batch_size=5)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("facestats-embed")]


def test_wrong_sizes_are_named(encoder: Encoder, paths: list[Path]) -> None:
    with pytest.raises(ValueError, match="workers is 0"):
        run_embedding(paths, encoder, workers=0)


def test_frame_of_a_folder_and_of_paths(encoder: Encoder, folder: Path, paths: list[Path], tmp_path: Path) -> None:
    frame = extract_clip_embeddings(folder, encoder)
    assert sorted(frame["filename"]) == sorted(str(path.relative_to(folder)) for path in paths)
    order = [folder / name for name in frame["filename"]]
    np.testing.assert_allclose(frame["embedding"].to_numpy(), run_embedding(order, encoder), atol=1e-6)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    frame = extract_clip_embeddings([broken, paths[0]], encoder)
    assert frame["filename"].to_list() == [str(broken), str(paths[0])]
    assert frame["embedding"].is_null().to_list() == [True, False]
