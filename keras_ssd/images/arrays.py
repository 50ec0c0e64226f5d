"""Arrays and tensors as images: which shapes and value ranges have one meaning, and which are refused."""

from typing import Any

import numpy as np

from keras_ssd.images.errors import ImageError


def array_to_rgb(source: Any, name: str) -> np.ndarray:
    array = _to_numpy(source, name)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        channels_first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        raise ImageError(
            name,
            "an image array has shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4). "
            + ("Channels come last: array.transpose(1, 2, 0). " if channels_first else "")
            + f"Received: shape={array.shape}",
        )
    if not array.size:
        raise ImageError(name, f"it has no pixels. Received: shape={array.shape}")
    array = _to_uint8(array, name)
    if array.shape[2] == 4:
        return over_white(array)
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array


def _to_numpy(source, name):
    if hasattr(source, "detach"):  # a PyTorch tensor that may need gradients or be on another device
        source = source.detach().cpu()
    try:
        array = np.asarray(source)
    except Exception as error:
        raise ImageError(name, f"it does not convert to a numpy array ({error}).") from None
    if array.dtype.kind not in "uif":
        raise ImageError(
            name,
            "expected a path, a URL, a PIL image, or an array of uint8, uint16, or numbers in 0..255. "
            f"Received: {type(source).__name__} with dtype={array.dtype}",
        )
    return array


def _to_uint8(array, name):
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:  # of either byte order
        return (array >> 8).astype(np.uint8)
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 255):  # so written that NaN is refused
        raise ImageError(name, f"{array.dtype} values must lie in 0..255. Received: values in {low}..{high}")
    if array.dtype.kind == "f":
        if 0 < high <= 1:
            raise ImageError(name, "its float values lie in 0..1 and 0..255 is expected. Multiply it by 255 first.")
        array = np.rint(array)
    return array.astype(np.uint8)


def over_white(rgba: np.ndarray) -> np.ndarray:
    """Lays (H, W, 4) uint8 over white."""
    alpha = rgba[:, :, 3:].astype(np.uint16)
    if alpha.min() == 255:
        return np.ascontiguousarray(rgba[:, :, :3])
    blend = rgba[:, :, :3] * alpha + 255 * (255 - alpha)  # at most 255 * 255, so 16 bits hold it
    return ((blend + np.uint16(127)) // 255).astype(np.uint8)
