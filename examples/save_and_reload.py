"""Saves a model, opens it again here and in a fresh process, and compares what the copies predict.

    python examples/save_and_reload.py --folder saved
    python examples/save_and_reload.py --weights ssd300.voc07+12 --folder saved

A `.keras` file holds all that belongs to a detector: layers, weights, anchors, class names and preprocessing. To open
it you need `import keras_ssd` and nothing else: no list of custom objects, and not the code that built the model.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

import keras_ssd

# All that another program needs: one import, one call.
OTHER_PROGRAM = """
import sys
import keras, keras_ssd
import numpy as np
model = keras.saving.load_model(sys.argv[1])
np.save(sys.argv[3], model.predict_on_batch(np.load(sys.argv[2])))
"""


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="a name or file; without it a small untrained model serves")
    parser.add_argument("--folder", type=Path, default=Path("saved"), help="where to save (default: saved)")
    return parser.parse_args(argv)


def compare(what, expected, received):
    """Prints the largest difference; says whether it is small enough."""
    difference = float(np.abs(expected - received).max())
    print(f"{what}: largest difference {difference:g}")
    return difference <= 1e-4


def main(argv=None):
    args = arguments(argv)
    args.folder.mkdir(parents=True, exist_ok=True)
    model = (
        keras_ssd.open_model(args.weights)
        if args.weights
        else keras_ssd.ssd7(classes=["cat", "dog"], input_size=(96, 128))
    )
    images = np.random.default_rng(0).uniform(0, 255, (2, *model.input_size, 3)).astype("float32")
    expected = model.predict_on_batch(images)

    path = args.folder / "model.keras"
    model.save(path)
    copy = keras_ssd.load(path)  # keras.saving.load_model does the same; this one explains a bad file better
    same_anchors = np.array_equal(copy.anchor_spec.anchors_cxcywh(), model.anchor_spec.anchors_cxcywh())
    print(f"{path}: classes {', '.join(copy.class_names)}; anchors equal bit for bit: {same_anchors}")
    ok = [same_anchors, compare("in this process", expected, copy.predict_on_batch(images))]

    np.save(args.folder / "images.npy", images)
    files = [path, args.folder / "images.npy", args.folder / "predictions.npy"]
    subprocess.run([sys.executable, "-c", OTHER_PROGRAM, *map(str, files)], check=True)
    ok.append(compare("in a fresh process", expected, np.load(files[2])))

    # The end-to-end model, images in and rows of detections out, is what one hands to others.
    detector = keras_ssd.with_decoder(model, confidence_threshold=0.3)
    path = args.folder / "detector.keras"
    detector.save(path)
    rows = keras.saving.load_model(path).predict_on_batch(images)
    ok.append(compare(f"{path}, rows of shape {rows.shape}", detector.predict_on_batch(images), rows))
    return 0 if all(ok) else 1


if __name__ == "__main__":
    sys.exit(main())
