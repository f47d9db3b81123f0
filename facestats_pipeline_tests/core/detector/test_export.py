"""What is exported is what is loaded; a file that is damaged, swapped or of another kind is refused by its name."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from facestats_pipeline.core.detector import detect
from facestats_pipeline.core.detector.export import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Config,
    WeightsRefused,
    read,
    write,
)
from facestats_pipeline.core.detector.network import Finder, Landmarker
from facestats_pipeline.core.encoders.checksums import SUMS_FILE, sha256_file


def exported(folder: Path, seed: int = 0, config: Config | None = None) -> Path:
    torch.manual_seed(seed)
    write(folder, Finder().eval(), Landmarker().eval(), config or Config(middle=1.5), {"steps": 0})
    return folder


def sign(folder: Path) -> None:
    """Give changed files a fitting list of checksums."""
    names = (WEIGHTS_FILE, CONFIG_FILE)
    (folder / SUMS_FILE).write_text("".join(f"{sha256_file(folder / name)}  {name}\n" for name in names))


def test_a_round_trip_changes_the_weights_by_no_more_than_half_precision(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    finder, landmarker, config = read(folder)
    assert config == Config(middle=1.5)
    torch.manual_seed(0)
    before = (Finder().eval(), Landmarker().eval())
    x = torch.randn(2, 3, 96, 96)
    for one, other in zip(before[0](x), finder(x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=5e-3)
    torch.testing.assert_close(before[1](x), landmarker(x), rtol=1e-2, atol=5e-3)
    assert (folder / WEIGHTS_FILE).stat().st_size < 1_500_000


def test_the_same_weights_are_the_same_bytes_and_other_ones_have_another_name(tmp_path: Path) -> None:
    names = [detect.load(exported(tmp_path / str(i), seed)).name for i, seed in enumerate((0, 0, 1))]
    names.append(detect.load(exported(tmp_path / "limit", 0, Config(middle=2.5))).name)
    assert names[0] == names[1] and len(set(names)) == 3
    assert names[0].startswith("facestats-") and len(names[0]) == 18


@pytest.mark.parametrize("name", [WEIGHTS_FILE, CONFIG_FILE, SUMS_FILE])
def test_a_damaged_or_missing_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    for harm in ("flip", "cut", "remove"):
        folder = exported(tmp_path / harm)
        data = bytearray((folder / name).read_bytes())
        if harm == "flip":
            data[len(data) // 2] ^= 0x55
            (folder / name).write_bytes(data)
        elif harm == "cut":
            (folder / name).write_bytes(data[: len(data) // 2])
        else:
            (folder / name).unlink()
        with pytest.raises(WeightsRefused, match=f"{folder}/({name}|{WEIGHTS_FILE}|{CONFIG_FILE}|{SUMS_FILE}).*fetch"):
            detect.load(folder)


def test_weights_of_another_detector_are_refused(tmp_path: Path) -> None:
    one, other = exported(tmp_path / "one"), exported(tmp_path / "other", 1)
    (one / WEIGHTS_FILE).write_bytes((other / WEIGHTS_FILE).read_bytes())
    with pytest.raises(WeightsRefused, match=WEIGHTS_FILE):
        detect.load(one)


def test_weights_that_are_none_of_ours_are_refused_though_the_checksums_fit(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    tensors = load_file(folder / WEIGHTS_FILE)
    first = next(iter(tensors))
    for change in (
        {**tensors, first: torch.full_like(tensors[first], float("nan"))},
        {**tensors, first: torch.zeros(3)},
        {name: value for name, value in tensors.items() if name != first},
        {},
    ):
        save_file(change, folder / WEIGHTS_FILE)
        sign(folder)
        with pytest.raises(WeightsRefused, match=WEIGHTS_FILE):
            detect.load(folder)
    for bytes_ in (b"", b"\x80\x04pickle", np.random.default_rng(0).bytes(5000)):
        (folder / WEIGHTS_FILE).write_bytes(bytes_)
        sign(folder)
        with pytest.raises(WeightsRefused, match=WEIGHTS_FILE):
            detect.load(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}x", '{"format": 2}', '{"middle": "1"}', '{"middle": 1e9}', '{"other": 1}']
)
def test_a_config_of_another_kind_is_refused_by_name(tmp_path: Path, text: str) -> None:
    folder = exported(tmp_path)
    (folder / CONFIG_FILE).write_text(text)
    sign(folder)
    with pytest.raises(WeightsRefused, match=CONFIG_FILE):
        detect.load(folder)


def test_the_config_says_from_which_logit_on_a_face_is_sure(tmp_path: Path) -> None:
    folder = exported(tmp_path)
    assert json.loads((folder / CONFIG_FILE).read_text())["middle"] == 1.5
