"""Loading: every kind of name, the weights of a checkpoint, and everything that can be wrong with one."""

import json
import logging
import os
import pickle
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from facestats_pipeline.core.encoders import devices
from facestats_pipeline.core.encoders.checksums import ChecksumMismatch, sha256_file, verify_folder
from facestats_pipeline.core.encoders.encoder import Encoder, load_model
from facestats_pipeline.core.encoders.errors import EncoderUnavailable
from facestats_pipeline.core.encoders.open_clip_compat import MODEL_CONFIGS, import_open_clip, quiet

TINY = "facestats-test-tiny"


def noise(n: int, size: tuple[int, int] = (80, 100), seed: int = 0) -> list[Image.Image]:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    return [Image.fromarray(one).resize(size, Image.Resampling.BICUBIC) for one in small]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP made and saved by open_clip alone."""
    open_clip = import_open_clip()
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(7)
        model = open_clip.create_model(TINY)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return path


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Path:
    """A models folder with an encoder of its own preprocessing and its own small vocabulary."""
    open_clip = import_open_clip()
    folder = tmp_path_factory.mktemp("models") / "facestats-mini"
    folder.mkdir()
    merges = ["#version: test", "m a", "ma n</w>", "w o"]
    (folder / "bpe.txt.gz").write_bytes(__import__("gzip").compress("\n".join(merges).encode(), mtime=0))
    model_cfg = json.loads((MODEL_CONFIGS / f"{TINY}.json").read_text())
    model_cfg["text_cfg"] |= {"vocab_size": 517, "context_length": 12, "tokenizer_kwargs": {"bpe_path": "bpe.txt.gz"}}
    preprocess = {
        "mean": [0.5, 0.4, 0.3],
        "std": [0.25, 0.5, 0.3],
        "interpolation": "bilinear",
        "resize_mode": "squash",
    }
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(3)
        model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    # Shipped in half precision, as the real one is.
    save_file({k: v.half().contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    write_sums(folder)
    return folder.parent


def write_sums(folder: Path) -> None:
    files = sorted(path for path in folder.iterdir() if path.name != "SHA256SUMS")
    (folder / "SHA256SUMS").write_text("".join(f"{sha256_file(path)}  {path.name}\n" for path in files))


def reference(checkpoint: Path, images: list[Image.Image]) -> np.ndarray:
    """What open_clip itself makes of pictures, one at a time."""
    open_clip = import_open_clip()
    with quiet():
        model, _, transform = open_clip.create_model_and_transforms(TINY, pretrained=str(checkpoint))
    with torch.inference_mode():
        rows = [model.eval().encode_image(transform(image)[None], normalize=True) for image in images]
    return torch.cat(rows).numpy()


@pytest.mark.parametrize("size", [(80, 100), (64, 64), (33, 200), (512, 512)])
def test_fp32_is_open_clips_own_encode_image(checkpoint: Path, size: tuple[int, int]) -> None:
    images = noise(5, size)
    encoder = load_model(f"{TINY}/{checkpoint}", precision="fp32")
    np.testing.assert_allclose(encoder.encode_images(images), reference(checkpoint, images), atol=1e-4)


def test_bf16_agrees_with_fp32_open_clip(checkpoint: Path) -> None:
    images = noise(5)
    encoder = load_model(f"{TINY}/{checkpoint}", precision="bf16")
    vectors = encoder.encode_images(images)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (vectors * reference(checkpoint, images)).sum(axis=1).min() >= 0.999


def test_tensor_input_is_what_open_clips_transform_makes(checkpoint: Path) -> None:
    open_clip = import_open_clip()
    encoder = load_model(f"{TINY}/{checkpoint}", precision="fp32")
    with quiet():
        transform = open_clip.create_model_and_transforms(TINY)[2]
    images = noise(3)
    batch = torch.stack([transform(image) for image in images])
    np.testing.assert_allclose(encoder.encode_images(batch), encoder.encode_images(images), atol=1e-5)
    assert encoder.encode_images([]).shape == encoder.encode_images(batch[:0]).shape == (0, 512)


def test_text_agrees_with_open_clip(checkpoint: Path) -> None:
    open_clip = import_open_clip()
    with quiet():
        model = open_clip.create_model(TINY, pretrained=str(checkpoint)).eval()
    texts = ["a photo of a man", "Frau", "a very long text " * 30]
    with torch.inference_mode():
        expected = model.encode_text(open_clip.get_tokenizer(TINY)(texts), normalize=True).numpy()
    encoder = load_model(f"{TINY}/{checkpoint}", precision="fp32")
    assert encoder.has_text
    np.testing.assert_allclose(encoder.encode_text(texts), expected, atol=1e-5)
    assert encoder.encode_text([]).shape == (0, 512)


@pytest.mark.parametrize("custom_text", [False, True])
def test_for_pictures_alone_there_is_no_text_tower(shipped: Path, tmp_path: Path, custom_text: bool) -> None:
    """open_clip keeps the text tower in the model itself (CLIP), or in a module of its own (CustomTextCLIP)."""
    folder = tmp_path / "facestats-mini"
    folder.mkdir()
    config = json.loads((shipped / "facestats-mini" / "open_clip_config.json").read_text())
    config["model_cfg"] |= {"custom_text": custom_text}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    shutil.copy(shipped / "facestats-mini" / "bpe.txt.gz", folder)
    with quiet():
        model = import_open_clip().create_model(f"local-dir:{folder}", load_weights=False)
    assert hasattr(model, "text") == custom_text
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    write_sums(folder)
    whole = load_model("facestats-mini", models_dir=tmp_path, precision="fp32")
    pictures = load_model("facestats-mini", models_dir=tmp_path, precision="fp32", text=False)
    assert pictures.model_id == whole.model_id and pictures.logit_scale == whole.logit_scale
    np.testing.assert_array_equal(pictures.encode_images(noise(3)), whole.encode_images(noise(3)))
    kept = {name.split(".")[0] for name in pictures._model.state_dict()}
    assert kept == {"visual", "logit_scale"}
    assert whole.has_text and not pictures.has_text
    with pytest.raises(EncoderUnavailable, match="without its text tower"):
        pictures.encode_text(["a woman"])


def test_model_id_names_the_weights_and_no_folder(checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / checkpoint.name
    copy.parent.mkdir()
    shutil.copy(checkpoint, copy)
    first, second = (load_model(f"{TINY}/{path}") for path in (checkpoint, copy))
    assert first.model_id == second.model_id == f"{TINY}/model.safetensors@{sha256_file(checkpoint)[:8]}"
    assert first.trained and first.dim == 512 and first.image_size == 64


def test_torch_file_of_tensors_is_the_same_model(checkpoint: Path, tmp_path: Path) -> None:
    encoder = load_model(f"{TINY}/{checkpoint}", precision="fp32")
    state = {
        f"module.{name}": tensor for name, tensor in encoder._model.state_dict().items()
    }  # as a distributed run saves it
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "model.pt")
    again = load_model(f"{TINY}/{tmp_path / 'model.pt'}", precision="fp32")
    np.testing.assert_array_equal(again.encode_images(noise(2)), encoder.encode_images(noise(2)))


def test_untrained_is_seeded_says_so_and_leaves_the_random_state(caplog: pytest.LogCaptureFixture) -> None:
    before = torch.random.get_rng_state()
    handlers = logging.getLogger().handlers[:]
    with caplog.at_level(logging.WARNING):
        first = load_model(f"{TINY}/untrained", seed=5)
    assert [record.name for record in caplog.records] == ["facestats_pipeline.core.encoders.encoder"]
    assert "untrained" in caplog.text
    assert torch.equal(before, torch.random.get_rng_state())
    assert logging.getLogger().handlers == handlers
    assert first.model_id == f"{TINY}/untrained@5" and not first.trained
    same, other = load_model(f"{TINY}/untrained", seed=5), load_model(f"{TINY}/untrained", seed=6)
    image = noise(1)
    np.testing.assert_array_equal(first.encode_images(image), same.encode_images(image))
    assert not np.allclose(first.encode_images(image), other.encode_images(image), atol=1e-3)


def test_shipped_encoder_uses_its_own_preprocessing_and_vocabulary(shipped: Path) -> None:
    encoder = load_model("facestats-mini", models_dir=shipped, precision="fp32")
    weights = shipped / "facestats-mini" / "open_clip_model.safetensors"
    assert encoder.model_id == f"facestats-mini@{sha256_file(weights)[:8]}" and encoder.trained
    open_clip = import_open_clip()
    with quiet():
        model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{weights.parent}")
    images = noise(3, (50, 120))
    with torch.inference_mode():
        expected = model.eval().encode_image(torch.stack([transform(i) for i in images]), normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode_images(images), expected, atol=1e-4)
    np.testing.assert_allclose(encoder.input.mean, (0.5, 0.4, 0.3))
    tokens = encoder.tokenize(["man"])
    assert tokens.shape == (1, 12)
    assert tokens[0, :3].tolist() == [515, 513, 516]  # start, the one merge that makes "man", end
    assert encoder.encode_text(["man", "woman"]).shape == (2, 512)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: (f / "open_clip_model.safetensors").unlink(), "open_clip_model.safetensors: file not found"),
        (lambda f: (f / "SHA256SUMS").unlink(), "SHA256SUMS: cannot be read"),
        (lambda f: (f / "SHA256SUMS").write_text("what\n"), "SHA256SUMS, line 1"),
        (lambda f: (f / "open_clip_config.json").write_text("{}"), "open_clip_config.json: its SHA-256 is"),
        (lambda f: flip_last_byte(f / "open_clip_model.safetensors"), "open_clip_model.safetensors: its SHA-256 is"),
        (lambda f: (drop(f / "open_clip_config.json"), write_sums(f)), "cannot be built"),
        (lambda f: (drop(f / "bpe.txt.gz"), write_sums(f)), "tokenizer 'bpe.txt.gz' is not in SHA256SUMS"),
    ],
)
def test_damaged_shipped_folder_is_refused(shipped: Path, tmp_path: Path, damage, says: str) -> None:  # type: ignore[no-untyped-def]
    shutil.copytree(shipped / "facestats-mini", tmp_path / "facestats-mini")
    damage(tmp_path / "facestats-mini")
    with pytest.raises(EncoderUnavailable) as error:
        load_model("facestats-mini", models_dir=tmp_path)
    assert says in str(error.value)


def flip_last_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def drop(path: Path) -> None:
    path.write_text("{}") if path.suffix == ".json" else path.unlink()


def test_vocabulary_that_does_not_fit_the_text_tower_is_named(shipped: Path, tmp_path: Path) -> None:
    folder = tmp_path / "facestats-mini"
    shutil.copytree(shipped / "facestats-mini", folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    del config["model_cfg"]["text_cfg"]["tokenizer_kwargs"]
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    write_sums(folder)
    encoder = load_model("facestats-mini", models_dir=tmp_path)
    assert not encoder.has_text
    with pytest.raises(EncoderUnavailable, match="49408 tokens and its text tower 517"):
        encoder.encode_text(["a man"])


class Bomb:
    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple:  # type: ignore[type-arg]
        return (os.mkdir, (str(self.flag),))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".bin", ".pkl", ".npy"])
@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_pickle_is_refused_and_nothing_in_it_runs(tmp_path: Path, suffix: str, how: str) -> None:
    path = tmp_path / f"evil{suffix}"
    if how == "pickle":
        path.write_bytes(pickle.dumps({"a": Bomb(tmp_path / "ran")}))
    else:
        torch.save({"state_dict": Bomb(tmp_path / "ran")}, path)
    with pytest.raises(EncoderUnavailable, match=f"evil{suffix}"):
        load_model(f"{TINY}/{path}")
    assert not (tmp_path / "ran").exists()


def test_truncated_and_foreign_files_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    data = checkpoint.read_bytes()
    for name, content in {
        "cut": data[: len(data) // 2],
        "head": data[:100],
        "none": b"",
        "text": b"version https",
    }.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        with pytest.raises(EncoderUnavailable, match=f"{name}.safetensors: not a whole safetensors file"):
            load_model(f"{TINY}/{path}")
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(EncoderUnavailable, match=r"list\.pt: holds no dictionary of named tensors"):
        load_model(f"{TINY}/{tmp_path / 'list.pt'}")


def test_weights_of_another_shape_or_not_finite_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    state = dict(load_model(f"{TINY}/{checkpoint}", precision="fp32")._model.state_dict())
    save_file({**state, "visual.proj": torch.zeros(64, 300)}, tmp_path / "shape.safetensors")
    with pytest.raises(EncoderUnavailable, match=r"shape\.safetensors: its weights do not fit .*visual\.proj"):
        load_model(f"{TINY}/{tmp_path / 'shape.safetensors'}")
    save_file({name: tensor for name, tensor in state.items() if name != "visual.proj"}, tmp_path / "few.safetensors")
    with pytest.raises(EncoderUnavailable, match=r"few\.safetensors: its weights do not fit .*visual\.proj"):
        load_model(f"{TINY}/{tmp_path / 'few.safetensors'}")
    save_file({**state, "visual.proj": torch.full((64, 512), torch.nan)}, tmp_path / "nan.safetensors")
    with pytest.raises(EncoderUnavailable, match=r"nan\.safetensors: the embedding of a test picture is not finite"):
        load_model(f"{TINY}/{tmp_path / 'nan.safetensors'}")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ViT-B-32", "ARCH/untrained"),
        ("ViT-B-99/untrained", "nearest names are ViT-B-32"),
        ("ViT-B-32/laion", "its tags are openai"),
        (f"{TINY}//no/such/file.safetensors", "file.safetensors: there is no such checkpoint file"),
        ("facestats-mini/untrained", "no untrained form"),
    ],
)
def test_wrong_names_say_what_is_right(name: str, says: str) -> None:
    with pytest.raises(EncoderUnavailable, match=says):
        load_model(name)


def test_hub_tag_offline_is_one_quick_error_that_says_which_file(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked = []

    class Offline:
        def head(self, url: str, **kwargs: object) -> None:
            asked.append((url, kwargs["timeout"]))
            raise OSError("[Errno -2] Name or service not known")

    monkeypatch.setattr(huggingface_hub, "get_session", Offline)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    started = time.perf_counter()
    with pytest.raises(EncoderUnavailable) as error:
        load_model("ViT-B-32/laion2b_s34b_b79k")
    assert time.perf_counter() - started < 5 and len(asked) == 1 and asked[0][1] <= 10
    for part in (
        "Name or service not known",
        "open_clip_model.safetensors",
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        "ViT-B-32//path/to/open_clip_model.safetensors",
    ):
        assert part in str(error.value)


def test_hub_tag_loads_from_the_cache_with_the_tags_preprocessing(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    open_clip = import_open_clip()
    tag = {"hf_hub": "someone/model/", "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "resize_mode": "squash"}
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda arch, name: tag)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repo, file: str(checkpoint))
    encoder = load_model(f"{TINY}/v1")
    assert encoder.model_id == f"{TINY}/v1@{sha256_file(checkpoint)[:8]}"
    assert encoder.input.mean == (0.1, 0.2, 0.3) and encoder.input.std == (0.4, 0.5, 0.6)
    assert encoder.input.pixels(noise(1, (30, 200))[0]).shape == (64, 64, 3)


def test_precision_and_device(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)
    assert devices.choose_precision("auto", cpu) == "fp32"
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert devices.choose_precision("auto", cpu) == "bf16"
    assert devices.choose_precision("fp32", cpu) == "fp32"
    with pytest.raises(ValueError, match="'auto', 'fp32' or 'bf16'"):
        devices.choose_precision("fp8", cpu)
    with pytest.raises(ValueError, match="'warp'"):
        devices.choose_device("warp")
    assert devices.choose_device("cpu") == cpu


def test_checksum_list_must_not_leave_its_folder(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  ../other\n")
    with pytest.raises(ChecksumMismatch, match="line 1"):
        verify_folder(tmp_path)


@pytest.mark.slow
def test_vit_b_32_untrained_encodes_512_wide() -> None:
    encoder: Encoder = load_model("ViT-B-32/untrained")
    vectors = encoder.encode_images(noise(4, (512, 512)))
    assert vectors.shape == (4, 512) and encoder.image_size == 224
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    exact = load_model("ViT-B-32/untrained", precision="fp32").encode_images(noise(4, (512, 512)))
    assert (vectors * exact).sum(axis=1).min() >= 0.999
