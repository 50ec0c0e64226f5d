"""Runs a detector inside a `tf.data` pipeline: files in, boxes in pixels out. Needs the TensorFlow backend.

    python examples/inside_tf_data.py a.jpg b.jpg --weights ssd300.voc07+12

`with_decoder` makes a model whose output has a fixed shape, (B, K, 6), so it is a step of a pipeline like any other.
A pipeline runs on the CPU. To use a GPU, leave the last `map` out and call the detector on each batch that comes.
"""

import argparse
import sys

import keras
import tensorflow as tf

import keras_ssd


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", help="JPEG, PNG, GIF or BMP files")
    parser.add_argument("--weights", required=True, help="a name from `keras-ssd zoo list`, or a file")
    parser.add_argument("--confidence", type=float, default=0.5, help="lowest score to report (default: 0.5)")
    parser.add_argument("--batch-size", type=int, default=8)
    return parser.parse_args(argv)


def pipeline(paths, detector, batch_size=8):
    """A `tf.data.Dataset` of (path (B,), class ids (B, K), scores (B, K), boxes in pixels (B, K, 4)).

    Rows without an object have class id -1.
    """

    def read(path):
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        height_width = tf.shape(image)[:2]
        # Bilinear and not antialiased, as the original SSD resizes.
        image = tf.image.resize(image, detector.input_size)
        return path, image, height_width

    def detect(paths, images, height_width):
        rows = detector(images, training=False)  # (B, K, 6)
        height, width = tf.unstack(tf.cast(height_width, "float32"), axis=1)
        scale = tf.stack([width, height, width, height], axis=1)[:, None]
        boxes = tf.clip_by_value(rows[..., 2:], 0.0, 1.0) * scale
        return paths, tf.cast(rows[..., 0], "int32"), rows[..., 1], boxes

    files = tf.data.Dataset.from_tensor_slices([str(path) for path in paths])
    ready = files.map(read, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)
    return ready.map(detect).prefetch(1)


def main(argv=None):
    args = arguments(argv)
    if keras.backend.backend() != "tensorflow":
        print("tf.data holds TensorFlow's tensors. Set KERAS_BACKEND=tensorflow.", file=sys.stderr)
        return 2
    model = keras_ssd.open_model(args.weights)
    detector = keras_ssd.with_decoder(model, confidence_threshold=args.confidence)
    for batch in pipeline(args.images, detector, args.batch_size):
        for path, ids, scores, boxes in zip(*(part.numpy() for part in batch), strict=True):
            print(path.decode())
            for class_id, score, box in zip(ids, scores, boxes, strict=True):
                if class_id >= 0:
                    corners = ", ".join(f"{side:.1f}" for side in box)
                    print(f"  {model.class_names[class_id]} {score:.2f} at {corners}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
