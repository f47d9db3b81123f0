from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from facestats_pipeline.core.metadata import clusters
from facestats_pipeline.core.metadata.cluster_table import attributes_with_clusters, cluster_table
from facestats_pipeline.core.metadata.clusters import ClusterModel, default_k, fit_clusters, sample_embeddings
from facestats_pipeline_tests.core import small_shards as shard
from facestats_pipeline_tests.core.synthetic_embeddings import groups
from facestats_pipeline_tests.examples import examples

Matrix = npt.NDArray[np.float32]


def same(a: ClusterModel, b: ClusterModel) -> bool:
    arrays = ("mean", "components", "explained", "centres")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in arrays) and (
        a.rows,
        a.seed,
        a.model_id,
    ) == (
        b.rows,
        b.seed,
        b.model_id,
    )


def test_clouds_are_found() -> None:
    x, truth = groups(60)
    _, cluster = fit_clusters(x, k=3).assign(x)
    for group in range(3):
        assert len(set(cluster[truth == group])) == 1
    assert len(set(cluster)) == 3


def test_pca_is_that_of_scikit_learn_up_to_sign() -> None:
    from sklearn.decomposition import PCA

    x, _ = groups(50)
    model = fit_clusters(x, dims=5)
    theirs = PCA(5, svd_solver="full").fit(x)
    np.testing.assert_allclose(np.abs(model.components), np.abs(theirs.components_), atol=1e-4)
    np.testing.assert_allclose(model.explained, theirs.explained_variance_ratio_, atol=1e-5)
    np.testing.assert_allclose(np.abs(model.project(x)), np.abs(theirs.transform(x)), atol=1e-3)


def test_the_same_sample_gives_the_same_model() -> None:
    x, _ = groups(50)
    assert same(fit_clusters(x, seed=3), fit_clusters(x, seed=3))


def test_a_refit_with_other_photos_keeps_axes_and_numbers() -> None:
    first, _ = groups(400, seed=1)
    second, _ = groups(400, seed=2)
    (xy, cluster), (xy2, cluster2) = (fit_clusters(x, k=3).assign(second) for x in (first, second))
    assert (cluster == cluster2).all()
    assert np.corrcoef(xy[:, 0], xy2[:, 0])[0, 1] > 0.99
    assert np.corrcoef(xy[:, 1], xy2[:, 1])[0, 1] > 0.99
    means = [xy[cluster == c, 0].mean() for c in range(3)]
    assert means == sorted(means), "clusters are numbered along the first axis"


@pytest.mark.parametrize("seed", range(5))
def test_axes_point_where_their_largest_loading_is_positive(seed: int) -> None:
    components = fit_clusters(groups(20, seed)[0]).components
    largest = components[np.arange(len(components)), np.abs(components).argmax(axis=1)]
    assert (largest > 0).all()


def test_mini_batches_find_the_clouds_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "MINIBATCH_FROM", 100)
    x, truth = groups(60)
    _, cluster = fit_clusters(x, k=3).assign(x)
    assert all(len(set(cluster[truth == group])) == 1 for group in range(3))
    assert same(fit_clusters(x, k=3), fit_clusters(x, k=3))


@pytest.mark.parametrize(("n", "k"), [(0, 0), (1, 1), (2, 2), (49, 2), (150, 3), (599, 11), (600, 12), (10**7, 12)])
def test_number_of_clusters(n: int, k: int) -> None:
    assert default_k(n) == k


@examples(25)
@given(n=st.integers(0, 9), d=st.integers(1, 6), distinct=st.integers(1, 3))
def test_any_small_sample_gives_a_usable_model(n: int, d: int, distinct: int) -> None:
    x = np.arange(n * d, dtype=np.float32).reshape(n, d) % distinct
    model = fit_clusters(x, k=4)
    assert model.k <= max(len(np.unique(x, axis=0)), 0)
    assert model.components.shape[1] == d
    xy, cluster = ClusterModel.from_bytes(model.to_bytes()).assign(x)
    assert xy.shape == (n, 2)
    assert np.isfinite(xy).all()
    assert ((cluster >= 0) & (cluster < max(model.k, 1))).all()


def test_one_direction_has_a_second_axis_of_zeros() -> None:
    x = np.outer(np.arange(10), np.ones(4)).astype(np.float32)
    xy, _ = fit_clusters(x, k=2).assign(x)
    assert np.ptp(xy[:, 0]) > 1
    np.testing.assert_array_equal(xy[:, 1], 0)


def test_bytes_hold_everything() -> None:
    x, _ = groups(20)
    model = fit_clusters(x, seed=7, model_id="facestats-mini@é")
    again = ClusterModel.from_bytes(model.to_bytes())
    assert same(model, again)
    assert again.model_id == "facestats-mini@é"
    assert (again.rows, again.seed) == (60, 7)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80\x04N.", b"not a model" * 10, save({"mean": np.zeros(3, np.float32)})],
    ids=["empty", "pickle", "text", "other tensors"],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a cluster model"):
        ClusterModel.from_bytes(data)


def test_embeddings_of_another_width_are_refused() -> None:
    x, _ = groups(20)
    with pytest.raises(ValueError, match="fitted on 16 columns"):
        fit_clusters(x).assign(np.zeros((2, 8), np.float32))


@pytest.mark.parametrize("bad", [{"k": 0}, {"dims": 0}])
def test_impossible_settings_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        fit_clusters(groups(5)[0], **bad)


# the sample


@examples(30)
@given(data=st.data(), n=st.integers(0, 60), limit=st.integers(1, 20))
def test_the_sample_depends_on_the_ids_alone(data: st.DataObject, n: int, limit: int) -> None:
    random = np.random.default_rng(n)
    ids = [f"{random.integers(2**60):032x}" for _ in range(n)]
    x = random.normal(size=(n, 3)).astype(np.float32)
    order = data.draw(st.permutations(range(n)))
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))
    parts = np.split(np.array(order, dtype=int), cuts)
    sample = sample_embeddings([([ids[i] for i in part], x[part]) for part in parts], limit=limit)
    expected = x[np.argsort(ids)[:limit]] if n else np.empty((0, 3))
    np.testing.assert_array_equal(sample, expected)


def test_rows_without_an_embedding_are_not_sampled() -> None:
    x = np.array([[1, 2], [np.nan, 1], [np.inf, 1], [3, 4]], dtype=np.float32)
    np.testing.assert_array_equal(sample_embeddings([(["a", "b", "c", "d"], x)]), x[[0, 3]])
    assert sample_embeddings([]).shape == (0, 0)


# the table


def test_every_image_gets_its_own_place() -> None:
    x, _ = groups(20)
    model = fit_clusters(x, k=3)
    n = len(x)
    ids = shard.ids(n)
    table = attributes_with_clusters(shard.attributes(n), ids.reverse(), x[::-1], model)
    xy, cluster = model.assign(x)
    assert table["cluster"].to_list() == cluster.tolist()
    np.testing.assert_allclose(table.select("pca_x", "pca_y").to_numpy(), xy, rtol=1e-5)


def test_images_without_an_embedding_have_no_cluster() -> None:
    x, _ = groups(20)
    model = fit_clusters(x)
    rows = x[:3].copy()
    rows[1, 4] = np.nan
    table = attributes_with_clusters(shard.attributes(4), shard.ids(3), rows, model)
    assert table.select(pl.col("pca_x", "pca_y", "cluster").is_null()).rows() == [(i in (1, 3),) * 3 for i in range(4)]


@pytest.mark.parametrize("n", [0, 2])
@pytest.mark.parametrize("fitted", [True, False, None])
def test_the_schema_is_constant(n: int, fitted: bool | None) -> None:
    """With a model, with a model fitted on nothing, and without one."""
    x, _ = groups(5)
    model = None if fitted is None else fit_clusters(x if fitted else x[:0])
    table = attributes_with_clusters(shard.attributes(n), shard.ids(n), x[:n], model)
    assert table.schema == pl.Schema(cluster_table().schema)
    assert table.height == n
    assert table["cluster"].null_count() == (0 if fitted else n)
    assert table["pca_x"].null_count() == (0 if fitted else n)


def test_ids_and_embeddings_must_match() -> None:
    with pytest.raises(ValueError, match="2 image ids for 3 embeddings"):
        attributes_with_clusters(shard.attributes(2), shard.ids(2), groups(1)[0], None)
