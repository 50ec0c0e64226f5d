"""Reading images: every kind gives the same form, every bad one its own error."""

import pickle
import struct
import zlib

import numpy as np
import pytest
from image_files import refusal, saved
from PIL import Image

from keras_ssd.images import (
    ImageError,
    check_image,
    read_image,
    resize_bilinear,
)

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


# -- what comes out --------------------------------------------------------------------------------


def test_values_png_is_read_exactly(tmp_path, noise):
    path = saved(tmp_path / "a.png", Image.fromarray(noise))
    for source in (path, str(path), Image.open(path), noise):
        image = read_image(source)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, noise)


def test_values_grey_is_repeated(tmp_path):
    grey = np.array([[0, 100, 200]], np.uint8)
    expected = [[[0] * 3, [100] * 3, [200] * 3]]
    path = saved(tmp_path / "grey.png", Image.fromarray(grey))
    for source in (path, grey, grey[..., None], grey.astype(int), grey.astype("float32")):
        np.testing.assert_array_equal(read_image(source), expected)


def test_values_black_and_white(tmp_path):
    path = saved(tmp_path / "bit.png", Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1"))
    np.testing.assert_array_equal(read_image(path), [[[0] * 3, [255] * 3]])


def test_values_transparency_is_laid_over_white(tmp_path):
    rgba = np.array([[[255, 0, 0, 255], [0, 0, 0, 0], [0, 0, 0, 51]]], np.uint8)
    expected = [[RED, (255, 255, 255), (204, 204, 204)]]
    path = saved(tmp_path / "rgba.png", Image.fromarray(rgba))
    for source in (path, rgba):
        np.testing.assert_array_equal(read_image(source), expected)


def test_values_grey_with_alpha(tmp_path):
    path = saved(tmp_path / "la.png", Image.fromarray(np.array([[[10, 255], [10, 0]]], np.uint8), "LA"))
    np.testing.assert_array_equal(read_image(path), [[[10] * 3, [255] * 3]])


@pytest.mark.parametrize("transparent", [None, 1])
def test_values_palette(tmp_path, transparent):
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *GREEN, *BLUE])
    image.putdata([0, 1, 2])
    options = {} if transparent is None else {"transparency": transparent}
    path = saved(tmp_path / "p.png", image, **options)
    expected = [RED, GREEN if transparent is None else (255, 255, 255), BLUE]
    np.testing.assert_array_equal(read_image(path), [expected])


def test_values_rgb_with_a_transparent_colour(tmp_path):
    path = saved(tmp_path / "key.png", Image.fromarray(np.array([[RED, GREEN]], np.uint8)), transparency=GREEN)
    np.testing.assert_array_equal(read_image(path), [[RED, (255, 255, 255)]])


def test_values_cmyk_jpeg(tmp_path):
    path = saved(tmp_path / "c.jpg", Image.new("CMYK", (16, 16), (0, 255, 255, 0)), quality=95)
    assert np.abs(read_image(path).astype(int) - RED).max() <= 3


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_values_sixteen_bits_keep_the_upper_eight(tmp_path, ending):
    deep = np.array([[0, 255, 256, 0x8000, 65535]], np.uint16)
    expected = np.array([[0, 0, 1, 128, 255]], np.uint8)[..., None].repeat(3, 2)
    path = saved(tmp_path / f"deep.{ending}", Image.fromarray(deep))
    for source in (path, deep, deep.astype(">u2")):
        np.testing.assert_array_equal(read_image(source), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_values_exif_orientation_is_applied(tmp_path, orientation):
    upright = np.zeros((24, 40, 3), np.uint8)
    upright[:8, :16] = RED  # a mark in the upper left corner
    upright[16:, 24:] = BLUE
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored))
    path = saved(tmp_path / "turned.jpg", image, exif=exif, quality=95, subsampling=0)
    assert np.abs(read_image(path).astype(int) - upright).max() < 40


def test_values_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 3), colour) for colour in (RED, GREEN, BLUE)]
    path = saved(tmp_path / "moving.gif", frames[0], save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(path), np.full((3, 4, 3), RED))


def test_values_smallest_and_longest_images(tmp_path):
    dot = saved(tmp_path / "dot.jpg", Image.new("RGB", (1, 1)))
    strip = saved(tmp_path / "strip.jpg", Image.new("RGB", (20000, 10)))
    assert read_image(dot).shape == (1, 1, 3)
    assert read_image(strip).shape == (10, 20000, 3)
    assert resize_bilinear(read_image(dot), (30, 20)).shape == (30, 20, 3)
    assert resize_bilinear(read_image(strip), (30, 20)).shape == (30, 20, 3)


@pytest.mark.numerical
def test_values_backend_tensors(noise):
    from keras import ops

    np.testing.assert_array_equal(read_image(ops.convert_to_tensor(noise)), noise)
    np.testing.assert_array_equal(read_image(ops.convert_to_tensor(noise, "float32")), noise)


def test_values_max_pixels_can_be_raised_and_leaves_pillow_as_it_was(tmp_path, monkeypatch):
    path = saved(tmp_path / "large.png", Image.new("L", (100, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for limit in (10_000, None):
        assert read_image(path, max_pixels=limit).shape == (100, 100, 3)
        assert Image.MAX_IMAGE_PIXELS == 1000


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [0.1, 0.5, 0.95])
@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("jpg", {}),
        ("jpg", {"progressive": True}),
        ("png", {}),
        ("bmp", {}),
        ("tif", {}),
        ("webp", {}),
        ("gif", {}),
    ],
)
def test_rejects_truncated_files(tmp_path, noise, ending, options, left):
    path = saved(tmp_path / f"whole.{ending}", Image.fromarray(noise.repeat(8, 0).repeat(8, 1)), **options)
    cut = tmp_path / f"cut.{ending}"
    cut.write_bytes(path.read_bytes()[: int(path.stat().st_size * left)])
    assert str(cut) in refusal(cut)


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_values_checked_size_is_the_one_that_is_read(tmp_path, orientation, ending):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"a.{ending}", Image.new("RGB", (40, 24)), exif=exif)
    expected = (40, 24) if orientation > 4 else (24, 40)
    assert check_image(path) == expected == read_image(path).shape[:2]


def test_rejects_text_named_jpg(tmp_path):
    path = tmp_path / "letter.jpg"
    path.write_text("Dear reader, this is no image.")
    message = refusal(path)
    assert "letter.jpg" in message
    assert "it is a text file (it begins with" in message
    assert "Dear reader" in message


def test_rejects_empty_missing_and_folder(tmp_path):
    empty = tmp_path / "empty.jpg"
    empty.touch()
    assert "0 bytes" in refusal(empty)
    assert "no such file" in refusal(tmp_path / "nowhere.jpg")
    assert "folder" in refusal(tmp_path)
    assert "nul" in refusal("a\0b.jpg") or "null" in refusal("a\0b.jpg")


def bomb(path, side):
    """A valid PNG head of side x side pixels without the pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b""))
    return path


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_460, 12_000, 30_000])  # just above our limit, Pillow warns, Pillow refuses
def test_rejects_decompression_bombs(tmp_path, side):
    message = refusal(bomb(tmp_path / "bomb.png", side))
    assert "bomb.png" in message
    assert "at most 89478485" in message
    assert f"{side} x {side}" in message or str(side * side) in message
    assert "max_pixels" in message


def test_rejects_decompression_bombs_where_warnings_are_errors(tmp_path):
    assert "max_pixels" in refusal(bomb(tmp_path / "bomb.png", 12_000))


def test_rejects_more_than_max_pixels(tmp_path):
    path = saved(tmp_path / "a.png", Image.new("L", (100, 100)))
    assert "100 x 100" in refusal(path, max_pixels=9_999)
    assert "100 x 100" in refusal(Image.new("L", (100, 100)), max_pixels=9_999)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((3, 20, 30), np.uint8), r"transpose(1, 2, 0)"),
        (np.zeros((20, 30, 2), np.uint8), "shape=(20, 30, 2)"),
        (np.zeros((2, 20, 30, 3), np.uint8), "shape=(2, 20, 30, 3)"),
        (np.zeros((0, 30, 3), np.uint8), "no pixels"),
        (np.full((2, 2), 0.5), "255"),
        (np.full((2, 2), np.nan), "0..255"),
        (np.full((2, 2), 300.0), "300.0"),
        (np.full((2, 2), -1), "-1"),
        (np.zeros((2, 2), bool), "bool"),
        (np.full((2, 2), "x"), "<U1"),
        ({"a": 1}, "dict"),
    ],
)
def test_rejects_arrays_without_one_meaning(array, said):
    assert said in refusal(array)


def test_rejects_float_images(tmp_path):
    path = saved(tmp_path / "f.tif", Image.fromarray(np.full((2, 2), 0.5, np.float32)))
    assert "floats" in refusal(path)
    deep = saved(tmp_path / "i.tif", Image.fromarray(np.full((2, 2), 70000, np.int32)))
    assert "0..65535" in refusal(deep)


def test_roundtrip_errors_are_picklable():
    error = pickle.loads(pickle.dumps(ImageError("a.jpg", "it is odd.")))
    assert (error.source, error.reason) == ("a.jpg", "it is odd.")
    assert str(error) == "Cannot read image a.jpg: it is odd."
