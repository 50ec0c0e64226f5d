"""Draws the image of docs/architecture.md from the code: `python docs/drawings/architecture.py`.

Shapes are those of an SSD300 that is built for it, modules must exist, and the rooms of the package with their sizes
are read from the files and from the order that `tests/test_package.py` holds.
"""

import argparse
import ast
import importlib.util
import os
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BLUE, GREEN, ORANGE, PURPLE = (
    ("#0072B2", "#DCE9F2"),
    ("#009E73", "#DDF1EA"),
    ("#E69F00", "#F8E3B6"),
    ("#CC79A7", "#F3DCE8"),
)
INK, GREY, PAPER = "#222222", "#666666", "#FFFFFF"
WIDTH, MARGIN = 1180, 20
STEP_HEIGHT, ROW = 84, 132


def font(size):
    return ImageFont.load_default(size)


def ways():
    """(title, colours, [(what, module, what comes out)]) of each way of the data, for an SSD300 of 20 classes."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras_ssd

    model = keras_ssd.ssd300(classes=[f"class {number}" for number in range(20)])
    anchors, columns = model.output_shape[1:]
    height, width = model.input_size
    targets = keras_ssd.TargetEncoder.from_model(model).encode([[0.1, 0.1, 0.6, 0.9]], [14]).shape
    rows = keras_ssd.with_decoder(model).output_shape
    grids = ", ".join(str(level.grid_hw[0]) for level in model.anchor_spec.levels)
    return (
        (
            "Detecting: from a file to boxes",
            BLUE,
            [
                ("image file", "images.reading", "RGB 0..255, any size"),
                ("warped to the input", "images.resizing", f"({height}, {width}, 3)"),
                ("colours, mean, backbone, extras", "models.composing", f"maps of {grids} cells a side"),
                ("heads and anchors", "layers.anchor_boxes", f"raw predictions ({anchors}, {columns})"),
                ("decoding, suppression", "layers.decode_detections", f"rows {rows[1:]}, fractions"),
                ("back to the image", "pipeline", "Detections, in its pixels"),
            ],
        ),
        (
            "Training: from annotations to the loss",
            GREEN,
            [
                ("annotation files", "data.reading", "Dataset of Annotations"),
                ("augmentation", "data.augment.chains", "image and boxes, together"),
                ("matching with anchors", "matching.arrays", "an object, or none, per anchor"),
                ("targets", "encoder", f"{targets}: class id, offsets"),
                ("batches", "data.batches", "images, targets"),
                ("loss", "losses.ssd_loss", "joins targets and predictions"),
            ],
        ),
        (
            "Weights: from foreign files and to other engines",
            ORANGE,
            [
                ("weight file or name", "models.weights", "what the file is, its classes"),
                ("bytes to arrays", "formats.sniff", "NamedArrays, Keras's axes, RGB"),
                ("heads by class name", "zoo.subsample", "rows of the classes wanted"),
                ("strict porting", "zoo.port", "a model, and a report"),
                ("layers in order", "exporters.model_graph", "calls, or what cannot be written"),
                ("ONNX, Caffe", "exporters.onnx.exporting", ".onnx; .prototxt, .caffemodel"),
            ],
        ),
    )


def floors():
    """The rooms of the package from the ground up, as `tests/test_package.py` has them."""
    tree = ast.parse((ROOT / "tests" / "test_package.py").read_text(encoding="utf-8"))
    [value] = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "FLOORS"]
    return ast.literal_eval(value)


def lines_of(room):
    """Lines of code of a room, a module or a package."""
    path = ROOT / "keras_ssd" / room.replace(".", "/") if room != "caffe.__init__" else None
    if path is None:
        return 0
    files = path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)


def centred(draw, x, y, text, size, fill=INK):
    draw.text((x, y), text, fill=fill, font=font(size), anchor="mm")


def draw_way(draw, top, title, colours, steps):
    draw.text((MARGIN, top), title, fill=INK, font=font(17))
    gap = 22
    width = (WIDTH - 2 * MARGIN - gap * (len(steps) - 1)) / len(steps)
    for index, (what, module, result) in enumerate(steps):
        if importlib.util.find_spec(f"keras_ssd.{module}") is None:
            raise SystemExit(f"keras_ssd.{module} is gone; tell this script where '{what}' is now.")
        left, upper = MARGIN + index * (width + gap), top + 28
        middle = left + width / 2
        edge, fill = colours
        draw.rounded_rectangle((left, upper, left + width, upper + STEP_HEIGHT), 8, fill=fill, outline=edge, width=2)
        written = textwrap.wrap(what, 22)
        for line, text in enumerate(written):
            centred(draw, middle, upper + (18 if len(written) == 1 else 12) + 15 * line, text, 14)
        centred(draw, middle, upper + 45, module, 11, GREY)
        for line, text in enumerate(textwrap.wrap(result, 27)):
            centred(draw, middle, upper + 61 + 13 * line, text, 11)
        if index:
            y = upper + STEP_HEIGHT / 2
            draw.line((left - gap + 3, y, left - 3, y), fill=INK, width=2)
            draw.polygon([(left - 2, y), (left - 10, y - 5), (left - 10, y + 5)], fill=INK)


def draw_floors(draw, top, rows):
    draw.text((MARGIN, top), "Rooms: a module imports from its own row or from rows below", fill=INK, font=font(17))
    y = top + 32
    for rooms in rows:
        x = MARGIN
        for room, count in rooms:
            text = f"{room}  {count:,}"
            width = draw.textlength(text, font=font(12)) + 16
            if x + width > WIDTH - MARGIN:
                x, y = MARGIN, y + 25
            edge, fill = PURPLE
            draw.rounded_rectangle((x, y, x + width, y + 22), 5, fill=fill, outline=edge)
            draw.text((x + 8, y + 11), text, fill=INK, font=font(12), anchor="lm")
            x += width + 6
        y += 34
        draw.line((MARGIN, y - 6, WIDTH - MARGIN, y - 6), fill="#DDDDDD")
    return y


def image():
    found = ways()
    rows = [[(room, lines_of(room)) for room in rooms if lines_of(room)] for rooms in reversed(floors())]
    rows = [row for row in rows if row]
    canvas = Image.new("RGB", (WIDTH, 2000), PAPER)
    draw = ImageDraw.Draw(canvas)
    for index, (title, colours, steps) in enumerate(found):
        draw_way(draw, 14 + index * ROW, title, colours, steps)
    end = draw_floors(draw, 24 + len(found) * ROW, rows)
    return canvas.crop((0, 0, WIDTH, end + 6))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE)
    out = parser.parse_args().out
    image().quantize(64, dither=Image.Dither.NONE).save(out / "architecture.png", optimize=True)


if __name__ == "__main__":
    main()
