"""Kernel ridge regression against its textbook formula, and where a straight line is not enough."""

import numpy as np
import numpy.typing as npt
import pytest
import torch

from facestats_pipeline.core.attractiveness import kernel_ridge
from facestats_pipeline.core.attractiveness.kernel_ridge import STRENGTHS, WIDTHS, KernelRidge, choose, fit_kernel_ridge

Floats = npt.NDArray[np.float64]


def embeddings(n: int, seed: int = 0, dim: int = 8) -> Floats:
    x = np.random.default_rng(seed).normal(size=(n, dim))
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def kernel(a: Floats, b: Floats, gamma: float) -> Floats:
    return np.asarray(np.exp(-gamma * ((a[:, None] - b[None]) ** 2).sum(2)))


@pytest.mark.parametrize("pairs", [2048, 20])  # more features than photos, and fewer
def test_it_is_the_textbook_formula_with_the_features_products_for_the_kernel(
    pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_ridge, "choose", lambda *_: (0.7, 0.3))
    monkeypatch.setattr(kernel_ridge, "PAIRS", pairs)
    x, new, rng = embeddings(60), embeddings(20, seed=2), np.random.default_rng(1)
    y, weight = 5 + x[:, 0] + rng.normal(0, 0.1, 60), rng.uniform(0.5, 1.5, 60)
    model = fit_kernel_ridge(x, y, weight, seed=0)
    middle = np.average(y, weights=weight)

    def expected(among: Floats, to_new: Floats) -> Floats:
        return np.asarray(middle + to_new @ np.linalg.solve(among + np.diag(0.3 / weight), y - middle))

    seen, other = (kernel_ridge.features(torch.from_numpy(a), model.directions.double()).numpy() for a in (x, new))
    got = model(torch.from_numpy(new)).numpy()
    np.testing.assert_allclose(got, expected(seen @ seen.T, other @ seen.T), atol=1e-4)
    if pairs > 1000:
        assert np.abs(seen @ seen.T - kernel(x, x, 0.7)).max() < 0.05
        np.testing.assert_allclose(got, expected(kernel(x, x, 0.7), kernel(new, x, 0.7)), atol=0.05)


def test_the_choice_is_what_leaving_each_photo_out_gives() -> None:
    x, rng = embeddings(25), np.random.default_rng(1)
    y = np.sin(4 * x[:, 0]) + rng.normal(0, 0.2, 25)
    distance = ((x[:, None] - x[None]) ** 2).sum(2)
    apart = np.sort(distance[distance > 1e-9])
    unit = 1 / apart[(len(apart) - 1) // 2]
    errors = {}
    for gamma in (width * unit for width in WIDTHS):
        for strength in STRENGTHS.tolist():
            total = 0.0
            for i in range(25):
                rest = np.arange(25) != i
                votes = np.linalg.solve(kernel(x[rest], x[rest], gamma) + strength * np.eye(24), y[rest])
                total += float((y[i] - kernel(x[i : i + 1], x[rest], gamma)[0] @ votes) ** 2)
            errors[gamma, strength] = total
    assert choose(*(torch.from_numpy(a) for a in (x, y, np.ones(25)))) == pytest.approx(
        min(errors, key=lambda key: errors[key])
    )


def test_it_learns_what_a_line_cannot() -> None:
    x, new = embeddings(300), embeddings(100, seed=3)
    model = fit_kernel_ridge(x, np.abs(x[:, 0]), np.ones(300), seed=0)
    assert np.corrcoef(model(torch.from_numpy(new)).numpy(), np.abs(new[:, 0]))[0, 1] > 0.9


def test_equal_photos_do_no_harm_and_the_fit_is_repeatable() -> None:
    x = np.repeat(embeddings(20), 3, axis=0)
    first, again = (fit_kernel_ridge(x, x[:, 0], np.ones(60), seed=1) for _ in range(2))
    assert torch.equal(first.weights, again.weights)
    assert torch.isfinite(first(torch.from_numpy(x))).all()
    copy = KernelRidge(8)
    copy.load_state_dict(first.state_dict())
    assert torch.equal(copy(torch.from_numpy(x)), first(torch.from_numpy(x)))


def test_what_is_kept_beside_the_weights_does_not_depend_on_the_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_ridge, "choose", lambda *_: (0.7, 0.3))
    one, other = (fit_kernel_ridge(embeddings(40, seed), np.arange(40.0), np.ones(40), seed=0) for seed in (1, 2))
    assert torch.equal(one.directions, other.directions)
    assert set(one.state_dict()) == {"directions", "weights", "middle"}
