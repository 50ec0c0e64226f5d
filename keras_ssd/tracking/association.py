"""Which detection continues which track."""

import numpy as np

NEEDS = "Tracking needs the package `scipy`, which is not installed: pip install 'keras-ssd[track]'"


def assigned(similarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of rows and columns with the largest sum, each row and column in at most one.

    Raises:
        ImportError: scipy is not installed.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ImportError(NEEDS) from error
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    return np.asarray(rows), np.asarray(columns)


def associate(
    similarity: np.ndarray, least: float, allowed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs tracks and detections.

    Args:
        similarity: (T, K) of tracks and detections, from 0.
        least: pairs below it are none.
        allowed: (T, K) which pairs there may be; None for all.

    Returns:
        (M,) tracks and (M,) detections that are pairs, and the (U,) tracks and (V,) detections in none, ascending.
    """
    tracks, found = np.zeros(0, int), np.zeros(0, int)
    if similarity.size:
        # A pair that is not allowed adds nothing to the sum, so it changes nothing about the others.
        tracks, found = assigned(similarity if allowed is None else similarity * allowed)
        alike = similarity[tracks, found] >= least
        alike &= True if allowed is None else allowed[tracks, found]
        tracks, found = tracks[alike], found[alike]
    free_tracks = np.setdiff1d(np.arange(similarity.shape[0]), tracks)
    return tracks, found, free_tracks, np.setdiff1d(np.arange(similarity.shape[1]), found)
