"""The page of `keras-ssd serve` in Chromium: the detections of `detect`, the token, errors in words, a phone."""

import pytest
from browser import Page, chromium
from test_browser_example import COPIES, copied, drop, problem
from test_report_browser import CONTRASTS, DESKTOP, PHONE, SPILL
from test_serving import detector as detector
from test_serving import encoded, same, serving
from test_serving import model as model
from test_serving import weights as weights

import keras_ssd


@pytest.fixture(scope="module")
def browser():
    with chromium("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as started:
        yield started


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "a.png"
    path.write_bytes(encoded())
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_reference_the_page_shows_what_detect_finds(browser, detector, model, image, scheme, device):
    with serving(detector) as url:
        page = Page(browser, url, COPIES, color_scheme=scheme, **device)
        page.page.get_by_text("ssd: 56 x 40 pixels, computed by keras. Finds cat, dog.").wait_for()
        drop(page, image)
        [expected] = model.detect(image, confidence=0.05)
        same(copied(page), keras_ssd.Detections.from_dict(expected.to_dict()))
        assert page.page.evaluate(SPILL) == []
        assert [text for ratio, text in page.page.evaluate(CONTRASTS) if ratio < 4.5] == []
        assert page.complaints == []
        assert all(address.startswith((url, "data:", "blob:")) for address in page.requests)
        page.close()


def test_values_the_camera_is_detected_in_until_it_is_stopped(browser, detector):
    with serving(detector) as url:
        page = Page(browser, url, **DESKTOP)
        page.page.click("#camera")
        page.page.get_by_text("640 x 480 pixels").wait_for()
        page.page.get_by_text("Stop camera").click()
        assert page.page.inner_text("#camera") == "Camera"
        page.close()


def test_rejects_an_image_with_the_reason_of_the_server(browser, detector, tmp_path, image):
    (tmp_path / "note.jpg").write_text("no image")
    with serving(detector) as url:
        page = Page(browser, url, **DESKTOP)
        drop(page, tmp_path / "note.jpg")
        assert "The image cannot be read" in problem(page)
        drop(page, image)
        page.page.get_by_text("37 x 53 pixels").or_(page.page.get_by_text("53 x 37 pixels")).wait_for()
        assert page.page.is_hidden("#problem")
        page.close()


def test_values_the_page_asks_for_the_token(browser, detector, image):
    with serving(detector, token="sesame") as url:
        page = Page(browser, url, **DESKTOP)
        assert "Authorization: Bearer" in problem(page)
        page.page.fill("#token input", "sesame")
        page.page.press("#token input", "Enter")
        page.page.get_by_text("Finds cat, dog.").wait_for()
        drop(page, image)
        page.page.get_by_text("53 x 37 pixels").wait_for()
        page.close()
