"""Draws report.png: the page of an evaluation on a desk and on a phone.

    python docs/drawings/report.py

The images are drawn blood smears, blurred and dark, so that the detector of the package makes mistakes in them. Needs
playwright and a Chromium (`--browser`).
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from playwright.sync_api import sync_playwright

import keras_ssd
from keras_ssd.data import Annotation, Dataset
from keras_ssd.demonstration import draw_smear
from keras_ssd.evaluation import evaluate, write_report

COUNT, HEIGHT, DESK, PHONE, GAP = 40, 1000, 1100, 390, 20


def bad_smears():
    """Smears as a poor microscope shows them."""
    rng, annotations = np.random.default_rng(0), []
    for seed in range(COUNT):
        smear = draw_smear(seed, red_cells=int(rng.integers(8, 34)))
        image = Image.fromarray(smear.image)
        small = image.resize((image.width // 9, image.height // 9))
        blurred = small.resize(image.size, Image.Resampling.BICUBIC)
        blurred = np.asarray(blurred.filter(ImageFilter.GaussianBlur(float(rng.uniform(3, 7)))), float)
        dull = (blurred - 150) * rng.uniform(0.2, 0.8) + 150 + rng.uniform(-25, 15)
        noisy = (dull + rng.normal(0, 14, dull.shape)).clip(0, 255).astype(np.uint8)
        truth = smear.truth
        annotations.append(
            Annotation(f"smear {seed:02}", noisy, truth.boxes_xyxy, truth.class_ids, smear.image.shape[:2])
        )
    return Dataset("blurred smears", truth.class_names, annotations)


def screenshots(page_file, browser, folder):
    """The top of the page on a desk, and the gallery of misses on a phone in the dark."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": DESK, "height": HEIGHT})
        page.goto(page_file.as_uri())
        page.screenshot(path=folder / "desk.png")
        page = chromium.new_page(viewport={"width": PHONE, "height": HEIGHT}, color_scheme="dark")
        page.goto(page_file.as_uri())
        page.get_by_role("heading", name="Worst misses").evaluate("e => e.scrollIntoView()")
        page.screenshot(path=folder / "phone.png")
        chromium.close()
    return [Image.open(folder / name).convert("RGB") for name in ("desk.png", "phone.png")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--browser", default="/usr/bin/chromium")
    args = parser.parse_args()
    model = keras_ssd.ssd_small(weights="cells")
    result = evaluate(model, bad_smears(), measure="voc12")
    with tempfile.TemporaryDirectory() as folder:
        page = write_report({"ssd_small on blurred smears": result}, folder, anchors=model)
        desk, phone = screenshots(Path(page), args.browser, Path(folder))
        both = Image.new("RGB", (DESK + GAP + PHONE, HEIGHT), "white")
        both.paste(desk, (0, 0))
        both.paste(phone, (DESK + GAP, 0))
    both = both.resize((both.width * 2 // 3, both.height * 2 // 3), Image.Resampling.LANCZOS)
    both.quantize(128).save(Path(__file__).with_name("report.png"), optimize=True)


if __name__ == "__main__":
    main()
