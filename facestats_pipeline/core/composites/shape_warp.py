"""A piecewise-affine warp: each triangle of landmarks is mapped onto the same triangle of the mean shape."""

import cv2
import numpy as np
from numpy.typing import NDArray

from facestats_pipeline.core.composites.face_shapes import Float, similarity_transforms

BORDER_STEPS = 4
"""Points are added to the frame at its corners and at each quarter of a side. They follow the face's similarity, so the warp fades out
towards the frame. Without them it would end at the jaw and tear hair and ears."""


class PiecewiseAffine:
    """Warps photos from their own landmarks to a target shape.

    Args:
        landmarks: (n, k, 2) in pixels of the photos, no NaN.
        target: (k, 2), the target shape.
        size: side of the photos and of the results in pixels.

    The triangles are a Delaunay triangulation of the target points. The triangle and barycentric coordinates of each pixel are computed
    once, so a photo costs one weighted sum of three points per pixel.
    """

    passes = 1

    def __init__(self, landmarks: Float, target: Float, size: int) -> None:
        from scipy.spatial import Delaunay

        self._size = size
        self._target = target
        frame = _frame(size)
        transforms = similarity_transforms(landmarks, target)
        back = np.linalg.inv(transforms[:, :, :2])
        placed = np.einsum("nij,nkj->nki", back, frame - transforms[:, None, :, 2])
        self._points = np.concatenate([landmarks, placed], axis=1).astype(np.float32)
        triangles = Delaunay(np.vstack([target, frame]))
        centres = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), axis=-1).reshape(-1, 2)
        inside = triangles.find_simplex(centres, tol=1e-9)
        affine = triangles.transform[inside]
        two = np.einsum("nij,nj->ni", affine[:, :2], centres - affine[:, 2])
        three = np.concatenate([two, 1 - two.sum(axis=1, keepdims=True)], axis=1)
        # A triangle without area has no barycentric coordinates: its pixels take its first corner.
        self._weights = np.where(np.isfinite(three), three, np.array([1.0, 0.0, 0.0])).astype(np.float32)
        self._corners: NDArray[np.int32] = triangles.simplices[inside].astype(np.int32)

    def move(self, photo: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        """The photo (size, size, 3) u8 with its landmarks moved to the target."""
        corners = self._points[index][self._corners]  # (pixels, 3, 2)
        source = np.einsum("pcx,pc->px", corners, self._weights).reshape(self._size, self._size, 2) - np.float32(0.5)
        moved = cv2.remap(photo, source[..., 0], source[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        return np.asarray(moved, dtype=np.uint8)

    def learn(self, average: NDArray[np.uint8]) -> None:
        """Do nothing: the target is fixed."""

    def outside(self) -> NDArray[np.float32]:
        """(size, size) f32: 0 inside the hull of the target's landmarks, 1 away from the face, with a soft transition."""
        face = np.zeros((self._size, self._size), np.float32)
        hull = cv2.convexHull(np.rint(self._target).astype(np.int32))
        cv2.fillConvexPoly(face, hull, 1.0)
        soft = cv2.GaussianBlur(face, (0, 0), max(self._size / 96, 0.5))
        return np.asarray(1 - soft, dtype=np.float32)


def _frame(size: int) -> Float:
    steps = np.linspace(0, size, BORDER_STEPS + 1)
    return np.array([(x, y) for x in steps for y in steps if x in (0, size) or y in (0, size)], dtype=np.float64)
