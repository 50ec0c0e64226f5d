"""Detects with OpenCV 5 alone, in place of cv2.dnn.readNetFromCaffe, which OpenCV 5 no longer has.

keras-ssd convert deploy.prototxt plates.caffemodel -o plates.onnx --input blob
python examples/opencv5_onnx.py plates.onnx car.jpg --size 300 --mean 104 117 123

Give it the numbers of your blobFromImage call. Files made with --input bgr or rgb take the image as it is.
"""

import argparse

import cv2
import numpy as np


def detect(model, image, size, scale=1.0, mean=(0, 0, 0), confidence=0.5):
    """[class id, score, xmin, ymin, xmax, ymax] of each object, in pixels."""
    net = cv2.dnn.readNetFromONNX(model)
    image = cv2.imread(image)
    net.setInput(cv2.dnn.blobFromImage(image, scale, size, mean))  # the same call as before
    boxes, scores = net.forward(["boxes", "scores"])  # (N, 4) fractions of the image, (N, C) without background

    anchors, classes = np.nonzero(scores > confidence)
    boxes, scores = boxes[anchors] * np.tile(image.shape[1::-1], 2), scores[anchors, classes]
    rectangles = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])  # OpenCV's rectangles: x, y, width, height
    kept = cv2.dnn.NMSBoxesBatched(rectangles, scores, classes, confidence, 0.45)
    return [[classes[i], scores[i], *boxes[i]] for i in kept]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="an ONNX file")
    parser.add_argument("image")
    parser.add_argument("--size", type=int, nargs="+", default=[300], help="side, or width and height, in pixels")
    parser.add_argument("--scale", type=float, default=1.0, help="factor of the pixels")
    parser.add_argument("--mean", type=float, nargs=3, default=(0, 0, 0), help="subtracted before, in the file's order")
    parser.add_argument("--confidence", type=float, default=0.5, help="lowest score to report (default: 0.5)")
    args = parser.parse_args(argv)
    size = (args.size[0], args.size[-1])
    for found in detect(args.model, args.image, size, args.scale, args.mean, args.confidence):
        print("class {:.0f} {:.3f} at {:.1f} {:.1f} {:.1f} {:.1f}".format(*found))


if __name__ == "__main__":
    main()
