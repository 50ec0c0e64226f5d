"""Resizing as OpenCV does it, with and without OpenCV."""

import subprocess
import sys

import numpy as np
import pytest

from keras_ssd.images import (
    resize_bilinear,
    resizing,
)

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


SIZES = [(300, 300), (10, 10), (1, 1), (74, 106), (37, 53), (19, 27), (512, 17), (3, 700)]


def naive_bilinear(image, size_hw):
    """Pixel by pixel, from the definition, in double precision."""
    height, width = image.shape[:2]
    out = np.zeros((*size_hw, 3))
    for y in range(size_hw[0]):
        for x in range(size_hw[1]):
            v = (y + 0.5) * height / size_hw[0] - 0.5
            u = (x + 0.5) * width / size_hw[1] - 0.5
            for row, wy in ((int(np.floor(v)), 1 - v % 1), (int(np.floor(v)) + 1, v % 1)):
                for column, wx in ((int(np.floor(u)), 1 - u % 1), (int(np.floor(u)) + 1, u % 1)):
                    row_in, column_in = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
                    out[y, x] += wy * wx * image[row_in, column_in]
    return out


@pytest.mark.parametrize("size_hw", [(10, 10), (1, 1), (74, 20), (19, 106)])
def test_reference_resize_equals_the_definition(noise, size_hw):
    exact = naive_bilinear(noise, size_hw)
    got = resizing._resize_numpy(noise, size_hw)
    assert np.abs(got - exact).max() <= 0.501  # rounded to the nearest, not cut
    assert np.abs(resize_bilinear(noise, size_hw) - exact).max() <= 1


@pytest.mark.parametrize("size_hw", SIZES)
def test_reference_resize_equals_opencv(noise, size_hw):
    cv2 = pytest.importorskip("cv2")
    expected = cv2.resize(noise, size_hw[::-1], interpolation=cv2.INTER_LINEAR).astype(int)
    assert np.abs(resizing._resize_numpy(noise, size_hw) - expected).max() <= 1
    np.testing.assert_array_equal(resize_bilinear(noise, size_hw), expected)


def test_values_resize_by_hand():
    image = np.array([[0, 100], [100, 200]], np.uint8)[..., None].repeat(3, 2)
    expected = [[0, 25, 75, 100], [25, 50, 100, 125], [75, 100, 150, 175], [100, 125, 175, 200]]
    for resize in (resize_bilinear, resizing._resize_numpy):
        np.testing.assert_array_equal(resize(image, (4, 4))[..., 0], expected)


def test_values_resize_to_the_same_size_changes_nothing(noise):
    np.testing.assert_array_equal(resize_bilinear(noise, (37, 53)), noise)
    np.testing.assert_array_equal(resizing._resize_numpy(noise, (37, 53)), noise)


def test_values_resize_of_a_view(noise):
    for view in (noise[::-1, ::2], noise[..., ::-1], noise.transpose(1, 0, 2)):
        expected = resizing._resize_numpy(view.copy(), (20, 31))
        np.testing.assert_array_equal(resizing._resize_numpy(view, (20, 31)), expected)
        assert np.abs(resize_bilinear(view, (20, 31)).astype(int) - expected).max() <= 1


def test_values_works_without_opencv(noise):
    code = (
        "import sys; sys.modules['cv2'] = None\n"
        "import numpy as np\n"
        "from keras_ssd.images import resize_bilinear\n"
        "print(resize_bilinear(np.full((5, 4, 3), 9, np.uint8), (7, 6)).mean())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "9.0"
