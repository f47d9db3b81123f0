"""The optimizer against what it is defined to do."""

import torch
from torch import nn

from facestats_pipeline.core.mini.muon import MuonAdam, orthogonalize, parameter_groups


def test_orthogonalizing_brings_every_singular_value_near_one() -> None:
    for shape in ((8, 20), (20, 8)):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 100
        values = torch.linalg.svdvals(orthogonalize(matrix).float())
        assert values.min() > 0.5
        assert values.max() < 1.4
        overlap = torch.linalg.svd(matrix)[0][:, 0] @ torch.linalg.svd(matrix @ matrix.T)[0][:, 0]
        assert abs(float(overlap)) > 0.99


def test_an_adam_step_is_of_the_size_of_the_learning_rate() -> None:
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = MuonAdam([{"params": [weight]}], lr=0.1)
    weight.grad = torch.tensor([3.0, -0.5])
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([0.9, -1.9]))


def test_both_kinds_of_weights_reach_a_minimum() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3))
    x = torch.randn(64, 6)
    y = torch.tanh(x @ torch.randn(6, 3))
    optimizer = MuonAdam(parameter_groups(model, 0.0), lr=0.1)
    start = float(nn.functional.mse_loss(model(x), y).detach())
    for step in range(150):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * (1 - step / 150)
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
    assert float(nn.functional.mse_loss(model(x), y).detach()) < start / 10


def test_every_weight_is_in_one_group_and_only_matrices_decay() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3))
    groups = parameter_groups(model, 0.1)
    assert sorted(id(w) for g in groups for w in g["params"]) == sorted(id(w) for w in model.parameters())
    for group in groups:
        assert all((weight.ndim >= 2) == (group["weight_decay"] > 0) for weight in group["params"])


def test_the_body_of_a_tower_that_brings_weights_goes_slower_and_by_adam() -> None:
    trunk = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, groups=4, bias=False))
    model = nn.ModuleDict({"visual": nn.ModuleDict({"trunk": trunk, "head": nn.Linear(4, 2)})})
    groups = parameter_groups(model, 0.1, body_rate=0.25)
    assert sorted(id(w) for g in groups for w in g["params"]) == sorted(id(w) for w in model.parameters())
    body = {id(weight) for weight in trunk.parameters()}
    for group in groups:
        slow = {id(weight) in body for weight in group["params"]}
        assert slow <= {group.get("rate") == 0.25}
        assert not (True in slow and group.get("muon"))
        decays = group["weight_decay"] > 0
        assert all(decays == (weight.ndim >= 2 and weight.shape[1] > 1) for weight in group["params"])
    assert MuonAdam(groups, lr=0.1).param_groups[0]["rate"] == 1.0
