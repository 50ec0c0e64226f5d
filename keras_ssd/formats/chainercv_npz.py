"""chainercv's SSD `.npz` files: converted from Caffe, trained by chainercv, or its ImageNet VGG.

The differences from Caffe, which this reader undoes. They follow from chainercv's converter (examples/ssd/caffe2npz.py,
which made the `*_converted_*` files), its links (links/model/ssd/ssd_vgg16.py, multibox.py) and its coder
(links/model/ssd/multibox_coder.py):

- Names: fc6, fc7 are conv6, conv7; the extra layers are counted on from there (Caffe's conv6_1 is conv8_1,
  ..., conv10_2 is conv12_2); conv4_3_norm is norm4 with one array `scale`; heads are numbered by feature map.
- Kernels are (out, in, height, width), as in Caffe: transposed.
- The first convolution's input channels were reversed to RGB by the converter, and chainercv subtracts the
  mean (123, 117, 104) from RGB: nothing to turn.
- Coordinates: the coder decodes channels as cy, cx, h, w against boxes stored as (cy, cx, h, w); the
  converter swapped each box's four channels by [1, 0, 3, 2]. That permutation undoes itself.
- Boxes in a cell: (s, s), (s', s'), then for each ratio first h = s / sqrt(ar), w = s * sqrt(ar), then the
  opposite. The wide box comes first, as in Caffe (ar, then 1 / ar), and the converter moves no boxes: order
  kept.
- Classes: background first, class fastest (`reshape(-1, n_class)` after moving channels last): order kept.
"""

import re
import zipfile
from os import PathLike
from pathlib import Path

import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.formats.named_arrays import MAX_ARRAYS, Budget, NamedArrays, WeightFileError, as_float32

# Feature map i of the heads -> the Caffe layer that it reads.
SOURCES = ("conv4_3_norm", "fc7", "conv6_2", "conv7_2", "conv8_2", "conv9_2", "conv10_2")
YX_TO_XY = [1, 0, 3, 2]
MAX_HEADER_BYTES = 10_000


@checked_arguments
def read_chainercv_npz(path: str | PathLike[str]) -> NamedArrays:
    """Reads an SSD300, SSD512 or VGG16 `.npz` of chainercv.

    Returns:
        `NamedArrays` with Caffe's layer names.

    Raises:
        WeightFileError: the file is damaged, holds pickled objects, or is no SSD of chainercv.
    """
    path = Path(path)
    layers = {}
    for key, array in _read_npz(path).items():
        layer, weight, array = _translate(key, array, path)
        if weight in layers.setdefault(layer, {}):
            raise WeightFileError(f"{path}: array {key!r} is a second {weight!r} of layer {layer!r}.")
        layers[layer][weight] = array
    return NamedArrays(layers, format="chainercv_npz", path=path, first_layer_channels="rgb")


def caffe_name(link: str) -> str | None:
    """The Caffe layer's name of a chainercv link path, or None: 'extractor/conv8_1' -> 'conv6_1'."""
    if match := re.fullmatch(r"extractor/conv([1-5])_([123])", link):
        return f"conv{match[1]}_{match[2]}"
    if match := re.fullmatch(r"extractor/conv([67])", link):
        return f"fc{match[1]}"
    if match := re.fullmatch(r"extractor/conv([89]|1[0-2])_([12])", link):
        return f"conv{int(match[1]) - 2}_{match[2]}"
    if link == "extractor/norm4":
        return "conv4_3_norm"
    if match := re.fullmatch(r"multibox/(loc|conf)/([0-6])", link):
        return f"{SOURCES[int(match[2])]}_mbox_{match[1]}"
    return None


def _translate(key, array, path):
    link, _, parameter = key.rpartition("/")
    layer = caffe_name(link)
    if layer is None and "/" not in link and parameter in ("W", "b"):
        layer = link  # the converter leaves names alone that it does not know, like VGG's fc8
    weight = {"W": "kernel", "b": "bias", "scale": "gamma"}.get(parameter)
    rank = {"kernel": (2, 4), "bias": (1,), "gamma": (1,)}.get(weight or "", ())
    if not layer or array.ndim not in rank:
        raise WeightFileError(
            f"{path}: array {key!r} of shape {array.shape} belongs to no SSD of chainercv; expected names like "
            "'extractor/conv1_1/W', 'extractor/norm4/scale' and 'multibox/loc/0/b'."
        )
    if layer.endswith("_mbox_loc"):
        array = _yx_to_xy(key, array, path)  # (boxes * 4, ...)
    if weight == "kernel":
        array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
    return layer, weight, np.ascontiguousarray(array)


def _yx_to_xy(key, array, path):
    if array.shape[0] % 4:
        raise WeightFileError(f"{path}: array {key!r} must have 4 channels per box. Received: shape={array.shape}")
    boxes = array.reshape(-1, 4, *array.shape[1:])  # (boxes, 4, ...)
    return boxes[:, YX_TO_XY].reshape(array.shape)


def _read_npz(path):
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if not 0 < len(members) <= MAX_ARRAYS:
                raise WeightFileError(f"{path}: expected 1 to {MAX_ARRAYS:,} arrays. Received: {len(members):,}")
            budget = Budget(path)
            return {info.filename.removesuffix(".npy"): _read_member(archive, info, budget) for info in members}
    except WeightFileError:
        raise
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, ValueError, TypeError, LookupError, EOFError) as error:
        raise WeightFileError(f"{path} is not a readable .npz file; it is damaged or cut short: {error}") from error
    except (RuntimeError, NotImplementedError, SyntaxError, MemoryError, OverflowError) as error:
        raise WeightFileError(f"{path} is not a readable .npz file: {error}") from error


def _read_member(archive, info, budget):
    """One array; its header is judged before its values are unpacked."""
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(
            version
        )
        if read_header is None:
            raise WeightFileError(f"{budget.path}: array {info.filename!r} has the unknown .npy version {version}.")
        shape, fortran, dtype = read_header(stream, max_header_size=MAX_HEADER_BYTES)
        if dtype.hasobject:
            raise WeightFileError(
                f"{budget.path}: array {info.filename!r} is a pickled object, which could run any code; it is "
                "not opened."
            )
        budget.spend(info.filename, shape, dtype)
        count = int(np.prod(shape, dtype=np.int64))
        data = stream.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise WeightFileError(f"{budget.path}: array {info.filename!r} of shape {shape} is cut short.")
    array = np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    return as_float32(budget.path, info.filename, array)
