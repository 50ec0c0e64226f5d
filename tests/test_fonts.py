"""Text on images: Pillow's font for ASCII, a font of the system for other letters, the nearest ASCII without one."""

import logging

import numpy as np
import pytest
from PIL import ImageFont

from keras_ssd import fonts
from keras_ssd.drawing import Label, draw_boxes
from keras_ssd.fonts import fitted


@pytest.fixture
def installed(monkeypatch):
    """Function that sets {name of a font of the system: the letters that it has beside ASCII}."""

    def install(letters_of):
        clear()
        monkeypatch.setattr(fonts, "_installed", lambda: tuple(letters_of))
        monkeypatch.setattr(fonts, "_has", lambda name, letter: letter in letters_of.get(name, ""))
        monkeypatch.setattr(fonts, "_opened", lambda name, size: (name, size))

    def clear():
        fonts._choice.cache_clear()
        fonts._warned.clear()

    yield install
    clear()


OWN = ImageFont.load_default(16)


@pytest.mark.parametrize(
    ("letters_of", "text", "name", "drawn"),
    [
        pytest.param({"Sans": "äß", "Wide": "犬"}, "Hund äß", "Sans", "Hund äß", id="umlauts"),
        pytest.param({"Sans": "äß", "Wide": "犬"}, "犬 .52", "Wide", "犬 .52", id="second font"),
        pytest.param({"Sans": "ä"}, "a\u0308", "Sans", "ä", id="composed"),
        pytest.param({}, "Hund äß", None, "Hund ass", id="no font"),
        pytest.param({}, "Łódź ½…", None, "Lodz 12...", id="no font Polish"),
        pytest.param({}, "犬", None, "?", id="no font Japanese"),
        pytest.param({"Sans": "äß"}, "Bär 犬ß", "Sans", "Bär ?ß", id="part of the letters"),
    ],
)
def test_values_font_of_a_text(installed, letters_of, text, name, drawn):
    installed(letters_of)
    font, shown = fitted(text, OWN)
    assert shown == drawn
    assert font is OWN if name is None else font == (name, 16)


def test_values_one_warning_for_letters_that_nothing_is_near(installed, caplog):
    installed({})
    with caplog.at_level(logging.WARNING, "keras_ssd"):
        fitted("Hund äß", OWN)
        assert caplog.messages == []
        fitted("犬", OWN)
        fitted("猫", OWN)
    assert caplog.messages == [
        "No font that was found has all letters of '犬'; '?' is drawn for them. Install a font that has them, for "
        "example Noto Sans CJK for Chinese, Japanese and Korean."
    ]


def test_values_a_missing_letter_is_known_by_its_empty_box():
    own = [fonts._has("", letter) for letter in ("A", "z", "\u72ac", "\u4eba")]
    assert own == [True, True, False, False]


def test_values_an_ascii_text_keeps_its_font(monkeypatch):
    monkeypatch.setattr(fonts, "_choice", lambda text: pytest.fail("looked for another font"))
    assert fitted("person .52", OWN) == (OWN, "person .52")


def test_values_labels_are_drawn_as_the_text_that_fits(installed):
    installed({})

    def drawn(text):
        return np.asarray(draw_boxes(np.full((160, 200, 3), 90, np.uint8), [[20, 40, 120, 120]], ["#E69F00"], [text]))

    np.testing.assert_array_equal(drawn(Label("Bär")), drawn(Label("Bar")))
    assert (drawn(Label("Bär")) != drawn(Label("Bor"))).any()
