"""A few steps of both networks on discs with dots: seeded, resumable, learning."""

from pathlib import Path

import pytest
import torch

from facestats_pipeline.core.detector.data import Sets
from facestats_pipeline.core.detector.train import NETWORKS, Settings, Trainer, train


def tiny(network: str) -> Settings:
    return Settings(network=network, steps=4, batch=4, side=64, warmup=1, lr=1e-3, ema=0.5)


@pytest.mark.parametrize("network", sorted(NETWORKS))
def test_a_resumed_run_ends_in_the_same_weights(network: str, sets: Sets, tmp_path: Path) -> None:
    whole = train(tiny(network), sets, tmp_path / "whole")
    stopped = train(tiny(network), sets, tmp_path / "parts", stop_at=2)
    assert stopped.step == 2
    resumed = train(tiny(network), sets, tmp_path / "parts")
    assert resumed.step == 4 == whole.step
    for name, value in whole.average.items():
        assert torch.equal(value, resumed.average[name]), name
    other = train(Settings(**{**vars(tiny(network)), "seed": 1}), sets, tmp_path / "other")
    assert any(not torch.equal(value, other.average[name]) for name, value in whole.average.items())


def test_both_networks_learn(sets: Sets) -> None:
    for network, term in (("finder", "score"), ("landmarker", "landmarks")):
        settings = Settings(network=network, steps=1000, batch=8, side=64, warmup=5, lr=3e-3)
        trainer = Trainer(settings, sets)
        losses = [trainer.train_step()[term] for _ in range(24)]
        assert sum(losses[-6:]) < 0.8 * sum(losses[:6]), (network, losses)


def test_the_rate_rises_stays_and_falls() -> None:
    settings = Settings(steps=1000, warmup=10, cooldown=0.4, lr=1.0)
    rates = [settings.rate_at(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.1) and rates[300] == 1.0
    assert rates[800] == pytest.approx(0.5) and 0 < rates[999] < 0.01
