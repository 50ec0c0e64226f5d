"""The report in a real browser: phone and desktop, light and dark, printed, without script, without network."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from browser import Page, chromium
from evaluation_scenes import random_scene
from PIL import Image

from keras_ssd.data import Annotation, Dataset
from keras_ssd.evaluation import measure
from keras_ssd.evaluation.report import write_report

pytest.importorskip("jinja2", reason="the extra `report` is not installed")

PHONE = {"viewport": {"width": 390, "height": 844}}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
# Of all visible text: the ratio of WCAG 2 between its colour and the background behind it, and what text it is.
CONTRASTS = """() => {
  const numbers = colour => {
    const hit = colour.match(/^color\\(srgb ([\\d. e-]+)(?: \\/ ([\\d.]+))?\\)/);
    if (hit) return [...hit[1].trim().split(/\\s+/).map(v => 255 * v), hit[2] === undefined ? 1 : +hit[2]];
    const all = colour.match(/[\\d.]+/g).map(Number);
    return [...all.slice(0, 3), all.length > 3 ? all[3] : 1];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
  const behind = element => {
    if (!element) return [255, 255, 255];
    const own = numbers(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own.slice(0, 3) : over(own, behind(element.parentElement));
  };
  const light = rgb => {
    const [r, g, b] = rgb.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const seen = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const back = behind(element);
    const colour = numbers(element.closest("svg") ? style.fill : style.color);
    const [a, b] = [light(over(colour, back)), light(back)];
    seen.push([(Math.max(a, b) + .05) / (Math.min(a, b) + .05), walker.currentNode.textContent.trim()]);
  }
  return seen;
}"""
SPILL = """() => [...document.querySelectorAll("body *")].filter(one => {
  const box = one.getBoundingClientRect();
  return box.width && !one.closest(".scroll, svg") && (box.right > innerWidth + 1 || box.left < -1);
}).map(one => one.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Two detectors with names of every length, three classes of which one has a name that cannot be broken."""
    detections, objects = random_scene(np.random.default_rng(5), images=14)
    rng = np.random.default_rng(0)
    annotations = [
        Annotation(f"{name}_of_a_long_name" * 3, rng.integers(0, 256, (200, 200, 3), "uint8"), [], [])
        for name in objects.images
    ]
    names = [one.name for one in annotations]
    classes = ("a", "x" * 60, "bird of prey")
    detections, objects = (replace(table, images=names, class_names=classes) for table in (detections, objects))
    dataset = Dataset("scenes", classes, annotations)
    results = [measure(table, objects, "voc12", dataset=dataset) for table in (detections, detections[::2])]
    folder = tmp_path_factory.mktemp("report")
    return write_report({"ssd300": results[0], "y" * 50: results[1]}, folder)


@pytest.fixture
def opened(browser, report):
    pages = []

    def opening(**options):
        pages.append(Page(browser, report, **options))
        return pages[-1]

    yield opening
    for page in pages:
        page.close()


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_values_fits_is_legible_and_asks_for_nothing(opened, size, scheme):
    page = opened(**size, color_scheme=scheme)
    assert page.page.evaluate("document.documentElement.scrollWidth") <= size["viewport"]["width"]
    assert page.page.evaluate(SPILL) == []
    assert page.outside == []
    assert page.complaints == []
    contrasts = page.page.evaluate(CONTRASTS)
    assert len(contrasts) > 200
    assert min(contrasts)[0] >= 4.5, min(contrasts)
    dark = page.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 22, 27)"
    assert dark == (scheme == "dark")


def test_values_images_are_drawn(opened):
    page = opened(**PHONE)
    widths = page.page.evaluate("[...document.images].map(one => one.complete && one.naturalWidth)")
    assert widths
    assert all(widths)
    boxes = page.page.evaluate(
        "[...document.querySelectorAll('.image')].map(one => [one.querySelector('img'), one.querySelector('svg')]"
        ".map(part => { const box = part.getBoundingClientRect(); return [box.width, box.height, box.x, box.y]; }))"
    )
    assert all(image == pytest.approx(drawing, abs=1) for image, drawing in boxes)


def column(page, place):
    return page.page.eval_on_selector_all(
        "#classes tbody tr", f"rows => rows.map(row => row.cells[{place}].textContent.trim())"
    )


def test_values_tables_sort(opened):
    page = opened(**DESKTOP)
    heads = page.page.locator("#classes thead button")
    assert heads.all_text_contents()[:2] == ["class", "AP"]
    before = column(page, 0)
    heads.nth(1).click()
    values = [float(text) for text in column(page, 1)]
    assert values == sorted(values, reverse=True)
    assert page.page.locator("#classes th[aria-sort=descending]").count() == 1
    heads.nth(1).press("Enter")
    assert [float(text) for text in column(page, 1)] == sorted(values)
    assert page.page.locator("#classes th[aria-sort]").get_attribute("aria-sort") == "ascending"
    heads.nth(0).click()
    assert column(page, 0) == sorted(before)
    page.page.locator("#comparison thead button").nth(1).click()
    assert page.page.locator("#comparison tbody tr").first.get_attribute("class") == "total"
    assert page.complaints == []


def test_values_reads_without_script(opened):
    with_script, without = opened(**DESKTOP), opened(**DESKTOP, java_script_enabled=False)
    assert without.page.locator("th button").count() == 0
    assert without.page.locator("#classes tbody tr").count() == 3
    spoken = [re.sub(r"\s+", " ", page.page.locator("main").inner_text()) for page in (with_script, without)]
    assert spoken[0] == spoken[1]


def test_values_prints(opened):
    page = opened(viewport={"width": 718, "height": 1000}, color_scheme="dark")  # A4 without its margins
    page.page.emulate_media(media="print")
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 718
    assert page.page.get_by_text("0.9 to 1.0").first.is_visible()  # what is folded away on the screen
    assert page.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.page.locator("nav").is_hidden()
    assert min(page.page.evaluate(CONTRASTS))[0] >= 4.5
    pdf = page.page.pdf(format="A4")
    assert pdf.startswith(b"%PDF-")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 20


def test_values_names_for_those_who_do_not_see(opened):
    page = opened(**DESKTOP).page
    nameless = page.evaluate(
        "[...document.querySelectorAll('img:not([alt]), svg[role=img]:not([aria-label]), .scroll:not([aria-label])"
        ":not([aria-labelledby]), th:not([scope])')].map(one => one.outerHTML.slice(0, 80))"
    )
    assert nameless == []
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("h1").count() == 1
    assert page.locator("main").count() == 1


REACH = """() => [...document.querySelectorAll("main > section")].map(section => {
  const box = section.getBoundingClientRect();
  const parts = [...section.querySelectorAll("p, li, table, dl, svg.chart, img")]
    .map(one => one.getBoundingClientRect());
  return [section.id, Math.max(...parts.filter(one => one.width).map(one => one.right - box.left)) / box.width];
})"""


def test_values_no_card_is_empty_on_its_right(opened):
    page = opened(**DESKTOP).page
    reached = dict(page.evaluate(REACH))
    assert len(reached) > 8
    assert min(reached.values()) > 0.9, reached
    left, right = (page.locator(f"#summary .beside > {part}").bounding_box() for part in ("div", "dl"))
    assert right["x"] > left["x"] + left["width"]
    assert abs(right["y"] - left["y"]) < 40


def test_values_facts_stand_below_on_a_phone(opened):
    page = opened(**PHONE).page
    left, right = (page.locator(f"#summary .beside > {part}").bounding_box() for part in ("div", "dl"))
    assert right["y"] >= left["y"] + left["height"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_values_a_table_that_goes_on_shows_it(opened, scheme):
    """A shade at the edge behind which more is hidden, and none at the end."""
    page = opened(**PHONE, color_scheme=scheme).page
    table = page.locator("#classes .scroll")
    assert table.evaluate("one => one.scrollWidth - one.clientWidth") > 100

    def edges():
        image = np.asarray(Image.open(io.BytesIO(table.screenshot())).convert("L"), float)
        lines = image[:, [4, -4]].T  # the text is in the way in some rows, not in most
        return [float(np.median(line)) for line in lines]

    card = {"light": 255.0, "dark": float(np.dot((27, 31, 38), (0.299, 0.587, 0.114)))}[scheme]
    left, right = edges()
    assert left == pytest.approx(card, abs=3)
    assert abs(right - card) > 25
    table.evaluate("one => { one.scrollLeft = one.scrollWidth }")
    left, right = edges()
    assert right == pytest.approx(card, abs=3)
    assert abs(left - card) > 25
