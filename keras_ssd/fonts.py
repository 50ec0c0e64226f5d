"""The font for a text on an image: Pillow's own, or a font of the system where Pillow's lacks a letter.

Pillow's own font has little more than ASCII, and draws an empty box for every other letter.
"""

import functools
import logging
import unicodedata
from typing import Any

# File names that Pillow looks for in the system's folders of fonts; common ones of Linux, Windows and macOS.
SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "Arial.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "segoeui.ttf",
    "Arial Unicode.ttf",
    "ARIALUNI.TTF",
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "DroidSansFallbackFull.ttf",
    "wqy-zenhei.ttc",
    "wqy-microhei.ttc",
    "msyh.ttc",
    "YuGothM.ttc",
    "msgothic.ttc",
    "malgun.ttf",
    "Hiragino Sans GB.ttc",
    "PingFang.ttc",
    "AppleSDGothicNeo.ttc",
)
_OWN = ""  # Pillow's font, among the names of system fonts
_MISSING = "\U0010ffff"  # no font has it
# Letters that Unicode does not decompose.
_ASCII = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
    | {"đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i"}
    | {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "−": "-"}
)

log = logging.getLogger("keras_ssd")


def fitted(text: str, font: Any) -> tuple[Any, str]:
    """(font, text) for drawing a text.

    ASCII text keeps its font. Other text gets the first font that has all letters, in the same size. If there is none,
    the letters that the best font lacks become the nearest ASCII, or "?".

    Args:
        text: any.
        font: Pillow's own font, `ImageFont.load_default(size)`.
    """
    if text.isascii():
        return font, text
    name, text = _choice(text)
    return (font if name == _OWN else _opened(name, font.size)), text


@functools.lru_cache(4096)
def _choice(text):
    """(name of the font, text as this font can draw it)."""
    text = unicodedata.normalize("NFC", text)
    letters = [letter for letter in text if not letter.isascii()]
    counts = {}
    for name in (_OWN, *_installed()):
        counts[name] = sum(_has(name, letter) for letter in letters)
        if counts[name] == len(letters):
            return name, text
    best = max(counts, key=lambda name: counts[name])
    drawn = "".join(letter if letter.isascii() or _has(best, letter) else _nearest(letter) for letter in text)
    if drawn.count("?") > text.count("?"):
        _warn(text)
    return best, drawn


def _nearest(letter):
    """ASCII for a letter; "" for a mark without width, "?" if nothing is near."""
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Cf", "Mn"):
        return ""
    parts = unicodedata.normalize("NFKD", letter.translate(_ASCII)).translate(_ASCII)
    return "".join(part for part in parts if part.isascii()) or "?"


_warned: list[str] = []


def _warn(text):
    if not _warned:  # once, not for each image
        _warned.append(text)
        log.warning(
            "No font that was found has all letters of '%s'; '?' is drawn for them. Install a font that has them, for "
            "example Noto Sans CJK for Chinese, Japanese and Korean.",
            text,
        )


@functools.cache
def _installed():
    """Names of the `SYSTEM_FONTS` that are there."""
    from PIL import ImageFont

    found = []
    for name in SYSTEM_FONTS:
        try:
            ImageFont.truetype(name, 16)
        except OSError:
            continue
        found.append(name)
    return tuple(found)


@functools.lru_cache(64)
def _opened(name, size):
    from PIL import ImageFont

    return ImageFont.load_default(size) if name == _OWN else ImageFont.truetype(name, size)


@functools.lru_cache(4096)
def _has(name, letter):
    """Whether a font draws a letter, and not its sign for a missing one."""
    return _drawn(name, letter) != _drawn(name, _MISSING)


def _drawn(name, letter):
    mask: Any = _opened(name, 32).getmask(letter)
    return mask.size, bytes(mask)
