"""open_clip imports beside any torchvision, and nothing is declared where torchvision's own operators load."""

import torch

from facestats_pipeline.core.encoders import open_clip_compat


def test_operators_exist_and_open_clip_knows_this_projects_architectures() -> None:
    assert torch.ops.torchvision.nms is not None
    assert "facestats-test-tiny" in open_clip_compat.import_open_clip().list_models()
    assert open_clip_compat.import_open_clip().list_models().count("facestats-test-tiny") == 1


def test_nothing_is_declared_when_the_extension_loads(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(open_clip_compat, "_declared", None)
    monkeypatch.setattr(open_clip_compat, "extension_loads", lambda: True)
    assert open_clip_compat.declare_missing_operators() is False
    assert open_clip_compat._declared is None


def test_an_extension_that_cannot_be_loaded_is_reported_so(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    def refuse(path: str) -> None:
        raise OSError("libcudart.so.13: cannot open shared object file")

    monkeypatch.setattr(torch._C, "_dispatch_has_kernel", lambda name: False)
    monkeypatch.setattr(torch.ops, "load_library", refuse)
    assert open_clip_compat.extension_loads() is False
    monkeypatch.setattr(torch.ops, "load_library", lambda path: None)
    assert open_clip_compat.extension_loads() is True
