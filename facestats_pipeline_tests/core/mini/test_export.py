"""The files that ship: the same content, the same bytes, so that a checksum names an encoder."""

from pathlib import Path

import torch
from safetensors import safe_open

from facestats_pipeline.core.mini.export import WEIGHTS_FILE, save_file

MODELS = Path(__file__).resolve().parents[3] / "models" / "facestats-mini"


def test_the_same_tensors_and_metadata_are_the_same_bytes(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.zeros(3, dtype=torch.float16)}
    written = set()
    for _ in range(8):  # the library's own order of four keys is random: the same eight times once in five billion
        save_file(tensors, tmp_path / "x", {"z": "é", "format": "pt", "looks": "one", "a": "b"})
        written.add((tmp_path / "x").read_bytes())
    assert len(written) == 1
    with safe_open(tmp_path / "x", framework="pt") as file:
        assert file.metadata() == {"z": "é", "format": "pt", "looks": "one", "a": "b"}
        assert torch.equal(file.get_tensor("b"), tensors["b"])
        assert file.get_tensor("a").dtype == torch.float16


def test_the_shipped_weights_written_again_are_the_shipped_file(tmp_path: Path) -> None:
    shipped = MODELS / WEIGHTS_FILE
    with safe_open(shipped, framework="pt") as file:
        save_file({name: file.get_tensor(name) for name in file.keys()}, tmp_path / "again", file.metadata())  # noqa: SIM118
    assert (tmp_path / "again").read_bytes() == shipped.read_bytes()
