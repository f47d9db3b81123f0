"""A few steps on random pictures: seeded, resumable, learning; and the folder that comes out is an encoder."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from facestats_pipeline.core.encoders.checksums import verify_folder
from facestats_pipeline.core.mini import export as exporting
from facestats_pipeline.core.mini.data import open_split
from facestats_pipeline.core.mini.export import export, half
from facestats_pipeline.core.mini.train import Settings, Trainer, train

TINY = Settings(
    epochs=2, photos=8, processes=1, sides=((0.0, 32),), warmup=1, text_captions=4, held_out=4, lr=1e-3, ema=0.5
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 pictures whose red says the gender: 4 are held out, so an epoch is two steps of 8."""
    folder = tmp_path_factory.mktemp("cache")
    rng = np.random.default_rng(0)
    labels = np.stack([rng.integers(size, size=20) for size in (2, 7, 9)], 1)
    photos = rng.integers(0, 60, (20, 128, 128, 3), dtype=np.uint8)
    photos[..., 0] += (labels[:, 0] * 150).astype(np.uint8)[:, None, None]
    np.save(folder / "photos.npy", photos)
    np.save(folder / "labels.npy", labels)
    return folder


@pytest.fixture(scope="module")
def finished(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trainer]:
    out = tmp_path_factory.mktemp("run")
    return out, train(TINY, cache, out)


@pytest.fixture
def out(finished: tuple[Path, Trainer], tmp_path: Path) -> Path:
    """The folder of a run that has its vocabulary: learning one takes as long as four steps."""
    folder = tmp_path / "out"
    folder.mkdir()
    shutil.copy(finished[0] / exporting.MERGES_FILE, folder)
    return folder


def test_a_resumed_run_ends_in_the_same_weights(cache: Path, out: Path, finished: tuple[Path, Trainer]) -> None:
    stopped = train(TINY, cache, out, stop_at=2)
    assert stopped.step == 2
    resumed = train(TINY, cache, out)
    assert resumed.step == resumed.total == 4
    for name, value in finished[1].average.items():
        assert torch.equal(value, resumed.average[name]), name


def test_another_seed_gives_other_weights(cache: Path, out: Path, finished: tuple[Path, Trainer]) -> None:
    other = train(Settings(**{**vars(TINY), "seed": 1}), cache, out, stop_at=1)
    assert not torch.equal(
        other.average["clip.visual.head.proj.weight"], finished[1].average["clip.visual.head.proj.weight"]
    )


def test_a_cycle_begins_from_an_exported_folder(cache: Path, tmp_path: Path, finished: tuple[Path, Trainer]) -> None:
    folder = tmp_path / "shipped"
    export(finished[0], folder)
    trainer = Trainer(TINY, open_split(cache, held_out=4)[0], finished[1].tokenizer)
    trainer.start_from(folder)
    photos = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    logits = []
    for model in (trainer.averaged(), finished[1].averaged()):
        embedded = torch.nn.functional.normalize(model["clip"].visual(photos), dim=1)
        logits.append(torch.cat(list(model["heads"].logits(embedded).values()), 1))
    torch.testing.assert_close(*logits, atol=0.05, rtol=0.02)  # the folder holds half precision
    assert trainer.step == 0


def test_the_mean_with_an_exported_folder_is_half_of_each(tmp_path: Path, finished: tuple[Path, Trainer]) -> None:
    export(finished[0], tmp_path / "before")
    zeros = {name: torch.zeros_like(value) for name, value in finished[1].average.items() if name != "heads.scale"}
    (tmp_path / "run").mkdir()
    for name in ("settings.json", exporting.MERGES_FILE):
        (tmp_path / "run" / name).write_bytes((finished[0] / name).read_bytes())
    state = zeros | {"heads.scale": finished[1].average["heads.scale"]}
    torch.save({"average": state}, tmp_path / "run" / "checkpoint.pt")
    export(tmp_path / "run", tmp_path / "mean", mean_with=tmp_path / "before")
    for file in (exporting.WEIGHTS_FILE, exporting.HEADS_FILE):
        before, mean = (load_file(tmp_path / name / file) for name in ("before", "mean"))
        for name, value in before.items():
            if value.is_floating_point():
                torch.testing.assert_close(mean[name], value / 2, atol=1e-3, rtol=1e-3)


def test_mixing_gives_labels_in_between(cache: Path, finished: tuple[Path, Trainer]) -> None:
    data, _ = open_split(cache, held_out=4)
    plain, mixed = (
        Trainer(Settings(**{**vars(TINY), "mix": share}), data, finished[1].tokenizer).losses() for share in (0.0, 1.0)
    )
    assert torch.isfinite(mixed["heads"])
    assert mixed["heads"] != plain["heads"]


def test_the_log_has_a_line_per_epoch(finished: tuple[Path, Trainer]) -> None:
    lines = [json.loads(line) for line in (finished[0] / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert all(0 <= line[key] <= 100 for line in lines for key in ("gender", "ethnicity", "age_bin", "gender_zs"))


def test_one_view_is_of_the_photo_the_other_of_its_aligned_form(
    cache: Path, tmp_path: Path, out: Path, finished: tuple[Path, Trainer]
) -> None:
    for name in ("photos.npy", "labels.npy"):
        (tmp_path / name).write_bytes((cache / name).read_bytes())
    np.save(tmp_path / "aligned.npy", 255 - np.load(cache / "photos.npy"))
    data, held_out = open_split(tmp_path, held_out=4)
    photos, labels, _, soft = Trainer(TINY, data, finished[1].tokenizer).batch()
    assert photos.shape == (2, 8, 128, 128, 3)
    assert len(labels) == 8
    assert soft is None
    assert torch.equal(photos[0], 255 - photos[1])
    same, *_ = Trainer(TINY, open_split(cache, held_out=4)[0], finished[1].tokenizer).batch()
    assert torch.equal(same[0], same[1])
    assert held_out.only_aligned() is not None
    train(TINY, tmp_path, out, stop_at=2)
    (line,) = (out / "log.jsonl").read_text().splitlines()
    assert set(json.loads(line)["aligned"]) >= {"gender", "ethnicity", "age_bin", "gender_zs"}


def test_a_face_and_its_mirror_image_have_the_same_embedding_outside_training() -> None:
    from facestats_pipeline.core.encoders.mini_towers import build_clip, model_config
    from facestats_pipeline.core.encoders.mirrored import FEW

    visual = build_clip(model_config()).visual.eval()
    images = torch.randn(FEW + 1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(visual(images), visual(images.flip(3)))
        torch.testing.assert_close(visual(images[:FEW]), visual(images[:FEW].flip(3)))
        torch.testing.assert_close(visual(images)[:FEW], visual(images[:FEW]))  # in one pass or in two
        visual.train()
        assert not torch.allclose(visual(images), visual(images.flip(3)), atol=1e-3)


@pytest.mark.slow
def test_the_loss_falls(cache: Path, finished: tuple[Path, Trainer]) -> None:
    trainer = Trainer(
        Settings(**{**vars(TINY), "epochs": 8, "lr": 3e-3}), open_split(cache, held_out=4)[0], finished[1].tokenizer
    )
    totals = [sum(trainer.train_step().values()) for _ in range(8)]
    assert np.mean(totals[-3:]) < np.mean(totals[:3]) - 0.3


def test_every_term_reaches_the_image_tower(cache: Path, finished: tuple[Path, Trainer]) -> None:
    trainer = Trainer(TINY, open_split(cache, held_out=4)[0], finished[1].tokenizer)
    trainer.model.train()
    weight = trainer.model["clip"].visual.head.proj.weight
    terms = trainer.losses()
    assert set(terms) == {"heads", "prompts", "captions", "views"}
    for name, term in terms.items():
        (gradient,) = torch.autograd.grad(term, weight, retain_graph=True)
        assert gradient.abs().sum() > 0, name


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_share_their_gradients(cache: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "facestats_pipeline.core.mini.train",
        "--ranges",
        "zoom_out=0.3,erase=0.1",
        "--cache",
        str(cache),
        "--out",
        str(tmp_path),
    ]
    command += [
        "--processes",
        "2",
        "--photos",
        "8",
        "--sides",
        "0:32",
        "--held-out",
        "4",
        "--text-captions",
        "4",
        "--epochs",
        "2",
        "--stop-at",
    ]
    for stop in ("2", "4"):  # the second call goes on where the first stopped
        subprocess.run([*command, stop], check=True, capture_output=True, timeout=145)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 4
    assert all(torch.isfinite(value).all() for value in state["model"].values())
    ranges = json.loads((tmp_path / "settings.json").read_text())["ranges"]
    assert (ranges["zoom_out"], ranges["erase"], ranges["rotate"]) == (0.3, 0.1, 18.0)


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    settings = Settings(lr=1.0, warmup=10, cooldown=0.5)
    rates = [settings.rate_at(step, 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:50] == [1.0] * 40
    assert rates[75] == pytest.approx(0.5)
    assert rates[100] == 0.0
    assert [settings.side_at(p) for p in (0.0, 0.5, 0.99)] == [64, 80, 96]


def test_the_exported_folder_is_whole_and_gives_the_same_embeddings(
    finished: tuple[Path, Trainer], tmp_path: Path
) -> None:
    from facestats_pipeline.core.encoders.mini_towers import build_clip

    (tmp_path / "licence").write_text("Apache")
    sizes = export(finished[0], tmp_path, imagenet_licence=tmp_path / "licence")
    assert (tmp_path / exporting.LICENCE_FILE).read_text() == "Apache"
    assert exporting.LICENCE_FILE in (tmp_path / "SHA256SUMS").read_text()
    assert sizes["visual"] <= 14_000_000
    assert sizes["text"] <= 6_000_000
    verify_folder(tmp_path, required=("open_clip_config.json", "open_clip_model.safetensors", "bpe_merges.txt.gz"))
    clip = build_clip(json.loads((tmp_path / "open_clip_config.json").read_text())).eval()
    clip.load_state_dict(load_file(tmp_path / "open_clip_model.safetensors"))
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        shipped, trained = clip.encode_image(images), finished[1].averaged()["clip"].encode_image(images)
    assert torch.cosine_similarity(shipped, trained).min() > 0.999


def test_a_tower_over_its_size_is_not_shipped(
    finished: tuple[Path, Trainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "TEXT_TOWER_BYTES", 1000)
    with pytest.raises(ValueError, match=r"the text tower has .* bytes"):
        export(finished[0], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_half_precision_refuses_what_does_not_fit() -> None:
    assert half(torch.tensor([1.0])).dtype == torch.float16
    assert half(torch.tensor([3])).dtype == torch.int64
    with pytest.raises(ValueError, match="too large"):
        half(torch.tensor([1e6]))
