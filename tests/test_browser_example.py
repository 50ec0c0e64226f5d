"""examples/browser in Chromium: the detections of `detect`, from files of every kind, and errors in words."""

import base64
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from browser import Page, chromium, served, web_runtime
from onnx_nets import randomized, tamed
from PIL import Image
from test_report_browser import CONTRASTS, DESKTOP, PHONE, SPILL

import keras_ssd

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

EXAMPLE = Path(__file__).parents[1] / "examples/browser"
COPIES = "navigator.clipboard.writeText = async text => { window.copied = text; };"
FORMS = {
    "plain": {},
    "bgr": {"channels": "bgr"},
    "blob": {"channels": "blob"},
    "three": {"batch": 3},
    "half": {"precision": "float16"},
}
LOWEST = 0.64  # of the exported detector; no score is near


@pytest.fixture(scope="module")
def browser():
    with chromium("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as started:
        yield started


@pytest.fixture(scope="module")
def detector():
    keras.utils.set_random_seed(0)
    net = tamed(randomized(keras_ssd.ssd7(classes=["cat", "dog"], input_size=(64, 96))))
    return keras_ssd.with_decoder(net, confidence_threshold=LOWEST, iou_threshold=0.1)


@pytest.fixture(scope="module")
def files(detector, tmp_path_factory):
    """A folder with an image turned by EXIF, one with transparent pixels, and the detector in every form."""
    folder = tmp_path_factory.mktemp("browser")
    rng = np.random.default_rng(2)
    smooth = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).resize((120, 75), Image.Resampling.BICUBIC)
    turned = Image.Exif()
    turned[0x0112] = 6
    smooth.save(folder / "turned.png", exif=turned)
    smooth.putalpha(Image.fromarray(np.tile(np.arange(120, dtype=np.uint8) * 2, (75, 1))))
    smooth.save(folder / "clear.png")
    for name, options in FORMS.items():
        keras_ssd.export(detector, folder / f"{name}.onnx", **options)
    return folder


@pytest.fixture(scope="module")
def address():
    with served(EXAMPLE, node_modules=web_runtime()) as url:
        yield url


@pytest.fixture(scope="module")
def opened(browser, address):
    page = Page(browser, f"{address}/?engine=wasm", COPIES, **DESKTOP)
    yield page
    page.close()


@pytest.fixture
def page(opened):
    """One page for most tests: what happened before must not matter to it."""
    opened.complaints.clear()
    return opened


def ready(page, path):
    page.page.set_input_files("#model", path)
    page.page.get_by_text("The model is ready.").wait_for()


def copied(page):
    """What the page shows at the lowest confidence, as its JSON."""
    page.page.wait_for_function("document.getElementById('status').textContent.includes(' ms')")
    page.page.eval_on_selector("input[type=range]", "e => { e.value = 0; e.dispatchEvent(new Event('input')); }")
    page.page.click(".copy")
    return json.loads(page.page.evaluate("window.copied"))


def problem(page):
    page.page.wait_for_selector("#problem:not([hidden])")
    return page.page.inner_text("#problem")


DROP = """([name, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(atob(bytes), one => one.charCodeAt(0))], name));
  document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
}"""


def drop(page, path):
    page.page.evaluate(DROP, [path.name, base64.b64encode(path.read_bytes()).decode()])


def assert_same(found, expected, box=1.0, score=1e-3):
    """Every object has one counterpart; two of nearly equal scores may change places."""
    left = list(keras_ssd.Detections.from_dict(found))
    assert len(left) == len(expected)
    for one in expected:
        [same, *_] = [
            other
            for other in left
            if other.name == one.name
            and abs(other.score - one.score) <= score
            and np.abs(np.subtract(other.box_xyxy, one.box_xyxy)).max() <= box
        ] or pytest.fail(f"{one} is not among {left}")
        left.remove(same)


@pytest.mark.parametrize("form", FORMS)
def test_reference_the_page_finds_what_detect_finds(page, files, detector, form):
    ready(page, files / f"{form}.onnx")
    drop(page, files / "turned.png")
    found = copied(page)
    model = detector if form != "half" else keras_ssd.load(files / "half.onnx")
    [expected] = model.detect(files / "turned.png", confidence=LOWEST)
    assert (found["width"], found["height"], found["class_names"]) == (75, 120, ["cat", "dog"])
    assert len(expected) > 5
    assert_same(found, expected)
    assert page.complaints == []
    assert all(url.startswith(("http://127.0.0.1", "data:", "blob:")) for url in page.requests)


def test_reference_transparent_pixels_lie_on_white(page, files, detector):
    ready(page, files / "plain.onnx")
    page.page.set_input_files("#image", files / "clear.png")
    [expected] = detector.detect(files / "clear.png", confidence=LOWEST)
    assert_same(copied(page), expected)


def test_values_the_slider_and_the_classes_choose_what_is_shown(page, files, detector):
    ready(page, files / "plain.onnx")
    assert page.page.input_value("input[type=range]") == "0.64"  # 0.5 by default, and nothing is below the file's own
    paste = "new ClipboardEvent('paste', {clipboardData: data, bubbles: true})"
    script = DROP.replace('new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true})', paste)
    page.page.evaluate(script, ["turned.png", base64.b64encode((files / "turned.png").read_bytes()).decode()])
    assert len(copied(page)["detections"]) == page.page.locator("tbody tr").count() > 5
    page.page.eval_on_selector("input[type=range]", "e => { e.value = 0.71; e.dispatchEvent(new Event('input')); }")
    [expected] = detector.detect(files / "turned.png", confidence=0.71)
    assert page.page.locator("tbody tr").count() == len(expected)
    dogs = expected.names.count("dog")
    assert dogs > 0
    page.page.get_by_label(f"dog {dogs}").uncheck()
    assert page.page.locator("tbody tr").count() == len(expected) - dogs
    page.page.eval_on_selector("input[type=range]", "e => { e.value = 1; e.dispatchEvent(new Event('input')); }")
    assert "Nothing was found" in page.page.inner_text(".found")


def test_values_the_camera_is_detected_in_until_it_is_stopped(page, files):
    ready(page, files / "plain.onnx")
    page.page.click("#camera")
    page.page.get_by_text("640 x 480 pixels").wait_for()
    page.page.get_by_text("Stop camera").click()
    assert page.page.inner_text("#camera") == "Camera"
    drop(page, files / "turned.png")
    page.page.get_by_text("75 x 120 pixels").wait_for()


REFUSED = "void (navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', '%s'); })"
ALLOWED = "delete navigator.mediaDevices.getUserMedia"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("NotAllowedError", "was refused. Allow it"),
        ("NotFoundError", "No camera"),
        ("NotReadableError", "another prog"),
    ],
)
def test_rejects_a_camera_that_cannot_be_had(page, files, error, words):
    ready(page, files / "plain.onnx")
    page.page.evaluate(REFUSED % error)
    page.page.click("#camera")
    assert words in problem(page)
    page.page.evaluate(ALLOWED)
    page.page.set_input_files("#image", files / "turned.png")  # the page goes on
    page.page.get_by_text("75 x 120 pixels").wait_for()
    assert page.page.is_hidden("#problem")


def described(change):
    """A function that writes a file with another description; None drops it."""

    def write(path, output):
        proto = onnx.load(path)
        [entry] = [entry for entry in proto.metadata_props if entry.key == "keras_ssd"]
        if change is None:
            proto.metadata_props.remove(entry)
        else:
            entry.value = change(entry.value)
        onnx.save(proto, output)

    return write


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path, out: out.write_bytes(b"PNG" + bytes(99)), "is no ONNX file, or it is damaged"),
        (lambda path, out: out.write_bytes(b""), "is no ONNX file, or it is damaged"),
        (lambda path, out: out.write_bytes(path.read_bytes()[:-9]), "is no ONNX file, or it is damaged"),
        (described(None), "was not written by keras_ssd"),
        (described(lambda text: text[:-1]), "cannot be read; the file is damaged"),
        (described(lambda text: text.replace("class_names", "n")), "lacks the classes"),
        (
            described(lambda text: text.replace('"rows"', '"tables"')),
            "holds no suppression",
        ),
        (
            described(lambda text: text.replace('"rows"', '"efficient_nms"')),
            "for TensorRT",
        ),
    ],
)
def test_rejects_files_that_are_not_ours_in_words(page, files, tmp_path, change, words):
    change(files / "plain.onnx", tmp_path / "other.onnx")
    drop(page, tmp_path / "other.onnx")
    said = problem(page)
    assert words in said
    assert "other.onnx" in said
    assert "keras-ssd export MODEL --out mine.onnx" in said


def test_rejects_an_image_that_is_none(page, files, tmp_path):
    ready(page, files / "plain.onnx")
    (tmp_path / "note.jpg").write_text("no image")
    drop(page, tmp_path / "note.jpg")
    assert "note.jpg is no image that this browser can read" in problem(page)


def test_rejects_a_missing_runtime_and_a_missing_model(browser, files):
    with served(EXAMPLE, node_modules=files) as url:
        page = Page(browser, f"{url}/?model=absent.onnx", **DESKTOP)
        assert "the server answered 404" in problem(page)
        assert page.page.is_disabled("#camera")
        drop(page, files / "turned.png")
        page.page.get_by_text("Choose a model first").wait_for()
        drop(page, files / "plain.onnx")
        page.page.get_by_text("Run `npm install`").wait_for()
        page.close()


def test_values_a_device_without_webgpu_computes_with_webassembly(browser, address, files):
    page = Page(browser, address, **DESKTOP)
    ready(page, files / "plain.onnx")
    assert "ssd7_detector: 96 x 64 pixels, computed by WebAssembly. Finds cat, dog." in page.page.inner_text("#facts")
    page.close()


def test_values_without_a_server_the_page_says_how_to_start_one(browser):
    page = Page(browser, EXAMPLE / "index.html", **DESKTOP)
    assert "python -m http.server" in page.page.inner_text("#problem")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_values_the_page_fits_and_can_be_read(browser, address, files, scheme, device):
    page = Page(browser, f"{address}/?engine=wasm", COPIES, color_scheme=scheme, **device)
    ready(page, files / "plain.onnx")
    drop(page, files / "turned.png")
    copied(page)
    assert page.page.evaluate(SPILL) == []
    assert [text for ratio, text in page.page.evaluate(CONTRASTS) if ratio < 4.5] == []
    page.close()
