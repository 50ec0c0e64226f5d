"""Layers that change a map's size or reorder its channels."""

import keras

from keras_ssd.caffe.importer.blobs import Blob
from keras_ssd.caffe.importer.building import Step
from keras_ssd.caffe.importer.kinds.axes import image_like
from keras_ssd.caffe.importer.registry import builds
from keras_ssd.layers import BilinearResize, ShuffleChannels

SIDES = ("height", "width")


@builds("Interp")
def interp(step: Step, x: Blob) -> Blob:
    """Bilinear resizing with aligned corners, from the Caffe of DeepLab and PSPNet."""
    s = step.settings("interp_param")
    before, after = -s.get("pad_beg", 0), -s.get("pad_end", 0)
    if before < 0 or after < 0:
        step.fail(f"pad_beg and pad_end crop the map, so they must not be positive. Received: {-before}, {-after}")
    tensor = image_like(step, x)
    sizes = [_interp_size(step, s, size - before - after, name) for size, name in zip(x.shape[2:], SIDES, strict=True)]
    layer = BilinearResize(*sizes, cropping=((before, after),) * 2, name=step.label())
    return Blob.of_maps(step.apply(layer, tensor), channels_reversed=x.channels_reversed)


def _interp_size(step, settings, size, name):
    """The new size of one side: shrunk, then enlarged, or as given."""
    shrink, zoom, given = settings.get("shrink_factor"), settings.get("zoom_factor"), settings.get(name)
    if shrink or zoom:
        size = (size - 1) // (shrink or 1) + 1
        return size + (size - 1) * ((zoom or 1) - 1)
    if not given:
        step.fail("needs a shrink_factor, a zoom_factor, or both height and width.")
    return given


@builds("Upsample")
def upsample(step: Step, x: Blob) -> Blob:
    """Nearest upsampling, from the forks that run YOLO."""
    s = step.settings("upsample_param")
    if len(step.layer.bottoms) > 1 or len(step.layer.tops) > 1 or s.get("upsample_h") or s.get("upsample_w"):
        step.fail("unpooling with the places of the maxima is not supported.")
    size = (s.get("scale_h") or s["scale"], s.get("scale_w") or s["scale"])
    if min(size) < 1:
        step.fail(f"needs a scale of at least 1. Received: scale={size}")
    layer = keras.layers.UpSampling2D(size, data_format="channels_last", name=step.label())
    return Blob.of_maps(step.apply(layer, image_like(step, x)), channels_reversed=x.channels_reversed)


@builds("ShuffleChannel")
def shuffle_channel(step: Step, x: Blob) -> Blob:
    """The channel shuffle of ShuffleNet; with reversed channels it is the reversed shuffle."""
    groups = step.settings("shuffle_channel_param").get("group") or 1
    if groups < 1 or x.shape[1] % groups:
        step.fail(f"group must divide the channels. Received: group={groups}, {x.shape[1]} channels")
    y = step.apply(ShuffleChannels(groups, name=step.label()), image_like(step, x))
    return Blob.of_maps(y, channels_reversed=x.channels_reversed)
