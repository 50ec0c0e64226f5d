"""k-means with IoU as its similarity: the usual way to choose anchors. It does not consider grids."""

import numpy as np

from keras_ssd.anchors.overlaps import concentric_iou

ROUNDS = 100


def kmeans(sizes_hw: np.ndarray, count: int, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(count, 2) shapes by ascending area. Each is the weighted mean of the concentric objects that overlap it most.

    The start is chosen as in k-means++: each shape far from those before. `weights` are those of the (M, 2) objects,
    with a sum of 1.

    Source: Redmon and Farhadi, "YOLO9000" (2017), section 2, for the measure; Arthur and Vassilvitskii, "k-means++"
    (2007), for the starts.
    """
    shapes = sizes_hw[[rng.choice(len(sizes_hw), p=weights)]]
    while len(shapes) < count:
        far = weights * (1 - concentric_iou(sizes_hw, shapes).max(axis=1)) + 1e-12
        shapes = np.concatenate([shapes, sizes_hw[[rng.choice(len(sizes_hw), p=far / far.sum())]]])
    nearest = None
    for _ in range(ROUNDS):
        before, nearest = nearest, concentric_iou(sizes_hw, shapes).argmax(axis=1)
        if before is not None and np.array_equal(before, nearest):
            break
        total = np.bincount(nearest, weights, count)
        means = np.stack([np.bincount(nearest, weights * side, count) for side in sizes_hw.T], axis=1)
        alive = total > 0
        shapes[alive] = means[alive] / total[alive, None]
    return shapes[np.argsort(shapes.prod(axis=1), kind="stable")]
