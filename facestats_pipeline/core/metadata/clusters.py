"""Clusters of faces in embedding space: PCA to at most 50 dimensions, then k-means, both seeded and reproducible.

The model is fitted on a sample of the collection and applied shard by shard, so neither step needs all embeddings in memory.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from facestats_pipeline.core.single_thread import single_threaded

Matrix = npt.NDArray[np.float32]

SAMPLE_ROWS = 100_000
"""Largest sample for a fit: 12 clusters in 50 dimensions gain nothing from more, and 100,000 × 512 float32 are 205 MB."""

MINIBATCH_FROM = 20_000
"""From this many rows on, mini-batch k-means is used; the full algorithm would take minutes on two cores, with the same result."""

_CHUNK = 8_192  # rows converted to float64 at a time: 34 MB at 512 dimensions


@dataclass(frozen=True)
class ClusterModel:
    """A fitted PCA projection and cluster centres. Arrays are float32; p ≥ 2 is the number of PCA axes.

    mean (d,) · components (p, d), unit rows, or zero rows if the data has fewer directions · explained (p,) share of the variance per
    axis · centres (k, p), ordered along the first axis · rows: size of the sample · model_id: the encoder of the embeddings.
    """

    mean: Matrix
    components: Matrix
    explained: Matrix
    centres: Matrix
    rows: int
    seed: int
    model_id: str = ""

    @property
    def k(self) -> int:
        """Number of clusters; 0 if the sample was empty."""
        return len(self.centres)

    def project(self, embeddings: Matrix) -> Matrix:
        """(n, p) PCA coordinates of embeddings (n, d); rows with NaN stay NaN. Raises ValueError for another width d."""
        if embeddings.ndim != 2 or embeddings.shape[1] != len(self.mean):
            raise ValueError(
                f"embeddings have shape {embeddings.shape}, the cluster model was fitted on {len(self.mean)} columns: "
                "refit the clusters after changing the encoder"
            )
        return ((embeddings - self.mean) @ self.components.T).astype(np.float32)

    def assign(self, embeddings: Matrix) -> tuple[Matrix, npt.NDArray[np.int32]]:
        """((n, 2) PCA coordinates, (n,) cluster numbers) of embeddings (n, d); NaN and -1 for a row without a finite embedding."""
        projected = self.project(embeddings)
        known = np.asarray(np.isfinite(projected).all(axis=1))
        cluster = np.full(len(projected), -1, dtype=np.int32)
        if self.k and known.any():
            # |x - c|² without the term |x|², which is the same for every centre.
            distance = (self.centres**2).sum(axis=1) - 2.0 * projected[known] @ self.centres.T
            cluster[known] = distance.argmin(axis=1)
        xy = np.where(known[:, None] & bool(self.k), projected[:, :2], np.float32(np.nan))
        return xy, cluster

    def to_bytes(self) -> bytes:
        """The model as a safetensors file: it holds tensors only, so loading cannot execute code."""
        return save(
            {
                "mean": np.ascontiguousarray(self.mean),
                "components": np.ascontiguousarray(self.components),
                "explained": np.ascontiguousarray(self.explained),
                "centres": np.ascontiguousarray(self.centres),
                "rows_seed": np.array([self.rows, self.seed], dtype=np.int64),
                "model_id": np.frombuffer(self.model_id.encode(), dtype=np.uint8),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "ClusterModel":
        """The inverse of `to_bytes`. Raises ValueError for other data."""
        try:
            tensors = load(data)
            rows, seed = tensors["rows_seed"].tolist()
            return cls(
                mean=tensors["mean"],
                components=tensors["components"],
                explained=tensors["explained"],
                centres=tensors["centres"],
                rows=rows,
                seed=seed,
                model_id=tensors["model_id"].tobytes().decode(),
            )
        except (SafetensorError, KeyError, ValueError) as problem:
            raise ValueError(f"this is not a cluster model ({problem}): fit the clusters again") from problem


def sample_embeddings(batches: Iterable[tuple[Sequence[str], Matrix]], *, limit: int = SAMPLE_ROWS) -> Matrix:
    """A sample of at most `limit` rows (m, d) from batches of (image ids (n,), embeddings (n, d)), without non-finite rows.

    It keeps the images with the smallest ids. Ids are heads of SHA-256 digests, so this is a uniform sample. It depends neither on the
    order of the batches nor on a random state, and few new photos change few of its rows. Memory: twice the sample.
    """
    ids: npt.NDArray[np.str_] = np.empty(0, dtype="U32")
    pieces: list[Matrix] = []
    largest = None  # once `limit` rows are held, only ids below this one can still enter
    for batch_ids, batch in batches:
        new_ids = np.asarray(batch_ids, dtype=np.str_)
        wanted = np.isfinite(batch).all(axis=1)
        if largest is not None:
            wanted &= new_ids < largest
        ids = np.concatenate([ids, new_ids[wanted]])
        pieces.append(np.asarray(batch, dtype=np.float32)[wanted])
        if len(ids) >= 2 * limit:
            keep = np.argpartition(ids, limit - 1)[:limit]
            ids, pieces = ids[keep], [np.concatenate(pieces)[keep]]
            largest = ids[-1]  # argpartition leaves the largest of them last
    if not pieces:
        return np.empty((0, 0), dtype=np.float32)
    order = np.argsort(ids)[:limit]
    return np.concatenate(pieces)[order]


def default_k(n: int) -> int:
    """Default number of clusters for n rows: one per 50 rows, from 2 to 12, and at most n."""
    return min(n, max(2, min(12, n // 50)))


# Parallel sums have no fixed order, which changes the last bits and now and then a label from run to run.
@single_threaded
def fit_clusters(
    sample: Matrix, *, k: int | None = None, dims: int = 50, seed: int = 0, model_id: str = ""
) -> ClusterModel:
    """Fit PCA with `dims` axes and k clusters (default `default_k`) on `sample` (n, d) float32. The same input gives the same model.

    There are fewer axes if there are fewer rows or columns, and fewer clusters if there are fewer distinct rows. Non-finite rows are left
    out; without any row left, the model has k = 0 and assigns no cluster. Raises ValueError for k or dims below 1.

    Refits are comparable: the sign of an axis makes its largest loading positive, and clusters are ordered by the first coordinate of
    their centre.
    """
    if dims < 1 or (k is not None and k < 1):
        raise ValueError(f"dims and k must be at least 1, got dims={dims}, k={k}")
    sample = sample[np.isfinite(sample).all(axis=1)]
    n, d = sample.shape
    if n == 0:
        nothing = np.zeros((0, 2), dtype=np.float32)
        zeros = np.zeros((2, d), dtype=np.float32)
        return ClusterModel(np.zeros(d, np.float32), zeros, np.zeros(2, np.float32), nothing, 0, seed, model_id)

    mean, components, explained = _principal_axes(sample, dims)
    projected = ((sample - mean) @ components.T).astype(np.float32)
    centres = _centres(projected, default_k(n) if k is None else k, seed)
    return ClusterModel(mean, components, explained, centres, n, seed, model_id)


def _principal_axes(sample: Matrix, dims: int) -> tuple[Matrix, Matrix, Matrix]:
    """(mean (d,), axes (p, d), share of variance (p,)) from the exact covariance, summed in chunks to avoid a second copy of the data."""
    n, d = sample.shape
    mean = sample.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((d, d))
    for start in range(0, n, _CHUNK):
        centred = sample[start : start + _CHUNK].astype(np.float64) - mean
        covariance += centred.T @ centred
    variance, vectors = np.linalg.eigh(covariance / max(n - 1, 1))
    variance, vectors = variance[::-1], vectors[:, ::-1].T
    total = max(float(variance.sum()), 0.0)
    # Axes whose variance is rounding noise have a meaningless direction.
    real = int((variance > 1e-9 * max(total, 1e-30)).sum())
    p = min(dims, real)
    axes = vectors[:p]
    largest = axes[np.arange(p), np.abs(axes).argmax(axis=1)]
    axes = axes * np.where(largest < 0, -1.0, 1.0)[:, None]
    components = np.zeros((max(p, 2), d), dtype=np.float32)
    components[:p] = axes
    explained = np.zeros(max(p, 2), dtype=np.float32)
    explained[:p] = variance[:p] / total if p else 0.0
    return mean.astype(np.float32), components, explained


def _centres(projected: Matrix, k: int, seed: int) -> Matrix:
    """(k', p) centres of k' ≤ k clusters, sorted by their first coordinate."""
    from sklearn.cluster import KMeans, MiniBatchKMeans

    k = min(k, len(np.unique(projected.round(5), axis=0)))
    if len(projected) >= MINIBATCH_FROM:
        # With the default batch of 1,024, small clusters depend on the seed.
        model = MiniBatchKMeans(k, random_state=seed, n_init=5, batch_size=4_096)
    else:
        model = KMeans(k, random_state=seed, n_init=4)
    centres: Matrix = model.fit(projected).cluster_centers_.astype(np.float32)
    return centres[np.lexsort(centres.T[::-1])]  # k-means numbers clusters at random: sorting makes refits comparable
