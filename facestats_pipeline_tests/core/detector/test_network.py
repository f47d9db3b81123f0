"""The networks: sizes, and that folding the batch norms changes nothing."""

import torch

from facestats_pipeline.core.detector.export import MOST_BYTES
from facestats_pipeline.core.detector.network import FACE_PX, Finder, Landmarker, folded, unnormed


def used(network: torch.nn.Module, x: torch.Tensor) -> torch.nn.Module:
    """The network after its batch norms have seen something."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.3, 0.3)
    network.train()(x)
    return network.eval()


def test_folding_changes_nothing() -> None:
    x = torch.randn(4, 3, FACE_PX, FACE_PX)
    for kind in (Finder, Landmarker):
        network = used(kind(), x)
        plain, fast = network(x), folded(network)(x)
        for one, other in zip(
            [plain] if isinstance(plain, torch.Tensor) else plain,
            [fast] if isinstance(fast, torch.Tensor) else fast,
            strict=True,
        ):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
        again = unnormed(kind())
        again.load_state_dict(folded(network).state_dict())


def test_both_networks_fit_into_what_is_shipped() -> None:
    weights = sum(weight.numel() for kind in (Finder, Landmarker) for weight in folded(kind()).state_dict().values())
    assert 2 * weights <= MOST_BYTES


def test_maps_have_the_size_of_the_picture_over_the_stride() -> None:
    with torch.inference_mode():
        maps = Finder().eval()(torch.zeros(1, 3, 64, 96))
    assert [tuple(each.shape) for each in maps] == [(1, 16, 8, 12), (1, 16, 4, 6), (1, 16, 2, 3)]
    assert all(float(each[:, 0].sigmoid().max()) < 0.5 for each in maps)  # an untrained network sees no faces
