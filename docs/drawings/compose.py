"""Draws the images of docs/compose.md from a model: `python docs/drawings/compose.py`.

Grids, strides, receptive fields and anchors are read from the ResNet50 SSD of that page, so the images show what the
package makes.
"""

import argparse
import os
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
BLUE, GREEN, ORANGE, PURPLE, RED, INK, PAPER = (
    "#0072B2",
    "#009E73",
    "#E69F00",
    "#CC79A7",
    "#D55E00",
    "#222222",
    "#FFFFFF",
)
BOXES = (ORANGE, RED, PURPLE, BLUE, GREEN, "#8C6D00")
SIZE = 300


def font(size):
    return ImageFont.load_default(size)


def resnet50_ssd():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras_ssd

    return keras_ssd.ssd("resnet50", classes=["cat", "dog"])


def scene():
    """A street: something large, something small."""
    image = Image.new("RGB", (SIZE, SIZE), "#CFE3EE")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 190, SIZE, SIZE), fill="#B9C4A5")
    draw.polygon([(0, 300), (120, 190), (180, 190), (300, 300)], fill="#A8A8A8")
    draw.rectangle((18, 90, 118, 200), fill="#DDB892")
    draw.polygon([(8, 90), (68, 42), (128, 90)], fill="#A0604A")
    draw.rectangle((58, 150, 82, 200), fill="#7A5640")
    for x in (32, 90):
        draw.rectangle((x, 108, x + 18, 128), fill="#EAF4F8")
    draw.ellipse((205, 70, 285, 165), fill="#7FA36B")
    draw.rectangle((240, 150, 250, 205), fill="#80613F")
    draw.rounded_rectangle((128, 215, 212, 250), 10, fill="#5E7FA8")
    draw.rounded_rectangle((145, 198, 196, 222), 8, fill="#87A6C8")
    for x in (148, 192):
        draw.ellipse((x - 9, 240, x + 9, 258), fill="#444444")
    draw.ellipse((262, 214, 272, 224), fill="#C98B6B")
    draw.rectangle((262, 224, 272, 246), fill="#8A5A83")
    return image


def dashed(draw, box, colour, dash=6):
    x0, y0, x1, y1 = box
    for at in range(int(x0), int(x1), 2 * dash):
        for y in (y0, y1):
            draw.line((at, y, min(at + dash, x1), y), fill=colour, width=2)
    for at in range(int(y0), int(y1), 2 * dash):
        for x in (x0, x1):
            draw.line((x, at, x, min(at + dash, y1)), fill=colour, width=2)


def panel(seen, level):
    """One level over the scene: its grid, one cell, what that cell sees, and its boxes."""
    image = Image.blend(scene(), Image.new("RGB", (SIZE, SIZE), PAPER), 0.35)
    (rows, columns), (step_y, step_x) = level.grid_hw, level.step_hw
    row, column = int(rows * 0.6), columns // 2
    y, x = ((row + 0.5) * step_y, (column + 0.5) * step_x)
    cell = tuple(round(v) for v in (x - step_x / 2, y - step_y / 2, x + step_x / 2, y + step_y / 2))
    image.paste(Image.blend(image.crop(cell), Image.new("RGB", image.crop(cell).size, "#F5D21F"), 0.55), cell)
    draw = ImageDraw.Draw(image)
    for row in range(1, rows + 1):
        draw.line((0, row * step_y, SIZE, row * step_y), fill="#9AA7AE")
    for column in range(1, columns + 1):
        draw.line((column * step_x, 0, column * step_x, SIZE), fill="#9AA7AE")
    for (height, width), colour in zip(level.boxes_hw, BOXES, strict=False):
        draw.rectangle((x - width / 2, y - height / 2, x + width / 2, y + height / 2), outline=colour, width=2)
    field_y, field_x = (side / 2 for side in seen.field_hw)
    dashed(draw, (x - field_x, y - field_y, x + field_x, y + field_y), INK)
    tile = Image.new("RGB", (SIZE, SIZE + 40), PAPER)
    tile.paste(image, (0, 40))
    draw = ImageDraw.Draw(tile)
    draw.text((0, 0), seen.layer, fill=INK, font=font(15))
    text = f"{rows} x {columns} cells of {step_y:g} pixels, sees {seen.field_hw[0]} x {seen.field_hw[1]}"
    draw.text((0, 19), text, fill=INK, font=font(13))
    return tile


def maps_image(net):
    """All levels, three in a row."""
    tiles, gap = [panel(*row) for row in net.composition.rows], 16
    width, height = tiles[0].size
    image = Image.new("RGB", (3 * width + 4 * gap, 2 * (height + gap) + gap), PAPER)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, 3)
        image.paste(tile, (gap + column * (width + gap), gap + row * (height + gap)))
    return image


def slab(draw, x, middle, side, depth, colour):
    """A feature map as a slab: its side is the grid's, its depth stands for the channels."""
    top, bottom = middle - side / 2, middle + side / 2
    shift = min(side * 0.3, 26)
    draw.polygon([(x, top), (x + shift, top - shift), (x + shift + depth, top - shift), (x + depth, top)], fill=colour)
    draw.polygon(
        [(x + depth, top), (x + depth + shift, top - shift), (x + depth + shift, bottom - shift), (x + depth, bottom)],
        fill=shade(colour, 0.72),
    )
    draw.rectangle((x, top, x + depth, bottom), fill=shade(colour, 1.18), outline=shade(colour, 0.6))
    return x + depth + shift


def shade(colour, factor):
    return "#" + "".join(f"{min(255, int(int(colour[i : i + 2], 16) * factor)):02X}" for i in (1, 3, 5))


def arrow(draw, start, end, colour=INK):
    draw.line((*start, *end), fill=colour, width=2)
    (x0, y0), (x, y) = start, end
    if abs(x - x0) > abs(y - y0):
        draw.polygon([(x, y), (x - 8, y - 4), (x - 8, y + 4)], fill=colour)
    else:
        draw.polygon([(x, y), (x - 4, y - 8), (x + 4, y - 8)], fill=colour)


def centred(draw, x, y, text, size=13, fill=INK):
    draw.text((x, y), text, fill=fill, font=font(size), anchor="mm")


def net_image(net):
    """From the image through taps and extras to the predictions."""
    image = Image.new("RGB", (1000, 410), PAPER)
    draw = ImageDraw.Draw(image)
    middle, head_y, last_y = 150, 300, 382
    image.paste(scene().resize((130, 130)), (20, middle - 65))
    centred(draw, 85, middle + 84, "300 x 300, RGB 0..255")
    x, ends = 170, []
    arrow(draw, (152, middle), (x + 8, middle))
    draw.rounded_rectangle((x + 10, middle - 48, x + 112, middle + 48), 8, fill="#DCE9F2", outline=BLUE, width=2)
    centred(draw, x + 61, middle - 12, "backbone", 15)
    centred(draw, x + 61, middle + 10, "and its", 12)
    centred(draw, x + 61, middle + 25, "preprocessing", 12)
    x += 116
    for index, (seen, level) in enumerate(net.composition.rows):
        side, depth = 14 + 3.4 * level.grid_hw[0], 8 + seen.channels / 64
        arrow(draw, (x - 8, middle), (x + 18, middle))
        colour = BLUE if index < 3 else GREEN
        start = x + 20
        x = max(slab(draw, start, middle, side, depth, colour), start + 88)
        centre = start + depth / 2
        ends.append(centre)
        arrow(draw, (centre, middle + side / 2 + 2), (centre, head_y - 20))
        grid = f"{level.grid_hw[0]} x {level.grid_hw[1]}"
        centred(draw, centre, 26, f"{grid} x {seen.channels}", 12, shade(colour, 0.75))
        draw.rounded_rectangle((centre - 30, head_y - 18, centre + 30, head_y + 18), 6, fill="#F8E3B6", outline=ORANGE)
        centred(draw, centre, head_y - 7, "head", 13)
        centred(draw, centre, head_y + 8, f"{level.boxes_per_cell} boxes", 11)
        arrow(draw, (centre, head_y + 20), (centre, last_y - 16))
        x += 12
    draw.rounded_rectangle((ends[0] - 34, last_y - 14, ends[-1] + 34, last_y + 18), 6, fill="#F3DCE8", outline=PURPLE)
    text = (
        f"predictions: {net.anchor_spec.num_anchors:,} anchors, each with class scores, offsets, anchor and variances"
    )
    centred(draw, (ends[0] + ends[-1]) / 2, last_y + 2, text, 14)
    draw.rectangle((20, 300, 34, 314), fill=BLUE)
    draw.text((40, 299), "tapped maps", fill=INK, font=font(13))
    draw.rectangle((20, 322, 34, 336), fill=GREEN)
    draw.text((40, 321), "extra maps", fill=INK, font=font(13))
    return image


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE)
    out = parser.parse_args().out
    net = resnet50_ssd()
    for name, image in (("compose_net", net_image(net)), ("compose_maps", maps_image(net))):
        image.quantize(64, dither=Image.Dither.NONE).save(out / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
