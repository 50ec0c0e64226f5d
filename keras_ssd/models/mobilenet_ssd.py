"""`mobilenet_ssd`: chuanqi305's MobileNet-SSD, the Caffe detector of many phones and cameras."""

import os
from collections.abc import Sequence

import keras

from keras_ssd.anchors import AnchorRecipe, AnchorSpec, named_recipe
from keras_ssd.backbones.blocks import ConvStyle
from keras_ssd.backbones.caffe_mobilenet import CaffeMobileNetStyle, caffe_mobilenet
from keras_ssd.calling import checked_arguments
from keras_ssd.models.composing import check_anchors, ssd
from keras_ssd.models.heads import Tap
from keras_ssd.models.model import SSD
from keras_ssd.models.pretrained import start_from

TAPS = tuple(
    Tap(f"{name}--relu", kernel_size=1, confidence_name=f"{name}_mbox_conf", offsets_name=f"{name}_mbox_loc")
    for name in ("conv11", "conv13", "conv14_2", "conv15_2", "conv16_2", "conv17_2")
)


@checked_arguments
def mobilenet_ssd(
    weights: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    *,
    weights_classes: Sequence[str] | None = None,
    input_size: tuple[int, int] | None = None,
    anchors: AnchorRecipe | AnchorSpec | None = None,
    batch_norm: bool | None = None,
    l2: float = 0.0,
    kernel_initializer: str | keras.initializers.Initializer | None = "he_normal",
    freeze: str | Sequence[str] = (),
    name: str = "mobilenet_ssd",
) -> SSD:
    """MobileNet-SSD of chuanqi305: MobileNet V1 with Caffe's padding, six maps, 1,917 anchors, 1x1 heads.

    Args:
        weights: a catalogue name such as "voc07+12+coco", the path of a .caffemodel of this network or of a .keras
            file, or None.
        classes: class names without background; with weights of other classes the heads are sub-sampled by name.
        weights_classes: the classes of a weight file, if they are not VOC's.
        input_size: (height, width) in pixels; None is the file's, or (300, 300).
        anchors: an `AnchorRecipe` or an `AnchorSpec`; None is the file's, or the original's.
        batch_norm: BatchNorm after each convolution; None is as in the weights, or True. Files for deployment have it
            merged into the convolutions; for training, use the others.
        l2: factor of Keras's L2 penalty on the kernels.
        kernel_initializer: of fresh kernels.
        freeze: patterns of layers that are not trained, such as ("conv?", "conv?--*").
        name: the model's name.

    Returns:
        `SSD` from RGB images (B, H, W, 3), 0..255, to raw predictions (B, N, C + 1 + 12).

    Raises:
        ValueError: weights of another network, neither weights nor classes.

    Example:
        >>> model = keras_ssd.mobilenet_ssd(weights="MobileNetSSD_deploy.caffemodel")
        >>> mine = keras_ssd.mobilenet_ssd(classes=["cat", "dog"], input_size=(240, 320))

    Source: chuanqi305/MobileNet-SSD, voc/MobileNetSSD_deploy.prototxt.
    """
    check_anchors(anchors)
    start = start_from(weights, classes, "mobilenet_ssd", weights_classes=weights_classes)
    trained = start.trained
    if batch_norm is None:
        batch_norm = trained is None or "conv0--bn" in trained.arrays
    conv = ConvStyle(kernel_initializer, l2)
    if anchors is None:
        anchors = trained.spec if trained is not None and trained.spec is not None else named_recipe("mobilenet_ssd")
    size = anchors.image_size if input_size is None else input_size
    model = ssd(
        caffe_mobilenet(size, style=CaffeMobileNetStyle(bool(batch_norm), conv)),
        TAPS,
        start.classes,
        anchors,
        style=conv,
        freeze=freeze,
        decoding=start.decoding_or(),
        name=name,
    )
    return start.load_into(model)
