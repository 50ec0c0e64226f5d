"""Uses a detector inside PyTorch code: fed by a DataLoader, and as a part of an nn.Module. Needs the torch backend.

    KERAS_BACKEND=torch python examples/inside_torch.py a.jpg b.jpg --weights ssd300.voc07+12

On this backend a Keras model *is* a `torch.nn.Module`. It takes and returns torch tensors, its weights are in
`parameters()`, and other modules can contain it. Two things differ from torchvision: images are
channels-last, (B, H, W, 3), and they hold 0..255; the model subtracts its mean by itself.
"""

import argparse
import sys

import keras
import torch

import keras_ssd
from keras_ssd.images import read_image, resize_bilinear


class Images(torch.utils.data.Dataset):
    """Image files, resized to what a model takes: (H, W, 3) uint8 tensors."""

    def __init__(self, paths, size_hw):
        self.paths = paths
        self.size_hw = size_hw

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        # A copy, because the array of an image file cannot be written to and torch wants one that can.
        return torch.from_numpy(resize_bilinear(read_image(self.paths[index]), self.size_hw).copy())


class ObjectCounter(torch.nn.Module):
    """How many objects of each class an image shows."""

    def __init__(self, detector):
        super().__init__()
        self.detector = detector
        self.num_classes = len(detector.class_names)

    def forward(self, images):
        rows = self.detector(images.float())  # (B, K, 6)
        class_ids = rows[..., 0].long()  # (B, K), -1 where there is no object
        return (class_ids[..., None] == torch.arange(self.num_classes, device=rows.device)).sum(dim=1)  # (B, C)


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", help="image files")
    parser.add_argument("--weights", required=True, help="a name from `keras-ssd zoo list`, or a file")
    parser.add_argument("--confidence", type=float, default=0.5, help="lowest score to count (default: 0.5)")
    parser.add_argument("--batch-size", type=int, default=8)
    return parser.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    if keras.backend.backend() != "torch":
        print("This example holds torch tensors. Set KERAS_BACKEND=torch.", file=sys.stderr)
        return 2
    model = keras_ssd.open_model(args.weights)
    counter = ObjectCounter(keras_ssd.with_decoder(model, confidence_threshold=args.confidence)).eval()
    print(f"{sum(p.numel() for p in counter.parameters()):,} values in the module")
    loader = torch.utils.data.DataLoader(Images(args.images, model.input_size), batch_size=args.batch_size)
    paths = iter(args.images)
    with torch.no_grad():
        for images in loader:
            for counts in counter(images).tolist():
                shown = [f"{count} {name}" for count, name in zip(counts, model.class_names, strict=True) if count]
                print(f"{next(paths)}: {', '.join(shown) or 'nothing'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
